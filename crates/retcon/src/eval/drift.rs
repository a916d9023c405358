//! How far an edit has moved what a model says where it was not to move, as one number.

use retcon_model::Model;
use serde::{Deserialize, Serialize};

use super::held::{Held, HeldText, Holds, Moved};
use super::unbounded;
use crate::data::{Fact, Prompt, unrelated};
use crate::error::Result;

/// The distance between what two models say, over the positions of some texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Positions that were compared.
    pub n_positions: usize,
    /// The mean of KL(before ‖ after) of the next token, in nats; infinite where the edited model's logits
    /// are not finite.
    #[serde(with = "unbounded")]
    pub mean_kl: f64,
    /// Its largest value.
    #[serde(with = "unbounded")]
    pub max_kl: f64,
    /// The share of positions where the most likely token is the same.
    pub top1_agreement: f64,
}

impl Drift {
    /// Over all positions of some texts.
    #[must_use]
    pub fn of(moved: &[Moved]) -> Self {
        let n_positions = moved.iter().map(|moved| moved.n_positions).sum();
        let mean = |of: fn(&Moved) -> f64| {
            let sum: f64 = moved.iter().map(|moved| of(moved) * moved.n_positions as f64).sum();
            sum / (n_positions as f64).max(1.0)
        };
        Self {
            n_positions,
            mean_kl: mean(|moved| moved.mean_kl),
            max_kl: moved.iter().map(|moved| moved.max_kl).fold(0.0, f64::max),
            top1_agreement: mean(|moved| moved.same),
        }
    }
}

/// Prompts that the drift of an edit is measured over.
pub const N_PROMPTS: usize = 40;

/// Up to `n` prompts that have nothing to do with `facts`.
///
/// # Errors
/// Where one of them is no prompt.
pub fn unrelated_prompts(facts: &[Fact], n: usize, seed: u64) -> Result<Vec<Prompt>> {
    let probes = unrelated(facts, n, seed);
    probes.iter().map(|probe| Ok(Prompt::new(&probe.prompt, None)?)).collect()
}

/// `prompts` as held-out texts.
#[must_use]
pub fn as_held(prompts: &[Prompt]) -> Vec<HeldText> {
    let text =
        |prompt: &Prompt| HeldText { holds: Holds::Text, prompt: prompt.clone(), answer: None };
    prompts.iter().map(text).collect()
}

/// Compares `before` and `after` at every position of `prompts`; an encoder's at the masks. Prompts
/// longer than what the model takes are left out.
///
/// # Errors
/// What the tokenizer and the models report.
pub fn drift(before: &Model, after: &Model, prompts: &[Prompt]) -> Result<Drift> {
    Ok(Drift::of(&Held::new(before, &as_held(prompts))?.moved(before, after)?))
}
