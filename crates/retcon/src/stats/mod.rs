//! Statistics of a model over a text: the second moments of its MLPs' keys, block by block.
//!
//! `C = (1/T) Σ_t k_t k_tᵀ` over the keys `k_t` of `T` tokens (Meng et al. 2022, arXiv 2202.05262,
//! equation 2). Editors that solve in closed form ask a [`Source`] for them; [`collect`] computes
//! them, and a file keeps them. They are of the model without its deltas.

mod collect;
mod convergence;
mod file;
mod kept;
mod memory;
mod merge;
mod once;
mod source;
mod spaces;
mod windows;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use retcon_kernels::moment::Moment;
use retcon_model::Model;
use serde::{Deserialize, Serialize};

pub use collect::{Limits, collect, name};
pub use file::{read, write};
pub use kept::Kept;
pub use memory::{n_bytes, peak_bytes};
pub use once::Once;
pub use source::{Fresh, Given, Nothing, Source};
pub use spaces::Spaces;

use crate::error::{Error, Result};
use crate::identity::keys_id;
use crate::linalg::NullSpace;

/// Second moments of keys, and what they are of.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// What they were computed from.
    pub about: About,
    /// The moment of each block's keys, without those of the token that begins every sequence.
    pub moments: BTreeMap<usize, Moment>,
    /// For each block, the key of the token that begins every sequence, where the model has one:
    /// the same every time, as it sees nothing else.
    pub begins: BTreeMap<usize, Vec<f32>>,
    /// Null spaces that have been asked for.
    pub spaces: Spaces,
}

/// What statistics were computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The model, to its last block that was needed (see [`keys_id`]).
    pub model: String,
    /// How many blocks that covers.
    pub n_blocks: usize,
    /// The text, by name.
    pub corpus: String,
    /// The text, by content.
    pub corpus_fingerprint: String,
    /// Tokens in a sequence at most, beside what begins it.
    pub window: usize,
    /// Tokens that were counted, beside those that begin a sequence.
    pub n_tokens: u64,
    /// Sequences that began with the same token.
    pub n_begins: u64,
    /// Sequences that were run, from the first of the text's on.
    pub n_windows: usize,
    /// How surprising new keys were in the end, block by block; 1 is not at all (see
    /// [`Limits::tolerance`]).
    pub surprise: BTreeMap<usize, f64>,
    /// Whether that was within the tolerance.
    pub converged: bool,
    /// Whether nothing of the text is left.
    #[serde(default)]
    pub ended: bool,
    /// Where they were merged, the texts of all parts, by content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

impl About {
    /// Whether it is of `model`, as far as it goes.
    fn is_of(&self, model: &Model) -> Result<bool> {
        let n_blocks = self.n_blocks;
        Ok(n_blocks <= model.spec().n_blocks && keys_id(model, n_blocks)? == self.model)
    }

    /// The texts that were read, by content.
    fn texts(&self) -> &[String] {
        match self.parts.as_slice() {
            [] => std::slice::from_ref(&self.corpus_fingerprint),
            parts => parts,
        }
    }
}

impl Statistics {
    /// Whether they are of `model`, as far as they go.
    ///
    /// # Errors
    /// Where the model's files can't be read.
    pub fn is_of(&self, model: &Model) -> Result<bool> {
        self.about.is_of(model)
    }

    /// Makes sure that they, which were read at `path`, are of `model`.
    ///
    /// # Errors
    /// [`Error::BadStatistics`], and as [`Statistics::is_of`].
    pub fn check_is_of(&self, model: &Model, path: &Path) -> Result<()> {
        if self.is_of(model)? {
            return Ok(());
        }
        let what = "they are of another model, another tokenizer or other types of numbers";
        let what = what.to_owned();
        Err(Error::BadStatistics { path: path.to_owned(), what })
    }

    /// The second moment of the keys of `block` as editors want it: of all tokens, with what begins
    /// a sequence counted as often as it was there.
    ///
    /// # Errors
    /// [`Error::NoStatistics`] where the block has none; [`Error::TooFewTokens`] where a moment of so
    /// few tokens says nothing about most directions.
    pub fn moment(&self, block: usize) -> Result<Moment> {
        self.check(block)?;
        let mut moment = self.moments[&block].clone();
        // As often as it was there.
        if let Some(key) = self.begins.get(&block) {
            moment.add_repeated(key, self.about.n_begins)?;
        }
        Ok(moment)
    }
}

impl Statistics {
    /// Whether `limits` ask for nothing more of their text.
    #[must_use]
    pub fn is_enough(&self, limits: &Limits) -> bool {
        let About { surprise, n_tokens, ended, .. } = &self.about;
        let within = |surprise: &f64| *surprise <= 1.0 + limits.tolerance;
        let converged =
            limits.tolerance > 0.0 && !surprise.is_empty() && surprise.values().all(within);
        *ended || converged || limits.most_tokens.is_some_and(|most| *n_tokens >= most)
    }

    /// The directions in which the keys of `block` have less than `threshold`, found once.
    ///
    /// # Errors
    /// As [`Statistics::moment`] and [`NullSpace::new`].
    pub fn null_space(&self, block: usize, threshold: f64) -> Result<Arc<NullSpace>> {
        self.spaces.of(block, threshold, || self.moment(block))
    }

    /// Makes sure that the moment of `block` is there, and of enough tokens.
    ///
    /// # Errors
    /// As [`Statistics::moment`].
    pub fn check(&self, block: usize) -> Result<()> {
        let moment = self.moments.get(&block).ok_or(Error::NoStatistics { block })?;
        let (found, width) = (moment.n_rows(), moment.width());
        let needed = n_needed(width);
        match found < needed {
            true => Err(Error::TooFewTokens { found, needed, width }),
            false => Ok(()),
        }
    }
}

/// The tokens without which a moment of keys of so many numbers says nothing about some directions, or
/// next to nothing.
fn n_needed(width: usize) -> u64 {
    2 * width as u64
}
