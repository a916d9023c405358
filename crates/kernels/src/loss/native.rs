//! The objectives on the CPU: a run of rows at a time, from logits to gradients in one buffer.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{Direction, Head};
use crate::activation::{cap_in_place, cap_slope};
use crate::autograd::{Onto, Slot, Var};
use crate::cpu;
use crate::error::Result;
use crate::matmul::{self, Mat, MatMut, Threads};
use crate::real::Real;
use crate::weight::Weight;

/// Bytes of logits that exist at once: enough rows for an efficient product.
const BYTES: usize = 32 << 20;

/// An objective that is a sum over rows of functions of their logits.
pub(super) trait Objective<T>: Sync {
    /// What is reported of a row.
    type Score: Send;

    /// The term of the loss that the logits of a row give, and their score. Where gradients are
    /// wanted, turns each logit into the gradient by it as it was before any cap.
    fn score(&self, row: usize, logits: &mut Logits<'_, T>) -> (f64, Self::Score);
}

/// The logits of a row, to be turned into gradients where there is an unknown.
pub(super) struct Logits<'a, T> {
    numbers: &'a mut [T],
    cap: Option<T>,
    wanted: bool,
}

/// The loss and the score of every row.
pub(super) fn fused<T: Real, O: Objective<T>>(
    h: &Var,
    head: &Head<'_>,
    objective: &O,
) -> Result<(Var, Vec<O::Score>)> {
    let absent = Var::constant(h.value().clone());
    let inputs = [h, head.weight.trainable(&absent), head.bias.unwrap_or(&absent)];
    let mut gradients = Gradients::<T>::new(inputs);
    let (loss, scores) = {
        let h = h.value().contiguous()?;
        let bias = head.bias.map(|bias| bias.value().contiguous()).transpose()?;
        let bias = bias.as_ref().map(cpu::read::<T>).transpose()?;
        let (n_vocab, d_model) = head.weight.dims()?;
        let runs = Runs {
            h: &cpu::read::<T>(&h)?,
            weight: head.weight.to_weight()?,
            bias: bias.as_deref(),
            cap: head.soft_cap.map(T::of),
            d_model,
            n_vocab,
        };
        runs.all(objective, &mut gradients)?
    };
    let loss = Tensor::from_vec(vec![T::of(loss)], (), &Device::Cpu)?;
    let loss = Var::record(loss, &inputs, move |dy, inputs| {
        let factor = cpu::read::<T>(dy)?[0];
        for (index, gradient) in
            [gradients.h, gradients.weight, gradients.bias].into_iter().enumerate()
        {
            if let (Some(slot), Some(gradient)) = (inputs.slot(index), gradient) {
                add_scaled(slot, gradient, factor)?;
            }
        }
        Ok(())
    });
    Ok((loss, scores))
}

/// The log-probabilities of logits.
pub(super) fn log_softmax<T: Real>(logits: &Tensor) -> Result<Tensor> {
    let numbers = cpu::read::<T>(logits)?;
    let numbers = &*numbers;
    cpu::fill_rows(
        logits.dims(),
        #[inline(always)]
        |row, y: &mut [T]| {
            let x = &numbers[row * y.len()..(row + 1) * y.len()];
            let log_sum = T::of(log_sum_exp(x));
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - log_sum);
        },
    )
}

/// Cross-entropy with targets; the score is the log-probability and the margin.
pub(super) struct Targets<'a> {
    pub(super) targets: &'a [u32],
    pub(super) weights: &'a [f64],
}

impl<T: Real> Objective<T> for Targets<'_> {
    type Score = (f64, f64);

    #[inline(always)]
    fn score(&self, row: usize, logits: &mut Logits<'_, T>) -> (f64, Self::Score) {
        let (target, weight) = (self.targets[row] as usize, self.weights[row]);
        let log_sum = log_sum_exp(logits.numbers);
        let of_target = logits.numbers[target];
        let log_prob = of_target.to_f64() - log_sum;
        let others = [&logits.numbers[..target], &logits.numbers[target + 1..]];
        let other = cpu::max(others[0]).larger(cpu::max(others[1]));
        // The maximum passes over what is not a number; the logarithm does not.
        let margin = if log_sum.is_nan() { log_sum } else { (of_target - other).to_f64() };
        let (log_sum, factor) = (T::of(log_sum), T::of(weight));
        let missing = factor * logits.slope(of_target);
        logits.turn_into(
            #[inline(always)]
            |_, logit| factor * (logit - log_sum).exp(),
        );
        if logits.wanted {
            logits.numbers[target] -= missing;
        }
        (-weight * log_prob, (log_prob, margin))
    }
}

/// Divergence between the distribution and a reference; the score is the divergence.
pub(super) struct Divergences<'a, T> {
    pub(super) reference: &'a [T],
    pub(super) direction: Direction,
    pub(super) weights: &'a [f64],
}

impl<T: Real> Objective<T> for Divergences<'_, T> {
    type Score = f64;

    #[inline(always)]
    fn score(&self, row: usize, logits: &mut Logits<'_, T>) -> (f64, f64) {
        let n = logits.numbers.len();
        let reference = &self.reference[row * n..][..n];
        let log_sum = T::of(log_sum_exp(logits.numbers));
        let factor = T::of(self.weights[row]);
        let numbers = &*logits.numbers;
        let divergence = match self.direction {
            Direction::ToReference => {
                let divergence = total(
                    [numbers, reference],
                    #[inline(always)]
                    |[logit, reference]| {
                        let log_prob = logit - log_sum;
                        log_prob.exp() * (log_prob - reference)
                    },
                );
                let mean = T::of(divergence);
                logits.turn_into(
                    #[inline(always)]
                    |i, logit| {
                        let log_prob = logit - log_sum;
                        factor * log_prob.exp() * (log_prob - reference[i] - mean)
                    },
                );
                divergence
            }
            Direction::FromReference => {
                let divergence = total(
                    [numbers, reference],
                    #[inline(always)]
                    |[logit, reference]| reference.exp() * (reference - (logit - log_sum)),
                );
                // One, but for rounding.
                let mass = T::of(total(
                    [reference],
                    #[inline(always)]
                    |[reference]| reference.exp(),
                ));
                logits.turn_into(
                    #[inline(always)]
                    |i, logit| factor * (mass * (logit - log_sum).exp() - reference[i].exp()),
                );
                divergence
            }
        };
        (self.weights[row] * divergence, divergence)
    }
}

impl<T: Real> Logits<'_, T> {
    /// Turns each logit into `f(its index, the logit)` times the slope of the cap, where gradients
    /// are wanted.
    #[inline(always)]
    fn turn_into(&mut self, f: impl Fn(usize, T) -> T) {
        if !self.wanted {
            return;
        }
        let cap = self.cap;
        for (i, x) in self.numbers.iter_mut().enumerate() {
            let slope = cap.map_or(T::ONE, |cap| cap_slope(*x, cap));
            *x = f(i, *x) * slope;
        }
    }

    /// The slope of the cap at a logit.
    #[inline(always)]
    fn slope(&self, logit: T) -> T {
        self.cap.map_or(T::ONE, |cap| cap_slope(logit, cap))
    }
}

/// The gradients of the loss, where they are wanted.
struct Gradients<T> {
    h: Option<Vec<T>>,
    weight: Option<Vec<T>>,
    bias: Option<Vec<T>>,
}

impl<T: Real> Gradients<T> {
    fn new(inputs: [&Var; 3]) -> Self {
        let zeros =
            |input: &Var| input.is_tracked().then(|| vec![T::ZERO; input.value().elem_count()]);
        let [h, weight, bias] = inputs.map(zeros);
        Self { h, weight, bias }
    }

    fn is_wanted(&self) -> bool {
        self.h.is_some() || self.weight.is_some() || self.bias.is_some()
    }
}

struct Runs<'a, T> {
    h: &'a [T],
    weight: Weight,
    bias: Option<&'a [T]>,
    cap: Option<T>,
    d_model: usize,
    n_vocab: usize,
}

impl<T: Real> Runs<'_, T> {
    /// The loss and the scores of all rows; adds to the gradients.
    fn all<O: Objective<T>>(
        &self,
        objective: &O,
        gradients: &mut Gradients<T>,
    ) -> Result<(f64, Vec<O::Score>)> {
        let n = self.h.len() / self.d_model.max(1);
        let rows = (BYTES / size_of::<T>() / self.n_vocab.max(1)).clamp(1, n.max(1));
        let mut logits = vec![T::ZERO; rows * self.n_vocab];
        let mut scored = Vec::with_capacity(n);
        for from in (0..n).step_by(rows) {
            let logits = &mut logits[..rows.min(n - from) * self.n_vocab];
            scored.extend(self.run(from, logits, objective, gradients)?);
        }
        let (losses, scores): (Vec<f64>, Vec<O::Score>) = scored.into_iter().unzip();
        Ok((losses.into_iter().sum(), scores))
    }

    /// The losses and scores of the rows from `from` on, as many as `logits` has room for.
    fn run<O: Objective<T>>(
        &self,
        from: usize,
        logits: &mut [T],
        objective: &O,
        gradients: &mut Gradients<T>,
    ) -> Result<Vec<(f64, O::Score)>> {
        let n = logits.len() / self.n_vocab;
        let of_run = from * self.d_model..(from + n) * self.d_model;
        let h = &self.h[of_run.clone()];
        self.weight.apply(logits, Onto::Zeros, h)?;
        let wanted = gradients.is_wanted();
        let one = |(row, numbers): (usize, &mut [T])| {
            cpu::vectorized(
                #[inline(always)]
                || {
                    self.finish(numbers);
                    let mut logits = Logits { numbers, cap: self.cap, wanted };
                    objective.score(from + row, &mut logits)
                },
            )
        };
        let scored = logits.par_chunks_mut(self.n_vocab).enumerate().map(one).collect();
        if let Some(dh) = &mut gradients.h {
            self.weight.apply_transposed(&mut dh[of_run], Onto::Zeros, logits)?;
        }
        if let Some(dw) = &mut gradients.weight {
            let (d_logits, h) = (Mat::packed(logits, self.n_vocab), Mat::packed(h, self.d_model));
            let dw = MatMut::packed(dw, self.d_model);
            matmul::matmul(dw, Onto::Sum, d_logits.t(), h, Threads::All);
        }
        if let Some(db) = &mut gradients.bias {
            cpu::add_columns(db, logits);
        }
        Ok(scored)
    }

    /// Adds the bias to the products of a row, and caps them.
    #[inline(always)]
    fn finish(&self, logits: &mut [T]) {
        if let Some(bias) = self.bias {
            logits.iter_mut().zip(bias).for_each(|(logit, &bias)| *logit += bias);
        }
        if let Some(cap) = self.cap {
            cap_in_place(logits, cap);
        }
    }
}

/// The logarithm of the sum of the exponentials.
#[inline(always)]
pub(super) fn log_sum_exp<T: Real>(x: &[T]) -> f64 {
    let max = cpu::max(x);
    max.to_f64()
        + f64::ln(total(
            [x],
            #[inline(always)]
            |[x]| (x - max).exp(),
        ))
}

/// `sum_i term(x_0i, x_1i, ...)`, in `f64` from one stretch of terms to the next.
#[inline(always)]
pub(super) fn total<T: Real, const N: usize>(x: [&[T]; N], term: impl Fn([T; N]) -> T) -> f64 {
    const STRETCH: usize = 1024;
    let n = x[0].len();
    let mut sum = 0.0;
    for from in (0..n).step_by(STRETCH) {
        sum += cpu::reduce(x.map(|x| &x[from..(from + STRETCH).min(n)]), &term).to_f64();
    }
    sum
}

pub(super) fn add_scaled<T: Real>(slot: &mut Slot, mut gradient: Vec<T>, factor: T) -> Result<()> {
    if factor != T::ONE {
        cpu::for_runs(
            &mut gradient,
            #[inline(always)]
            |_, gradient| {
                gradient.iter_mut().for_each(|x| *x *= factor);
            },
        );
    }
    let shape = slot.shape().clone();
    slot.add_owned(Tensor::from_vec(gradient, shape, &Device::Cpu)?)
}
