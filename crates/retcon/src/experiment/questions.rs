//! What a cell is measured by: the modified facts and the others, each as they were trained and in
//! other words.

use std::collections::{BTreeMap, BTreeSet};

use retcon_kernels::autograd::Var;
use retcon_model::random::Random;
use retcon_model::{Model, WeightId};

use super::cell::Point;
use super::material::{Material, Use};
use crate::data::knowledge::Modified;
use crate::edit::fixed::Fixed;
use crate::error::{Error, Result};
use crate::eval::accuracy::share;
use crate::tokens::{Query, in_runs};

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
    /// At most `most` of the facts that are not among `modified`, drawn, and as many other words
    /// for those that are.
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
        let mut random = Random::new(seed);
        random.shuffle(&mut questions.reworded);
        questions.reworded.truncate(most);
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

    /// What `model` computes for them below the weights `ids`, which change between measurements.
    pub(super) fn asked<'a>(&self, model: &'a Model, ids: &[WeightId]) -> Result<Asked<'a>> {
        let of = |questions: &[(String, Query)]| {
            questions.iter().map(|(_, query)| query.clone()).collect::<Vec<_>>()
        };
        let lists =
            [of(&self.modified), self.reworded.clone(), of(&self.kept), self.kept_reworded.clone()];
        let lengths = lists.each_ref().map(Vec::len);
        let queries = lists.concat();
        let runs = in_runs(&queries).into_iter().map(<[Query]>::len).collect();
        Ok(Asked { fixed: Fixed::new(model, ids, queries)?, ids: ids.to_vec(), lengths, runs })
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

/// Questions to a model that is being modified.
pub(super) struct Asked<'a> {
    fixed: Fixed<'a>,
    ids: Vec<WeightId>,
    /// How many questions are for each number of a point.
    lengths: [usize; 4],
    /// How many of them are asked at once.
    runs: Vec<usize>,
}

impl Asked<'_> {
    /// What is measured after `step` steps, when the weights are `now`.
    pub(super) fn point(&self, step: usize, now: &[Var]) -> Result<(Point, Said)> {
        let mut said = Vec::new();
        for &n in &self.runs {
            let chosen: Vec<usize> = (said.len()..said.len() + n).collect();
            let (packed, scored) = self.fixed.scored(&self.ids, now, &chosen, &vec![1.0; n])?;
            said.extend(packed.leads(&scored));
        }
        let mut rest = said.into_iter();
        let [modified, reworded, kept, kept_reworded] =
            self.lengths.map(|n| rest.by_ref().take(n).collect::<Vec<bool>>());
        let point = Point {
            step,
            modified: share(&modified),
            reworded: share(&reworded),
            kept: share(&kept),
            kept_reworded: share(&kept_reworded),
        };
        Ok((point, (modified, kept)))
    }
}
