//! The facts of a plan as texts in tokens: what is trained on, and what is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use retcon_model::random::Random;
use retcon_model::{Entry, FactMemory, Model};
use sha2::{Digest, Sha256};

use super::choice::Texts;
use super::plan::Facts;
use crate::data::knowledge::{Choice, FactSet, Modified, Triple, Wording};
use crate::error::{Error, Result};
use crate::identity::short;
use crate::tokens::{Query, query};

/// The facts of a plan, for a model.
#[derive(Debug)]
pub struct Material<'a> {
    /// The facts, less those that the model can't be asked for.
    pub set: FactSet,
    facts: &'a Facts,
    model: &'a Model,
    /// Whether texts say which fact of a memory they ask for.
    pub tell_entries: bool,
    /// The modified facts to choose from, where they are not drawn.
    given: Option<Vec<Modified>>,
}

/// Which texts of a fact are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Those that are trained on.
    Train,
    /// The one that is measured.
    Measure,
    /// Those that are measured as other words for it.
    Reworded,
}

impl<'a> Material<'a> {
    /// Reads the facts, and leaves out those that the model can't be asked for. `seed` draws which
    /// ones, where only some are wanted.
    ///
    /// # Errors
    /// [`Error::NoTexts`] where none is left, and what reading and the model report.
    pub fn read(facts: &'a Facts, model: &'a Model, seed: u64) -> Result<Self> {
        let mut set = match facts.source.as_str() {
            "world" => FactSet::world(),
            "given" => {
                let expected = "facts, which this plan leaves to you: name them with --facts";
                return Err(Error::bad_setting("facts.source", expected, "given"));
            }
            path => FactSet::read(Path::new(path))?,
        };
        let mut wanted = Vec::new();
        for id in &facts.relations {
            wanted.push(set.relation(id)?);
        }
        set.retain(|triple| wanted.is_empty() || wanted.contains(&triple.relation));
        set.unique_subjects();
        let mut material = Self { set, facts, model, tell_entries: false, given: None };
        material.leave_out_what_has_no_text()?;
        if let Some(count) = facts.count.filter(|&count| count < material.set.triples.len()) {
            let mut order: Vec<usize> = (0..material.set.triples.len()).collect();
            Random::new(seed).shuffle(&mut order);
            order.truncate(count);
            let mut i = 0;
            material.set.retain(|_| {
                i += 1;
                order.contains(&(i - 1))
            });
        }
        if material.set.triples.is_empty() {
            let (texts, facts) = (facts.texts.name(), facts.source.clone());
            return Err(Error::NoTexts { texts, facts });
        }
        Ok(material)
    }

    /// Facts that can't be trained or measured within the model's window are none of the experiment.
    fn leave_out_what_has_no_text(&mut self) -> Result<()> {
        let mut fits = Vec::with_capacity(self.set.triples.len());
        for fact in 0..self.set.triples.len() {
            let object = &self.set.triples[fact].object;
            let measured = !self.texts(fact, object, Use::Measure)?.is_empty();
            fits.push(measured && !self.texts(fact, object, Use::Train)?.is_empty());
        }
        let n_left_out = fits.iter().filter(|&&fits| !fits).count();
        if n_left_out > 0 {
            tracing::warn!(
                "{n_left_out} facts have no text that can be trained on or asked, and are left out"
            );
        }
        let mut fits = fits.into_iter();
        self.set.retain(|_| fits.next().unwrap_or(false));
        Ok(())
    }

    /// The same with the modified facts that the plan names, less those that are true; or else without
    /// facts that can't be modified: those for which every object of their relation is true.
    ///
    /// # Errors
    /// [`Error::NoFacts`] where none is left.
    pub fn modifiable(mut self) -> Result<Self> {
        if let Some(path) = &self.facts.modified {
            let path = if path == "source" { &self.facts.source } else { path };
            let mut given = self.set.read_modified(Path::new(path))?;
            given.retain(|modified| !self.set.triples[modified.fact].is_true(&modified.object));
            self.given = Some(given);
            return Ok(self);
        }
        // What goes takes its object along, which may have been the only other one of a fact.
        let mut n_before = usize::MAX;
        while self.set.triples.len() < n_before {
            n_before = self.set.triples.len();
            let mut objects: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
            for triple in &self.set.triples {
                objects.entry(triple.relation).or_default().insert(triple.object.clone());
            }
            self.set.retain(|triple| {
                let of_relation = objects.get(&triple.relation).into_iter().flatten();
                of_relation.into_iter().any(|object| !triple.is_true(object))
            });
        }
        if self.set.triples.is_empty() { Err(Error::NoFacts) } else { Ok(self) }
    }

    /// What tells the facts, and all that may be said and asked of them, apart from any others,
    /// wherever they were read.
    pub(super) fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}\n", self.set.relations));
        for triple in &self.set.triples {
            let Triple { relation, subject, object, also, evidences, origin: _ } = triple;
            hash.update(format!("{relation} {subject:?} {object:?} {also:?} {evidences:?}\n"));
        }
        hash.update(format!("{:?}", self.given));
        short(hash)
    }

    /// The facts to modify, and their new objects.
    ///
    /// # Errors
    /// Where there are too few facts, or no other object for one.
    pub fn modified(&self, size: usize, seed: u64) -> Result<Vec<Modified>> {
        if let Some(given) = &self.given {
            let mut chosen = given.clone();
            if size > chosen.len() {
                let (n, n_facts) = (size, chosen.len());
                return Err(crate::data::Error::TooMany { n, n_facts }.into());
            }
            Random::new(seed).shuffle(&mut chosen);
            chosen.truncate(size);
            return Ok(chosen);
        }
        let chosen = self.set.choose(&Choice::Count(size), seed)?;
        Ok(self.set.modify(&chosen, seed)?)
    }

    /// What is trained of all facts that have an `object` here.
    ///
    /// # Errors
    /// As [`Material::texts`].
    pub fn trained(&self, object: impl Fn(usize) -> Option<String>) -> Result<Vec<Query>> {
        let mut texts = Vec::new();
        for fact in 0..self.set.triples.len() {
            if let Some(object) = object(fact) {
                texts.extend(self.texts(fact, &object, Use::Train)?);
            }
        }
        Ok(texts)
    }

    /// The texts of a fact with `object`, in tokens.
    ///
    /// # Errors
    /// What the facts and the tokenizer report.
    pub fn texts(&self, fact: usize, object: &str, purpose: Use) -> Result<Vec<Query>> {
        let (triple, relation) = self.set.fact(fact)?;
        let n_trained = self.facts.trained_templates;
        let all: Vec<Wording> = match self.facts.texts {
            Texts::Questions => (0..relation.questions.len()).map(Wording::Question).collect(),
            _ => (0..relation.templates.len()).map(Wording::Template).collect(),
        };
        let wordings = match (purpose, self.facts.texts) {
            (Use::Measure, _) => all.into_iter().take(1).collect(),
            (Use::Train, Texts::Evidences) => {
                let hides = |&n: &usize| !triple.evidences[n].gives_away(&triple.object);
                (0..triple.evidences.len()).filter(hides).map(Wording::Evidence).collect()
            }
            (Use::Train, _) => all.into_iter().take(n_trained).collect(),
            // Where evidences are trained on, the template is what is measured.
            (Use::Reworded, Texts::Evidences) => all.into_iter().skip(1).collect(),
            (Use::Reworded, _) => all.into_iter().skip(n_trained.max(1)).collect::<Vec<_>>(),
        };
        let mut texts = self.some(fact, object, wordings)?;
        let asks = purpose == Use::Measure
            || (purpose == Use::Train && self.facts.texts != Texts::Evidences);
        if texts.is_empty() && asks {
            texts = self.some(fact, object, [Wording::Template(0)])?;
        }
        Ok(texts)
    }

    /// The facts as a memory to look them up in, with the objects of `modified` in place of theirs.
    ///
    /// # Errors
    /// What the facts and the tokenizer report.
    pub fn memory(&self, modified: &[Modified]) -> Result<FactMemory> {
        let tokenizer = self.model.tokenizer();
        let name = |name: &str| Ok(tokenizer.encode(name)?.ids);
        let labels = self.set.relations.iter().map(|relation| name(&relation.label));
        let new: BTreeMap<usize, &str> =
            modified.iter().map(|m| (m.fact, m.object.as_str())).collect();
        let (mut numbers, mut subjects, mut entries) = (BTreeMap::new(), vec![], vec![]);
        for (fact, triple) in self.set.triples.iter().enumerate() {
            if !numbers.contains_key(&triple.subject) {
                numbers.insert(&triple.subject, subjects.len());
                subjects.push(name(&triple.subject)?);
            }
            let object = new.get(&fact).copied().unwrap_or(&triple.object);
            entries.push(Entry {
                subject: numbers[&triple.subject],
                relation: triple.relation,
                object: tokenizer.encode_continuation(object)?,
            });
        }
        Ok(FactMemory { subjects, relations: labels.collect::<Result<_>>()?, entries })
    }

    fn some(
        &self,
        fact: usize,
        object: &str,
        wordings: impl IntoIterator<Item = Wording>,
    ) -> Result<Vec<Query>> {
        let mut texts = Vec::new();
        for wording in wordings {
            let example = if self.model.spec().is_causal() {
                self.set.example_before(fact, object, wording)?
            } else {
                self.set.example(fact, object, wording)?
            };
            let Some(example) = example else { continue };
            let mut query = query(self.model, &example.prompt, &example.object)?;
            query.entry = self.tell_entries.then_some(fact);
            if query.ids.len() <= self.model.spec().n_positions {
                texts.push(query);
            }
        }
        Ok(texts)
    }
}
