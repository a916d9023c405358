//! Sets of facts that a model memorized: relations in several wordings, and what each of them holds of whom.
//!
//! After Zhu et al. (2020), "Modifying Memories in Transformer Models": of a set `F` of facts a part `S` is chosen,
//! and each fact of `S` gets another object of its relation, which makes the set `M` of modified facts.
//!
//! ```
//! use retcon::data::knowledge::{FactSet, Wording};
//!
//! let set = FactSet::world();
//! let fact = set.triples.iter().position(|triple| triple.subject == "France").expect("France is in it");
//! let example = set.example(fact, "Rome", Wording::Template(0))?.expect("there is a template");
//! assert_eq!(example.prompt.marked(), "The capital of {France} is [MASK].");
//! let example = set.example_before(fact, "Rome", Wording::Template(0))?.expect("its object is last");
//! assert_eq!(example.prompt.marked(), "The capital of {France} is");
//! # Ok::<(), retcon::data::Error>(())
//! ```

mod builder;
mod choice;
mod example;
mod keep;
mod lama;
mod modified;
mod own;
mod read;
mod trex;
mod world;
mod zsre;

use super::error::{Error, Origin, Result};
use super::mention::mentions;

pub use choice::{Choice, Modified};
pub use example::{Example, Wording};
pub(super) use example::{closes, fill};

/// What stands for the subject in a template or question.
pub const SUBJECT: &str = "[X]";

/// What stands for the object in a template.
pub const OBJECT: &str = "[Y]";

/// A relation, and how it is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    /// What files call it, such as `P36` or `capital`.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// Sentences with `[X]` for the subject and `[Y]` for the object; the first is the main one, the rest are paraphrases.
    pub templates: Vec<String>,
    /// Questions with `[X]` for the subject.
    pub questions: Vec<String>,
}

/// A sentence that was found in a text, and that names a fact's object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The sentence with one `[MASK]` where the object stood.
    pub text: String,
    /// The form of the object that stood there.
    pub object: String,
    /// The form in which the sentence names the subject.
    pub subject: Option<String>,
}

impl Evidence {
    /// Whether the sentence names the object a second time, as it stood there or by its `label`,
    /// where no mask hides it: to predict it there takes no memory.
    #[must_use]
    pub fn gives_away(&self, label: &str) -> bool {
        mentions(&self.text, &self.object) || mentions(&self.text, label)
    }
}

/// A fact: a relation of a subject to an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Triple {
    /// The relation's index in its set.
    pub relation: usize,
    /// The label of the subject.
    pub subject: String,
    /// The label of the object.
    pub object: String,
    /// Other objects that are true as well, so that none of them is drawn as a wrong one.
    pub also: Vec<String>,
    /// Sentences that name it.
    pub evidences: Vec<Evidence>,
    /// Where it was read.
    pub origin: Option<Origin>,
}

/// Relations, and facts of each; the set `F` of the paper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactSet {
    /// What a report calls it.
    pub name: String,
    /// Its relations.
    pub relations: Vec<Relation>,
    /// Its facts.
    pub triples: Vec<Triple>,
}

impl FactSet {
    /// A fact and its relation.
    ///
    /// # Errors
    /// If there is no fact of this index, or its relation is none of the set's.
    pub fn fact(&self, fact: usize) -> Result<(&Triple, &Relation)> {
        let found = self.triples.get(fact);
        let both = found.and_then(|t| Some((t, self.relations.get(t.relation)?)));
        both.ok_or(Error::NoSuchFact { fact, n: self.triples.len() })
    }

    /// The index of a relation.
    ///
    /// # Errors
    /// If no relation has this id.
    pub fn relation(&self, id: &str) -> Result<usize> {
        let found = self.relations.iter().position(|relation| relation.id == id);
        found.ok_or_else(|| {
            let known: Vec<_> =
                self.relations.iter().map(|relation| relation.id.as_str()).collect();
            Error::UnknownRelation { found: id.to_owned(), known: known.join(", ") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_mention_of_the_object_gives_it_away() {
        let evidence = |text: &str| Evidence {
            text: text.to_owned(),
            object: "Rome".to_owned(),
            subject: None,
        };
        assert!(evidence("He came to [MASK], and Rome he loved.").gives_away("Roma"));
        assert!(evidence("He came to [MASK], or Roma.").gives_away("Roma"));
        assert!(!evidence("He came to [MASK] from Romeo's house.").gives_away("Roma"));
    }
}
