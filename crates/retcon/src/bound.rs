//! The largest change that stays within a bound on side effects: the constraint of Zhu et al. 2020
//! (arXiv 2012.00363, equation 3), measured on held-out texts instead of in weights.
//!
//! A change is held back to a share by the method that made it: one that edits inside of a ball edits
//! again in a smaller one, any other change is scaled. The share is found by bisection of its
//! logarithm, and what is given has been measured, not extrapolated.

use retcon_model::{Delta, Model};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ctx::{Ctx, Progress};
use crate::data::Fact;
use crate::edit::Method;
use crate::error::{Error, Result};
use crate::eval::drift::{Drift, N_PROMPTS, as_held, unrelated_prompts};
use crate::eval::held::Held;

/// Shares that are tried after the whole change.
const N_TRIALS: usize = 8;

/// The least share of a change that is worth trying.
const LEAST: f64 = 1e-3;

/// A change within a bound.
#[derive(Clone, Debug)]
pub struct Bounded {
    /// The change.
    pub delta: Delta,
    /// What was tried, in order; the share of `delta` is the largest that is within the bound.
    pub trials: Vec<Trial>,
}

/// A share of a change, and how far it moves what is not to move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The share: of the radius of the ball, or of the change itself.
    pub share: f64,
    /// The drift.
    pub drift: Drift,
}

/// The largest change by which `method` with `settings` edits `facts` and the mean divergence on texts
/// that belong to no edit is at most `max_drift`, in nats.
///
/// # Errors
/// [`Error::OutOfBound`] where even a thousandth of the change moves more, or what the method reports.
pub fn within(
    ctx: &Ctx<'_>,
    model: &Model,
    method: &'static Method,
    settings: &Map<String, Value>,
    facts: &[Fact],
    max_drift: f64,
) -> Result<Bounded> {
    if !(max_drift > 0.0 && max_drift.is_finite()) {
        return Err(Error::bad_setting("max_drift", "a positive number of nats", max_drift));
    }
    // The texts that the report of the edit is going to measure.
    let held = Held::new(model, &as_held(&unrelated_prompts(facts, N_PROMPTS, ctx.seed)?))?;
    let editor = method.editor(settings.clone())?;
    let whole = editor.edit(ctx, model, facts)?;
    let mut trials = Vec::new();
    let mut attempt = |share: f64| -> Result<(Delta, f64)> {
        let mut delta = whole.clone();
        if share < 1.0 {
            delta = editor.held_back(ctx, model, facts, &whole, share)?;
            note(&mut delta, share);
        }
        let after = model.with(delta.clone())?;
        let drift = Drift::of(&held.moved(model, &after)?);
        trials.push(Trial { share, drift });
        let (done, total) = (trials.len(), N_TRIALS + 1);
        let stage = "holding the change back";
        ctx.report(&Progress { stage, done, total, loss: Some(drift.mean_kl), said: None })?;
        Ok((delta, drift.mean_kl))
    };
    let (delta, drift) = attempt(1.0)?;
    let mut best = (drift <= max_drift).then_some(delta);
    let (mut low, mut high) = (LEAST.ln(), 0.0);
    for _ in 0..if best.is_some() { 0 } else { N_TRIALS } {
        let share = 0.5 * (low + high);
        let (delta, drift) = attempt(share.exp())?;
        if drift <= max_drift {
            (best, low) = (Some(delta), share);
        } else {
            high = share;
        }
    }
    match best {
        Some(delta) => Ok(Bounded { delta, trials }),
        None => {
            let least = trials.last().map_or(f64::NAN, |trial| trial.drift.mean_kl);
            Err(Error::OutOfBound { bound: max_drift, least })
        }
    }
}

/// Notes in the record of a delta what share of the whole change it is.
fn note(delta: &mut Delta, share: f64) {
    let scores = &mut delta.record.scores;
    if !scores.is_object() {
        *scores = Value::Object(Map::new());
    }
    scores["held_back_to"] = share.into();
}
