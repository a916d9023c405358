//! What came of some settings, as numbers and as one.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::eval::metrics::harmonic;
use crate::eval::unbounded;

/// Edits in the batch that a trial is to speak for.
const N_IN_BATCH: f64 = 100.0;

/// A later candidate takes the place of the best so far where its score is higher by more than this over
/// the root of the number of facts: less is chance.
const MARGIN: f64 = 0.05;

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
    #[must_use]
    pub fn rest(&self) -> f64 {
        (-N_IN_BATCH / self.at_once as f64 * self.kl).exp()
    }

    /// The harmonic mean of the four; 0 where one of them is.
    #[must_use]
    pub fn score(&self) -> f64 {
        harmonic(&[self.rewrite, self.paraphrase, self.locality, self.rest()])
    }

    /// The order in which the best is the first.
    pub(super) fn best_first(&self, other: &Self) -> Ordering {
        other.score().total_cmp(&self.score())
    }

    /// The one that did best by more than chance: of many facts at once, where any were tried so.
    pub(super) fn best<'a>(alone: &'a [Self], together: &'a [Self]) -> &'a Self {
        let trials = if together.is_empty() { alone } else { together };
        let mut best = trials.first().expect("the first candidate is tried in any case");
        for trial in trials {
            if trial.score() > best.score() + MARGIN / (trial.n as f64).sqrt() {
                best = trial;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose score is `score`, where other text has not moved.
    fn trial(score: f64, n: usize, at_once: usize) -> Trial {
        let [rewrite, paraphrase, locality] = [3.0 / (4.0 / score - 1.0); 3];
        Trial {
            settings: Map::new(),
            n,
            at_once,
            rewrite,
            paraphrase,
            locality,
            kl: 0.0,
            seconds: 0.0,
        }
    }

    #[test]
    fn facts_at_once_decide() {
        let alone = [trial(0.5, 6, 1), trial(0.9, 6, 1)];
        let together = [trial(0.4, 30, 30), trial(0.6, 30, 30), trial(0.5, 30, 30)];
        assert_eq!(Trial::best(&alone, &[]), &alone[1]);
        assert_eq!(Trial::best(&alone, &together), &together[1]);
    }

    #[test]
    fn more_facts_leave_less_to_chance() {
        let [six, thirty] = [(6, 1), (30, 30)]
            .map(|(n, at_once)| [trial(0.5, n, at_once), trial(0.515, n, at_once)]);
        assert_eq!(Trial::best(&six, &[]), &six[0]);
        assert_eq!(Trial::best(&[], &thirty), &thirty[1]);
    }
}
