//! What came of some settings, as numbers and as one.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::eval::metrics::harmonic;
use crate::eval::unbounded;

/// Edits in the batch that a trial is to speak for.
const N_IN_BATCH: f64 = 100.0;

/// Some settings, and how well edits with them did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What is other than the method's own settings.
    pub settings: Map<String, Value>,
    /// Facts that were edited.
    pub n: usize,
    /// How many of them at once.
    pub at_once: usize,
    /// How likely the new object is after the edited prompt: the mean of its probabilities.
    pub rewrite: f64,
    /// The same after other wordings.
    pub paraphrase: f64,
    /// What is left of how likely the old objects of other facts of the relation were, at most all.
    pub locality: f64,
    /// How far texts that have nothing to do with the fact have moved: the mean over their positions of
    /// KL(before ‖ after) of the next token, in nats.
    #[serde(with = "unbounded")]
    pub kl: f64,
    /// Seconds an edit.
    pub seconds: f64,
}

impl Trial {
    /// What a batch of such edits leaves of how likely other texts are: edits of different facts move
    /// them each its own way, so that their divergences add up.
    pub fn rest(&self) -> f64 {
        (-N_IN_BATCH / self.at_once as f64 * self.kl).exp()
    }

    /// The harmonic mean of the four; 0 where one of them is.
    pub fn score(&self) -> f64 {
        harmonic(&[self.rewrite, self.paraphrase, self.locality, self.rest()])
    }

    /// The order in which the best is the first.
    pub(super) fn best_first(&self, other: &Self) -> Ordering {
        other.score().total_cmp(&self.score())
    }
}
