//! What a cell is measured by: the modified facts and the others, each as they were trained and in
//! other words.

use std::collections::{BTreeMap, BTreeSet};

use retcon_model::Model;
use retcon_model::random::Random;

use super::cell::Point;
use super::material::{Material, Use};
use crate::data::knowledge::Modified;
use crate::edit::lookup::Query;
use crate::error::{Error, Result};
use crate::eval::accuracy::{said, share};

/// What is measured of a cell, in tokens.
pub(super) struct Questions {
    /// The relation of each modified fact, and its question.
    pub(super) modified: Vec<(String, Query)>,
    reworded: Vec<Query>,
    pub(super) kept: Vec<(String, Query)>,
    kept_reworded: Vec<Query>,
}

/// Which modified facts, and which others, are said.
pub(super) type Said = (Vec<bool>, Vec<bool>);

impl Questions {
    /// At most `most` of the facts that are not among `modified`, drawn.
    pub(super) fn new(
        material: &Material<'_>,
        modified: &[Modified],
        most: usize,
        seed: u64,
    ) -> Result<Self> {
        let set = &material.set;
        let relation = |fact: usize| {
            set.fact(fact).map(|(_, relation)| relation.label.clone()).map_err(Error::from)
        };
        let first = |fact: usize, object: &str| {
            Ok::<_, Error>(material.texts(fact, object, Use::Measure)?.swap_remove(0))
        };
        let mut questions =
            Self { modified: vec![], reworded: vec![], kept: vec![], kept_reworded: vec![] };
        for m in modified {
            questions.modified.push((relation(m.fact)?, first(m.fact, &m.object)?));
            questions.reworded.extend(material.texts(m.fact, &m.object, Use::Reworded)?);
        }
        let chosen: BTreeSet<usize> = modified.iter().map(|m| m.fact).collect();
        let mut others: Vec<usize> =
            (0..set.triples.len()).filter(|fact| !chosen.contains(fact)).collect();
        Random::new(seed).shuffle(&mut others);
        others.truncate(most);
        for fact in others {
            let object = set.triples[fact].object.clone();
            questions.kept.push((relation(fact)?, first(fact, &object)?));
            // One of its other wordings, or they would take longer than all the rest.
            let reworded = material.texts(fact, &object, Use::Reworded)?;
            questions.kept_reworded.extend(reworded.into_iter().next());
        }
        Ok(questions)
    }

    /// What is measured of `model` after `step` steps.
    pub(super) fn point(&self, step: usize, model: &Model) -> Result<(Point, Said)> {
        let of = |questions: &[(String, Query)]| {
            said(model, &questions.iter().map(|(_, query)| query.clone()).collect::<Vec<_>>())
        };
        let (modified, kept) = (of(&self.modified)?, of(&self.kept)?);
        let point = Point {
            step,
            modified: share(&modified),
            reworded: share(&said(model, &self.reworded)?),
            kept: share(&kept),
            kept_reworded: share(&said(model, &self.kept_reworded)?),
        };
        Ok((point, (modified, kept)))
    }

    /// For each relation of modified facts, what a record counts.
    pub(super) fn by_relation(&self, (modified, kept): &Said) -> Vec<(String, [usize; 4])> {
        let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
        for ((relation, _), &said) in self.modified.iter().zip(modified) {
            let count = counts.entry(relation).or_default();
            (count[0], count[1]) = (count[0] + usize::from(said), count[1] + 1);
        }
        for ((relation, _), &said) in self.kept.iter().zip(kept) {
            if let Some(count) = counts.get_mut(relation.as_str()) {
                (count[2], count[3]) = (count[2] + usize::from(said), count[3] + 1);
            }
        }
        counts.into_iter().map(|(relation, count)| (relation.to_owned(), count)).collect()
    }
}
