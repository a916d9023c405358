//! What the objectives compute, in plain tensor operations on all logits at once.

use candle_core::{D, Tensor};

use super::Direction;
use crate::error::Result;

/// What [`logits`](super::logits) computes, for a weight `[n_vocab, d_model]`.
///
/// # Errors
/// Where the shapes don't fit.
pub fn logits(
    h: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    soft_cap: Option<f64>,
) -> Result<Tensor> {
    let mut logits = h.matmul(&weight.t()?)?;
    if let Some(bias) = bias {
        logits = logits.broadcast_add(bias)?;
    }
    match soft_cap {
        Some(cap) => crate::activation::reference::soft_cap(&logits, cap),
        None => Ok(logits),
    }
}

/// What [`log_softmax`](super::log_softmax) computes, with a gradient.
///
/// # Errors
/// Where the device fails.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

/// For each row of `logits` `[n, n_vocab]` the log-probability of its target and the margin of its
/// logit over the largest other one, `[n, 2]`; the margin has no gradient.
///
/// # Errors
/// Where the shapes don't fit.
pub fn cross_entropy(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let index = Tensor::from_slice(targets, (targets.len(), 1), logits.device())?;
    let log_prob = log_softmax(logits)?.gather(&index, 1)?;
    let logits = logits.detach();
    let of_target = logits.gather(&index, 1)?;
    let away = of_target.zeros_like()?.affine(1.0, f64::NEG_INFINITY)?;
    let others = logits.zeros_like()?.scatter_add(&index, &away, 1)?.add(&logits)?;
    let margin = of_target.sub(&others.max_keepdim(1)?)?;
    Ok(Tensor::cat(&[log_prob, margin], 1)?)
}

/// For each row of `logits` `[n, n_vocab]` its divergence from or to `reference` `[n, n_vocab]`,
/// `[n]`.
///
/// # Errors
/// Where the shapes don't fit.
pub fn kl(logits: &Tensor, reference: &Tensor, direction: Direction) -> Result<Tensor> {
    let log_prob = log_softmax(logits)?;
    let terms = match direction {
        Direction::ToReference => log_prob.exp()?.mul(&log_prob.sub(reference)?)?,
        Direction::FromReference => reference.exp()?.mul(&reference.sub(&log_prob)?)?,
    };
    Ok(terms.sum(1)?)
}
