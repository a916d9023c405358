//! Objectives over the vocabulary, fused with the unembedding: the logits of all rows never exist
//! at once, and the gradients are computed on the way forward.

mod compared;
mod native;
mod pass;
pub mod reference;
mod streamed;

use std::ops::Range;

use candle_core::Tensor;

use crate::activation::soft_cap;
use crate::autograd::Var;
use crate::composed::composed;
use crate::cpu;
use crate::error::Result;
use crate::linear::{Matrix, add_bias, linear};
use crate::real;
use crate::rows::{add, gather_rows};
use crate::shape;

pub use compared::{Compared, compare};

/// The unembedding: `logits = cap(h wᵀ + bias)`.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `[n_vocab, d_model]`.
    pub weight: Matrix<'a>,
    /// `[n_vocab]`.
    pub bias: Option<&'a Var>,
    /// Logits are replaced by `cap tanh(logit / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
}

/// What [`cross_entropy`] finds.
#[derive(Clone, Debug)]
pub struct Scored {
    /// `-sum_i weights[i] log_prob[i]`, a scalar.
    pub loss: Var,
    /// For each row, the log-probability of its target.
    pub log_prob: Vec<f64>,
    /// For each row, the logit of its target minus the largest other logit.
    pub margin: Vec<f64>,
}

/// What [`kl`] finds.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// `sum_i weights[i] per_row[i]`, a scalar.
    pub loss: Var,
    /// For each row, the divergence in nats.
    pub per_row: Vec<f64>,
}

/// Which of two distributions a divergence takes the mean over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `KL(p ‖ reference)`: the mean over the model's `p`.
    ToReference,
    /// `KL(reference ‖ p)`: the mean over the reference.
    FromReference,
}

/// The weighted cross-entropy of each row's distribution over the vocabulary with a target.
///
/// `h` is `[n, d_model]`; `targets` and `weights` have one entry for each row; the loss is a scalar
/// of the dtype of `h`. Gradients: for `h`, and for the weight and the bias of the head where they
/// are tracked. They are computed here, a run of rows at a time; backward only scales them.
///
/// On the CPU the vocabulary is visited in runs that stay in a near cache, where the head is frozen;
/// where it is trained, no more than 32 MiB of logits exist at once, or one row where that is more.
/// On other devices backward holds those of all rows. What is not finite in a row shows in the loss.
///
/// # Errors
/// Where the shapes don't fit, a target lies outside the vocabulary, or the device fails.
pub fn cross_entropy(h: &Var, head: &Head<'_>, targets: &[u32], weights: &[f64]) -> Result<Scored> {
    const OP: &str = "cross_entropy";
    let (n, n_vocab) = head.check(OP, h.value())?;
    shape::check_len(OP, "targets", n, targets.len())?;
    shape::check_len(OP, "weights", n, weights.len())?;
    shape::check_indices(OP, n_vocab, targets)?;
    if !h.value().device().is_cpu() {
        return cross_entropy_composed(h, head, targets, weights);
    }
    real::dispatch!(h.value().dtype(), T => {
        let rows = native::Targets { targets, weights };
        let (loss, scores) = match streamed::frozen(head) {
            Some(weight) => {
                let none = streamed::References { said: &[], weights: &[] };
                let found = streamed::loss::<T>(h, head, weight, &rows, none)?;
                (found.loss, found.scores)
            }
            None => native::fused::<T, _>(h, head, &rows)?,
        };
        let (log_prob, margin) = scores.into_iter().unzip();
        Ok(Scored { loss, log_prob, margin })
    })
}

/// The weighted divergence between each row's distribution over the vocabulary and a reference.
///
/// `h` is `[n, d_model]`; `reference` holds log-probabilities, `[n, n_vocab]`, contiguous and of the
/// dtype of `h`, of which no gradient is taken; `weights` has one entry for each row. Otherwise as
/// [`cross_entropy`] with a head that is trained.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn kl(
    h: &Var,
    head: &Head<'_>,
    reference: &Tensor,
    direction: Direction,
    weights: &[f64],
) -> Result<Divergence> {
    const OP: &str = "kl";
    let (n, n_vocab) = head.check(OP, h.value())?;
    shape::check(OP, "reference", &[n, n_vocab], reference)?;
    shape::check_len(OP, "weights", n, weights.len())?;
    if !h.value().device().is_cpu() {
        return kl_composed(h, head, reference, direction, weights);
    }
    let reference = reference.contiguous()?;
    real::dispatch!(h.value().dtype(), T => {
        let reference = cpu::read::<T>(&reference)?;
        let rows = native::Divergences { reference: &reference, direction, weights };
        let (loss, per_row) = native::fused::<T, _>(h, head, &rows)?;
        Ok(Divergence { loss, per_row })
    })
}

/// As [`cross_entropy`] for the first rows of `h`, one for each of `targets`, and as [`kl`] for the
/// rows behind them, [to](Direction::ToReference) the reference: gives the loss of both, and each
/// divergence. Where the head is frozen, its weight is read once for all of them.
///
/// # Errors
/// As those.
pub fn cross_entropy_and_kl(
    h: &Var,
    head: &Head<'_>,
    targets: &[u32],
    reference: &Tensor,
    weights: &[f64],
) -> Result<(Scored, Vec<f64>)> {
    const OP: &str = "cross_entropy_and_kl";
    let (n, n_vocab) = head.check(OP, h.value())?;
    shape::check_len(OP, "weights", n, weights.len())?;
    shape::check(OP, "reference", &[n.saturating_sub(targets.len()), n_vocab], reference)?;
    shape::check_indices(OP, n_vocab, targets)?;
    let (weights, kl_weights) = weights.split_at(targets.len());
    let Some(weight) = streamed::frozen(head).filter(|_| h.value().device().is_cpu()) else {
        let part = |rows: Range<usize>| {
            let rows: Vec<u32> = rows.map(|row| row as u32).collect();
            gather_rows(h, &rows)
        };
        let scored = cross_entropy(&part(0..targets.len())?, head, targets, weights)?;
        let others = part(targets.len()..n)?;
        let found = kl(&others, head, reference, Direction::ToReference, kl_weights)?;
        let loss = add(&scored.loss, &found.loss)?;
        return Ok((Scored { loss, ..scored }, found.per_row));
    };
    let reference = reference.contiguous()?;
    real::dispatch!(h.value().dtype(), T => {
        let said = cpu::read::<T>(&reference)?;
        let others = streamed::References { said: &said, weights: kl_weights };
        let rows = native::Targets { targets, weights };
        let found = streamed::loss::<T>(h, head, weight, &rows, others)?;
        let (log_prob, margin) = found.scores.into_iter().unzip();
        Ok((Scored { loss: found.loss, log_prob, margin }, found.divergences))
    })
}

/// The logits of every row: `h` is `[n, d_model]`, the result `[n, n_vocab]`.
///
/// Gradients: for `h`, and for the weight and the bias of the head where they are tracked.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn logits(h: &Var, head: &Head<'_>) -> Result<Var> {
    head.check("logits", h.value())?;
    let mut logits = linear(h, head.weight, None)?;
    if let Some(bias) = head.bias {
        logits = add_bias(&logits, bias)?;
    }
    match head.soft_cap {
        Some(cap) => soft_cap(&logits, cap),
        None => Ok(logits),
    }
}

/// The log-probabilities of `logits` `[n, n_vocab]`, of the same shape; without gradients.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    shape::matrix("log_softmax", "logits", "[n, n_vocab]", logits)?;
    if !logits.device().is_cpu() {
        return reference::log_softmax(&logits.detach());
    }
    let logits = logits.contiguous()?;
    real::dispatch!(logits.dtype(), T => native::log_softmax::<T>(&logits))
}

/// As [`cross_entropy`], composed of candle's operations on whatever device.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_composed(
    h: &Var,
    head: &Head<'_>,
    targets: &[u32],
    weights: &[f64],
) -> Result<Scored> {
    let (targets, cap) = (targets.to_vec(), head.soft_cap);
    let scores = head.composed(h, move |h, w, bias| {
        reference::cross_entropy(&reference::logits(h, w, bias, cap)?, &targets)
    })?;
    let columns = to_f64(&scores.value().t()?.contiguous()?)?;
    let (log_prob, margin) = columns.split_at(columns.len() / 2);
    let weights = weights.iter().flat_map(|&weight| [-weight, 0.0]).collect();
    let loss = weighted_sum(&scores, weights)?;
    Ok(Scored { loss, log_prob: log_prob.to_vec(), margin: margin.to_vec() })
}

/// As [`kl`], composed of candle's operations on whatever device.
///
/// # Errors
/// As [`kl`].
pub fn kl_composed(
    h: &Var,
    head: &Head<'_>,
    reference: &Tensor,
    direction: Direction,
    weights: &[f64],
) -> Result<Divergence> {
    let (reference, cap) = (reference.detach(), head.soft_cap);
    let rows = head.composed(h, move |h, w, bias| {
        reference::kl(&reference::logits(h, w, bias, cap)?, &reference, direction)
    })?;
    let per_row = to_f64(rows.value())?;
    Ok(Divergence { loss: weighted_sum(&rows, weights.to_vec())?, per_row })
}

fn weighted_sum(x: &Var, weights: Vec<f64>) -> Result<Var> {
    composed(&[x], move |x| {
        let weights = Tensor::from_slice(&weights, x[0].shape(), &candle_core::Device::Cpu)?;
        let weights = weights.to_dtype(x[0].dtype())?.to_device(x[0].device())?;
        Ok(x[0].mul(&weights)?.sum_all()?)
    })
}

fn to_f64(x: &Tensor) -> Result<Vec<f64>> {
    let x = x.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F64)?;
    Ok(x.flatten_all()?.to_vec1()?)
}

impl Head<'_> {
    /// The number of rows of `h` and the size of the vocabulary.
    fn check(&self, op: &'static str, h: &Tensor) -> Result<(usize, usize)> {
        let (n_vocab, d_model) = self.weight.dims()?;
        let (n, d) = shape::matrix(op, "hidden", "[n, d_model]", h)?;
        shape::check(op, "hidden", &[n, d_model], h)?;
        debug_assert_eq!(d, d_model, "checked");
        if let Some(bias) = self.bias {
            shape::check(op, "bias", &[n_vocab], bias.value())?;
        }
        Ok((n, n_vocab))
    }

    /// `f(h, weight, bias)`, composed.
    fn composed(
        &self,
        h: &Var,
        f: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor> + Send + 'static,
    ) -> Result<Var> {
        let frozen = match self.weight {
            Matrix::Frozen(w) => Var::constant(w.to_tensor(h.value().dtype(), h.value().device())?),
            Matrix::Trainable(w) => w.clone(),
        };
        let inputs: Vec<&Var> = [h, &frozen].into_iter().chain(self.bias).collect();
        composed(&inputs, move |x| f(&x[0], &x[1], x.get(2)))
    }
}
