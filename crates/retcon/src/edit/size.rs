//! How large a change is beside the matrix that it changes, and how large it may be.

use candle_core::Tensor;
use retcon_kernels::squares::sum_of_squares;
use retcon_model::{Delta, Model, Update, WeightId};

use crate::data::Fact;
use crate::error::{Error, Result};

/// Far beyond what any of the methods does to a model that survives it.
const LIMIT: f64 = 5.0;

/// The norm of `update` over that of the `weight` that it changes.
///
/// # Errors
/// Where the device fails.
pub(super) fn relative(weight: &Tensor, update: &Update) -> Result<f64> {
    Ok(update.norm()? / sum_of_squares(weight)?.sqrt())
}

/// Makes sure that `model` may survive `delta`, by which `facts` are edited.
///
/// # Errors
/// [`Error::TooLarge`], and those of [`relative`].
pub(super) fn check(model: &Model, delta: &Delta, facts: &[Fact]) -> Result<()> {
    for (&id, update) in &delta.updates {
        // A bias may be all zero, and beside nothing every change is large.
        if update.shape().len() < 2 {
            continue;
        }
        let weight = model.weight(id)?.to_tensor(model.device())?;
        within(id, relative(&weight, update)?, facts)?;
    }
    Ok(())
}

/// Makes sure that a model may survive a change that is so large beside the weight `id`.
///
/// # Errors
/// [`Error::TooLarge`].
pub(super) fn within(id: WeightId, relative: f64, facts: &[Fact]) -> Result<()> {
    match relative > LIMIT {
        true => Err(Error::TooLarge { id, relative, limit: LIMIT, edits: told(facts) }),
        false => Ok(()),
    }
}

/// The first of `facts`, and how many more there are.
fn told(facts: &[Fact]) -> String {
    let first = facts.first().map(|fact| fact.prompt.marked()).unwrap_or_default();
    match facts.len() {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}
