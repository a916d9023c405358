//! A change to a model as a value: updates to weights, what made them, and the base they are for.

mod file;
pub mod merge;

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::update::Update;
use crate::weight_id::WeightId;

/// A change to a model.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// What is added to which weight.
    pub updates: BTreeMap<WeightId, Update>,
    /// The fingerprint of the base of each of those weights.
    pub base: BTreeMap<WeightId, String>,
    /// Tensors that a method needs to go on from here.
    pub state: BTreeMap<String, Tensor>,
    /// What made it.
    pub record: Record,
}

/// What made a delta, for people and for making it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The editing method.
    pub method: String,
    /// All of its settings.
    pub settings: serde_json::Value,
    /// Seed of all random choices.
    pub seed: u64,
    /// What was edited, one entry an edit.
    pub edits: Vec<serde_json::Value>,
    /// What the method reports, such as steps and the loss, and what its caller measured afterwards.
    pub scores: serde_json::Value,
    /// The identities of the deltas that the model carried when this one was made.
    pub after: Vec<String>,
}

impl Delta {
    /// The change `updates` to `model`.
    ///
    /// # Errors
    /// [`Error::NoWeight`] where the model lacks one of the weights, [`Error::NotFinite`] where one of
    /// the changes contains NaN or infinity.
    pub fn new(
        model: &Model,
        updates: BTreeMap<WeightId, Update>,
        mut record: Record,
    ) -> Result<Self> {
        for (&id, update) in &updates {
            update.is_finite()?.then_some(()).ok_or(Error::NotFinite { id })?;
        }
        let fingerprint = |&id: &WeightId| Ok((id, model.fingerprint(id)?));
        let base = updates.keys().map(fingerprint).collect::<Result<_>>()?;
        record.after = model.deltas().iter().map(|delta| delta.id()).collect::<Result<_>>()?;
        Ok(Self { updates, base, state: BTreeMap::new(), record })
    }

    /// This delta and one that was made on top of it, in one: what it does is what the two do, and
    /// what they left for later edits is there too, row after row. It can't be taken apart again. Of its
    /// record, method, settings and seed are those of the first.
    ///
    /// # Errors
    /// [`Error::WrongBase`] where the two are for different weights, or the device fails.
    pub fn then(&self, next: &Self) -> Result<Self> {
        let mut both = self.clone();
        for (&id, update) in &next.updates {
            let sum = match self.updates.get(&id) {
                Some(first) => first.plus(update)?,
                None => update.clone(),
            };
            both.updates.insert(id, sum);
        }
        for (&id, found) in &next.base {
            let expected = both.base.entry(id).or_insert_with(|| found.clone());
            if expected != found {
                let (expected, found) = (expected.clone(), found.clone());
                return Err(Error::WrongBase { id, expected, found });
            }
        }
        for (name, tensor) in &next.state {
            let joined = match self.state.get(name) {
                Some(first) => Tensor::cat(&[first, tensor], 0)?,
                None => tensor.clone(),
            };
            both.state.insert(name.clone(), joined);
        }
        both.record.edits.extend(next.record.edits.iter().cloned());
        Ok(both)
    }

    /// What tells it apart from every other delta: twelve hexadecimal digits of the SHA-256 of
    /// its numbers and of the base that they are for.
    ///
    /// # Errors
    /// Where a device fails.
    pub fn id(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (id, fingerprint) in &self.base {
            hash.update(format!("{id} {fingerprint} "));
        }
        for (name, stored) in file::tensors(self)? {
            hash.update(format!("{name} {:?} ", stored.shape()));
            hash.update(&**stored.bytes());
        }
        Ok(format!("{:x}", hash.finalize())[..12].to_owned())
    }

    /// Makes sure that `model` has the weights that this delta was made for.
    ///
    /// # Errors
    /// [`Error::WrongBase`], naming the first that differs.
    pub fn check_base(&self, model: &Model) -> Result<()> {
        for (&id, expected) in &self.base {
            let found = match model.fingerprint(id) {
                Ok(found) => found,
                Err(Error::NoWeight { .. }) => "no such weight".to_owned(),
                Err(error) => return Err(error),
            };
            if found != *expected {
                return Err(Error::WrongBase { id, expected: expected.clone(), found });
            }
        }
        Ok(())
    }

    /// The Frobenius norm of the whole change.
    ///
    /// # Errors
    /// Where a device fails.
    pub fn norm(&self) -> Result<f64> {
        let squares = self.updates.values().map(|update| Ok(update.norm()?.powi(2)));
        Ok(squares.sum::<Result<f64>>()?.sqrt())
    }

    /// How many numbers it stores.
    pub fn n_numbers(&self) -> usize {
        self.updates.values().map(Update::n_numbers).sum()
    }
}
