//! Cross-entropy under a frozen unembedding, in one pass over its weight.
//!
//! A run of the vocabulary at a time, the logits are computed, and what the loss and the gradient
//! need of them is added up relative to the largest logit so far (online softmax: Milakov and
//! Gimelshein 2018, arXiv 1805.02867), while the run's weight is still in a near cache. So the
//! logits of the whole vocabulary never exist, and memory is read once instead of twice.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::Head;
use super::native::{Targets, add_scaled};
use crate::activation::{cap_in_place, cap_slope};
use crate::autograd::{Onto, Var};
use crate::cpu;
use crate::error::Result;
use crate::linear::Matrix;
use crate::matmul::{self, Input, Mat, MatMut, Threads};
use crate::real::Real;
use crate::weight::{Decoded, Numbers, Weight};

/// Rows of `h` that one pass serves: what is added up for them stays in a near cache.
const ROWS: usize = 64;

/// Bytes of the weight between computing logits and using them.
const RUN_BYTES: usize = 128 << 10;

/// The weight of a head without unknowns.
pub(super) fn frozen<'a>(head: &Head<'a>) -> Option<&'a Weight> {
    match head.weight {
        Matrix::Frozen(weight) if !head.bias.is_some_and(Var::is_tracked) => Some(weight),
        _ => None,
    }
}

/// The loss, and the log-probability and the margin of every target.
pub(super) fn cross_entropy<T: Real>(
    h: &Var,
    head: &Head<'_>,
    weight: &Weight,
    rows: &Targets<'_>,
) -> Result<(Var, Vec<(f64, f64)>)> {
    let (n_vocab, d_model) = weight.matrix_dims()?;
    let (n, wanted) = (rows.targets.len(), h.is_tracked());
    let mut dh = vec![T::ZERO; if wanted { n * d_model } else { 0 }];
    let mut scored = Vec::with_capacity(n);
    {
        let h = h.value().contiguous()?;
        let h = cpu::read::<T>(&h)?;
        let bias = head.bias.map(|bias| bias.value().contiguous()).transpose()?;
        let bias = bias.as_ref().map(cpu::read::<T>).transpose()?;
        let weight = weight.numbers::<T>()?;
        for from in (0..n).step_by(ROWS) {
            let of_pass = from..n.min(from + ROWS);
            let numbers = of_pass.start * d_model..of_pass.end * d_model;
            let pass = Pass {
                h: Input::new(Mat::packed(&h[numbers.clone()], d_model), Threads::One),
                targets: &rows.targets[of_pass.clone()],
                weights: &rows.weights[of_pass],
                weight: &weight,
                bias: bias.as_deref(),
                cap: head.soft_cap.map(T::of),
                d_model,
                n_vocab,
                wanted,
            };
            let seen = pass.all();
            scored.extend(seen.rows.iter().map(Sums::score));
            if wanted {
                pass.gradient(&seen, &mut dh[numbers]);
            }
        }
    }
    let loss: f64 = rows.weights.iter().zip(&scored).map(|(weight, score)| -weight * score.0).sum();
    let loss = Tensor::from_vec(vec![T::of(loss)], (), &Device::Cpu)?;
    let loss = Var::record(loss, &[h], move |dy, inputs| match inputs.slot(0) {
        Some(slot) => add_scaled(slot, dh, cpu::read::<T>(dy)?[0]),
        None => Ok(()),
    });
    Ok((loss, scored))
}

/// Some rows on their way through the vocabulary.
struct Pass<'a, T> {
    h: Input<'a, T>,
    targets: &'a [u32],
    weights: &'a [f64],
    weight: &'a Numbers<'a, T>,
    bias: Option<&'a [T]>,
    cap: Option<T>,
    d_model: usize,
    n_vocab: usize,
    wanted: bool,
}

/// What the logits of a row, so far, come to.
#[derive(Clone)]
struct Sums<T> {
    /// The largest one.
    max: T,
    /// The sum of the exponentials, over that of `max`.
    exps: f64,
    /// The target's.
    of_target: T,
    /// The largest one beside the target's.
    other: T,
}

/// What the vocabulary, so far, comes to.
struct Seen<T> {
    rows: Vec<Sums<T>>,
    /// The rows of the weight, times the exponentials, over that of `max`, and the slopes of the
    /// cap: `[rows, d_model]`; empty where no gradient is wanted.
    pull: Vec<T>,
}

impl<T: Real> Pass<'_, T> {
    /// What the whole vocabulary comes to.
    fn all(&self) -> Seen<T> {
        let share = self.n_vocab.div_ceil(4 * rayon::current_num_threads()).max(1);
        let shares: Vec<usize> = (0..self.n_vocab).step_by(share).collect();
        let seen: Vec<Seen<T>> = shares
            .into_par_iter()
            .map(|from| self.share(from..self.n_vocab.min(from + share)))
            .collect();
        // From the first share to the last, whatever thread was first.
        let mut seen = seen.into_iter();
        let first = seen.next().unwrap_or_else(|| self.nothing());
        seen.fold(first, |all, share| all.and(&share, self.d_model))
    }

    fn nothing(&self) -> Seen<T> {
        let n = self.targets.len();
        let none = T::NEG_INFINITY;
        let nothing = Sums { max: none, exps: 0.0, of_target: none, other: none };
        let pull = if self.wanted { n * self.d_model } else { 0 };
        Seen { rows: vec![nothing; n], pull: vec![T::ZERO; pull] }
    }

    /// What the tokens `tokens` come to.
    fn share(&self, tokens: Range<usize>) -> Seen<T> {
        let run = (RUN_BYTES / (size_of::<T>() * self.d_model).max(1)).next_multiple_of(48);
        let mut buffer = Decoded::default();
        let mut logits = vec![T::ZERO; self.targets.len() * run];
        let mut seen = self.nothing();
        for from in tokens.clone().step_by(run) {
            let tokens = from..tokens.end.min(from + run);
            let logits = &mut logits[..self.targets.len() * tokens.len()];
            let weight = self.weight.rows(tokens.clone(), self.d_model, &mut buffer);
            let weight = Mat::packed(weight, self.d_model);
            let y = MatMut::packed(logits, tokens.len());
            self.h.apply(y, Onto::Zeros, weight, Threads::One);
            cpu::vectorized(
                #[inline(always)]
                || self.add(&mut seen, tokens.clone(), logits),
            );
            if self.wanted {
                let pull = MatMut::packed(&mut seen.pull, self.d_model);
                let exps = Mat::packed(logits, tokens.len());
                matmul::apply_transposed(pull, Onto::Sum, exps, weight, Threads::One);
            }
        }
        seen
    }

    /// Adds the logits of `tokens`, and turns them into what the weight is multiplied with.
    #[inline(always)]
    fn add(&self, seen: &mut Seen<T>, tokens: Range<usize>, logits: &mut [T]) {
        for (row, logits) in logits.chunks_exact_mut(tokens.len()).enumerate() {
            if let Some(bias) = self.bias {
                let bias = &bias[tokens.clone()];
                logits.iter_mut().zip(bias).for_each(|(logit, &bias)| *logit += bias);
            }
            if let Some(cap) = self.cap {
                cap_in_place(logits, cap);
            }
            let sums = &mut seen.rows[row];
            let target = self.targets[row] as usize;
            let max = if tokens.contains(&target) {
                let target = target - tokens.start;
                sums.of_target = logits[target];
                let other = cpu::max(&logits[..target]).larger(cpu::max(&logits[target + 1..]));
                sums.other = sums.other.larger(other);
                other.larger(sums.of_target)
            } else {
                let max = cpu::max(logits);
                sums.other = sums.other.larger(max);
                max
            };
            if max > sums.max {
                let factor = (sums.max - max).exp();
                sums.max = max;
                sums.exps *= factor.to_f64();
                if self.wanted {
                    let pull = &mut seen.pull[row * self.d_model..(row + 1) * self.d_model];
                    pull.iter_mut().for_each(|x| *x *= factor);
                }
            }
            let max = sums.max;
            let exps = cpu::reduce(
                [&*logits],
                #[inline(always)]
                |[logit]| (logit - max).exp(),
            );
            sums.exps += exps.to_f64();
            if self.wanted {
                let cap = self.cap;
                for logit in logits {
                    let slope = cap.map_or(T::ONE, |cap| cap_slope(*logit, cap));
                    *logit = (*logit - max).exp() * slope;
                }
            }
        }
    }

    /// `dh = weight (the mean of the weight's rows - that of the target)`, row by row.
    fn gradient(&self, seen: &Seen<T>, dh: &mut [T]) {
        let d = self.d_model;
        let mut buffer = Decoded::default();
        for (row, (dh, pull)) in dh.chunks_exact_mut(d).zip(seen.pull.chunks_exact(d)).enumerate() {
            let (sums, target) = (&seen.rows[row], self.targets[row] as usize);
            let of_target = self.weight.rows(target..target + 1, d, &mut buffer);
            let slope = self.cap.map_or(T::ONE, |cap| cap_slope(sums.of_target, cap));
            let pulled = T::of(self.weights[row] / sums.exps);
            let pushed = T::of(self.weights[row]) * slope;
            for ((dh, &pull), &of_target) in dh.iter_mut().zip(pull).zip(of_target) {
                *dh = pulled * pull - pushed * of_target;
            }
        }
    }
}

impl<T: Real> Sums<T> {
    /// The log-probability and the margin of the target.
    fn score(&self) -> (f64, f64) {
        let log_sum = self.max.to_f64() + self.exps.ln();
        // The maxima pass over what is not a number; the logarithm does not.
        let margin =
            if log_sum.is_nan() { log_sum } else { (self.of_target - self.other).to_f64() };
        (self.of_target.to_f64() - log_sum, margin)
    }
}

impl<T: Real> Seen<T> {
    /// What both come to together.
    fn and(mut self, other: &Self, d_model: usize) -> Self {
        for (row, (sums, other_sums)) in self.rows.iter_mut().zip(&other.rows).enumerate() {
            let max = sums.max.larger(other_sums.max);
            let (own, others) = ((sums.max - max).exp(), (other_sums.max - max).exp());
            *sums = Sums {
                max,
                exps: sums.exps * own.to_f64() + other_sums.exps * others.to_f64(),
                of_target: sums.of_target.larger(other_sums.of_target),
                other: sums.other.larger(other_sums.other),
            };
            if !self.pull.is_empty() {
                let numbers = row * d_model..(row + 1) * d_model;
                let pulls = self.pull[numbers.clone()].iter_mut().zip(&other.pull[numbers]);
                pulls.for_each(|(pull, &other)| *pull = *pull * own + other * others);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::native;
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 1009) as f64 - 504.0) / 504.0).collect()
    }

    fn tensor(shape: &[usize], seed: usize) -> Tensor {
        Tensor::from_vec(numbers(shape.iter().product(), seed), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn one_pass_is_the_same_as_computing_the_logits_first() {
        for (n, d_model, n_vocab, soft_cap) in
            [(1, 3, 7, None), (5, 40, 2003, Some(1.5)), (ROWS + 9, 8, 601, None)]
        {
            let h = Var::unknown(tensor(&[n, d_model], 1));
            let weight = Weight::Dense(tensor(&[n_vocab, d_model], 2));
            let bias = Var::constant(tensor(&[n_vocab], 3));
            let head = Head { weight: Matrix::Frozen(&weight), bias: Some(&bias), soft_cap };
            let targets: Vec<u32> = (0..n).map(|i| (i * 89 % n_vocab) as u32).collect();
            let weights = numbers(n, 4);
            let rows = Targets { targets: &targets, weights: &weights };
            let (loss, scores) = cross_entropy::<f64>(&h, &head, &weight, &rows).unwrap();
            let (expected, expected_scores) = native::fused::<f64, _>(&h, &head, &rows).unwrap();
            let close =
                |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
            close(scalar(&loss), scalar(&expected));
            for (score, expected) in scores.iter().zip(&expected_scores) {
                close(score.0, expected.0);
                close(score.1, expected.1);
            }
            let [dh, expected] = [loss, expected].map(|loss| {
                let gradients = loss.gradients(&[&h]).unwrap();
                gradients[0].flatten_all().unwrap().to_vec1::<f64>().unwrap()
            });
            dh.iter().zip(&expected).for_each(|(&a, &b)| close(a, b));
        }
    }

    fn scalar(x: &Var) -> f64 {
        x.value().to_scalar().unwrap()
    }

    #[test]
    fn what_is_not_finite_shows() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut numbers = vec![1f32; 100 * 4];
            numbers[201] = bad;
            let weight = Weight::Dense(Tensor::from_vec(numbers, (100, 4), &Device::Cpu).unwrap());
            let h =
                Var::unknown(Tensor::ones((1, 4), candle_core::DType::F32, &Device::Cpu).unwrap());
            let head = Head { weight: Matrix::Frozen(&weight), bias: None, soft_cap: None };
            let rows = Targets { targets: &[3], weights: &[1.0] };
            let (loss, scores) = cross_entropy::<f32>(&h, &head, &weight, &rows).unwrap();
            assert!(!loss.value().to_scalar::<f32>().unwrap().is_finite());
            assert!(!scores[0].0.is_finite());
        }
    }
}
