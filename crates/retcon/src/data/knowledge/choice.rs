//! Which facts to modify, and what each of them is to say instead; the seed decides, no model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::FactSet;
use crate::data::error::{Error, Result};
use crate::data::mention::bare;
use crate::data::object::Line;
use crate::data::seed::SplitMix;
use crate::data::text_file::TextFile;

/// How the set `S` is chosen from the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// So many, drawn by the seed; a smaller number draws a part of what a larger one draws.
    Count(usize),
    /// All facts of the relation with this id.
    Relation(String),
    /// Those that a file names, one a line: the subject, a tab, and the relation's id.
    File(PathBuf),
}

/// A fact that is to be modified; many of them are the set `M`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Modified {
    /// The fact's index in its set.
    pub fact: usize,
    /// What it is to say.
    pub object: String,
}

impl FactSet {
    /// The indices of the facts that are to be modified, in order.
    ///
    /// # Errors
    /// If the set has fewer facts, no such relation, or not all that the file names, or the file can't be read.
    pub fn choose(&self, choice: &Choice, seed: u64) -> Result<Vec<usize>> {
        match choice {
            Choice::Count(n) => self.draw(*n, seed),
            Choice::Relation(id) => {
                let relation = self.relation(id)?;
                let of_it = self.triples.iter().enumerate().filter(|(_, t)| t.relation == relation);
                Ok(of_it.map(|(idx, _)| idx).collect())
            }
            Choice::File(path) => self.named(path),
        }
    }

    /// For each chosen fact another object of its relation, which is not true of its subject.
    ///
    /// Each of them is equally likely, and the fact and the seed alone decide, not what else is chosen.
    /// Facts of the same relation and subject get the same object.
    ///
    /// # Errors
    /// If there is no such fact, or no object to draw.
    pub fn modify(&self, chosen: &[usize], seed: u64) -> Result<Vec<Modified>> {
        let modify = self.modifier(seed);
        chosen.iter().map(|&fact| modify(fact)).collect()
    }

    /// What modifies one fact as [`FactSet::modify`] does.
    pub(in crate::data) fn modifier(&self, seed: u64) -> impl Fn(usize) -> Result<Modified> + '_ {
        let mut objects = BTreeMap::<_, BTreeMap<_, &str>>::new();
        for triple in &self.triples {
            let of_relation = objects.entry(triple.relation).or_default();
            of_relation.entry(bare(&triple.object)).or_insert(triple.object.as_str());
        }
        let truths = self.truths();
        move |fact: usize| {
            let (triple, relation) = self.fact(fact)?;
            let truths = truths.get(&triple.key()).into_iter().flatten();
            let truths: BTreeSet<_> = truths.map(|object| bare(object)).collect();
            let others = objects.get(&triple.relation).into_iter().flatten();
            let others = others.filter(|(bare, _)| !truths.contains(*bare));
            let others = others.map(|(_, object)| (*object).to_owned()).collect();
            let random = SplitMix::new(seed, &format!("{}\t{}", relation.id, triple.key().1));
            match random.pick(others, 1).pop() {
                Some(object) => Ok(Modified { fact, object }),
                None => Err(Error::NoOtherObject {
                    relation: relation.id.clone(),
                    subject: triple.subject.clone(),
                }),
            }
        }
    }

    fn draw(&self, n: usize, seed: u64) -> Result<Vec<usize>> {
        let n_facts = self.triples.len();
        if n > n_facts {
            return Err(Error::TooMany { n, n_facts });
        }
        let mut chosen = SplitMix::new(seed, "choose").pick((0..n_facts).collect(), n);
        chosen.sort_unstable();
        Ok(chosen)
    }

    fn named(&self, path: &Path) -> Result<Vec<usize>> {
        let mut by_key = BTreeMap::<_, Vec<usize>>::new();
        for (idx, triple) in self.triples.iter().enumerate() {
            by_key.entry((triple.relation, triple.subject.as_str())).or_default().push(idx);
        }
        let mut chosen = BTreeSet::new();
        for (origin, text) in TextFile::open(path)?.lines() {
            let line = Line { text, origin: &origin };
            let parts = text.split_once('\t').map(|(subject, id)| (subject.trim(), id.trim()));
            let missing = || line.error(Error::NoTab { found: text.to_owned() });
            let (subject, id) = parts.ok_or_else(missing)?;
            let relation = self.relation(id).map_err(|error| line.error(error))?;
            let unknown = || {
                let (subject, relation) = (subject.to_owned(), id.to_owned());
                line.error(Error::UnknownFact { subject, relation })
            };
            chosen.extend(by_key.get(&(relation, subject)).ok_or_else(unknown)?);
        }
        Ok(chosen.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::knowledge::{Relation, Triple};

    fn set() -> FactSet {
        let relation = |id: &str| Relation { id: id.to_owned(), ..Relation::default() };
        let triple = |relation, subject: &str, object: &str| Triple {
            relation,
            subject: subject.to_owned(),
            object: object.to_owned(),
            ..Triple::default()
        };
        FactSet {
            relations: vec![relation("home"), relation("food")],
            triples: vec![
                triple(0, "Ann", "Rome"),
                triple(0, "Ann", "oslo"),
                triple(0, "Bo", "Oslo"),
                triple(0, "Cy", "Bonn"),
                triple(1, "Ann", "rice"),
            ],
            ..FactSet::default()
        }
    }

    #[track_caller]
    fn refuse<T: std::fmt::Debug>(result: Result<T>, message: &str) {
        let text = result.unwrap_err().to_string();
        assert!(text.ends_with(message), "{text}");
    }

    #[test]
    fn facts_are_drawn_by_the_seed() {
        let set = FactSet::world();
        let draw = |n, seed| set.choose(&Choice::Count(n), seed).unwrap();
        assert_eq!(draw(32, 1), draw(32, 1));
        assert_ne!(draw(32, 1), draw(32, 2));
        assert_eq!(draw(32, 1).len(), 32);
        assert!(
            draw(32, 1).is_sorted() && draw(8, 1).iter().all(|fact| draw(32, 1).contains(fact))
        );
        assert_eq!(draw(set.triples.len(), 1), (0..set.triples.len()).collect::<Vec<_>>());
        refuse(
            self::set().choose(&Choice::Count(6), 0),
            "more facts to modify than there are: expected at most 5, found: 6",
        );
    }

    #[test]
    fn a_relation_is_chosen_by_its_id() {
        let choose = |id: &str| set().choose(&Choice::Relation(id.to_owned()), 0);
        assert_eq!(choose("home").unwrap(), [0, 1, 2, 3]);
        refuse(choose("drink"), "unknown relation \"drink\": expected one of home, food");
    }

    #[test]
    fn a_file_names_facts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.tsv");
        let choose = |text: &str| {
            std::fs::write(&path, text).unwrap();
            set().choose(&Choice::File(path.clone()), 0)
        };
        assert_eq!(choose("Cy\thome\r\n\nAnn\thome\nCy \t home").unwrap(), [0, 1, 3]);
        refuse(choose("Cy\thome\nBo\tfood"), "facts.tsv:2: no such fact: \"food\" of \"Bo\"");
        refuse(
            choose("Cy\tdrink"),
            "facts.tsv:1: unknown relation \"drink\": expected one of home, food",
        );
        refuse(
            choose("Cy home"),
            "facts.tsv:1: no tab: write the subject, a tab and the relation's id, found: Cy home",
        );
    }

    #[test]
    fn a_true_object_is_never_drawn() {
        let set = set();
        for seed in 0..50 {
            let modified = set.modify(&[0, 1, 2, 3], seed).unwrap();
            let objects: Vec<_> = modified.iter().map(|modified| &*modified.object).collect();
            assert_eq!(objects[..2], ["Bonn", "Bonn"], "both facts about Ann get the same");
            assert!(["Rome", "Bonn"].contains(&objects[2]), "{objects:?}");
            assert!(["Rome", "oslo"].contains(&objects[3]), "{objects:?}");
        }
        let mut unique = set.clone();
        unique.unique_subjects();
        let modified = unique.modify(&[0], 0).unwrap();
        assert_eq!(modified, [Modified { fact: 0, object: "Bonn".to_owned() }]);
        refuse(
            set.modify(&[4], 0),
            "no other object to draw in the relation \"food\" for \"Ann\": leave the fact out, or give it an object",
        );
        refuse(set.modify(&[5], 0), "no such fact: expected an index below 5, found: 5");
    }

    #[test]
    fn every_fact_of_the_world_can_be_modified() {
        let set = FactSet::world();
        let all: Vec<_> = (0..set.triples.len()).collect();
        for seed in 0..5 {
            let modified = set.modify(&all, seed).unwrap();
            assert_eq!(modified, set.modify(&all, seed).unwrap());
            assert_ne!(modified, set.modify(&all, seed + 1).unwrap());
            assert_eq!(modified[7..8], set.modify(&[7], seed).unwrap());
            for Modified { fact, object } in modified {
                let triple = &set.triples[fact];
                assert!(!triple.is_true(&object));
                let same = set.triples.iter().filter(|other| other.relation == triple.relation);
                assert!(same.into_iter().any(|other| other.object == object));
            }
        }
    }
}
