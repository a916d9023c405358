//! Rows on their way through the vocabulary, a run of it at a time.

use std::ops::Range;

use rayon::prelude::*;

use crate::activation::{cap_in_place, cap_slope};
use crate::autograd::Onto;
use crate::cpu;
use crate::matmul::{self, Input, Mat, MatMut, Threads};
use crate::real::Real;
use crate::weight::Numbers;

/// Parts of the vocabulary that threads share out: a number of its own, so that results don't
/// depend on that of the threads.
const SHARES: usize = 32;

/// Bytes of the weight between computing logits and using them.
const RUN_BYTES: usize = 128 << 10;

/// Some rows on their way through the vocabulary.
pub(super) struct Pass<'a, T> {
    pub(super) h: Input<'a, T>,
    /// Of the first rows.
    pub(super) targets: &'a [u32],
    /// What the others said, `[others, n_vocab]`.
    pub(super) said: &'a [T],
    pub(super) weights: Vec<f64>,
    pub(super) weight: &'a Numbers<'a, T>,
    pub(super) bias: Option<&'a [T]>,
    pub(super) cap: Option<T>,
    pub(super) d_model: usize,
    pub(super) n_vocab: usize,
    pub(super) wanted: bool,
}

/// What the logits of a row, so far, come to.
#[derive(Clone)]
pub(super) struct Sums<T> {
    /// The largest one.
    max: T,
    /// The sum of the exponentials, over that of `max`.
    pub(super) exps: f64,
    /// The same, each times how far the logit is above the reference.
    pub(super) gap: f64,
    /// The target's.
    of_target: T,
    /// The largest one beside the target's.
    other: T,
}

/// What the vocabulary, so far, comes to.
pub(super) struct Seen<T> {
    pub(super) rows: Vec<Sums<T>>,
    /// The rows of the weight, times the exponentials, over that of `max`, and the slopes of the
    /// cap; and once more for rows with references, times how far the logits are above these too:
    /// `[rows + others, d_model]`; empty where no gradient is wanted.
    pull: Vec<T>,
}

impl<T: Real> Pass<'_, T> {
    /// How many rows there are, and how many rows of `pull`.
    fn n_rows(&self) -> (usize, usize) {
        let n = self.weights.len();
        (n, 2 * n - self.targets.len())
    }

    /// What the whole vocabulary comes to.
    pub(super) fn all(&self) -> Seen<T> {
        let share = self.n_vocab.div_ceil(SHARES).max(1);
        let shares: Vec<usize> = (0..self.n_vocab).step_by(share).collect();
        let seen: Vec<Seen<T>> = shares
            .into_par_iter()
            .map(|from| self.share(from..self.n_vocab.min(from + share)))
            .collect();
        // From the first share to the last, whatever thread was first.
        let mut seen = seen.into_iter();
        let first = seen.next().unwrap_or_else(|| self.nothing());
        seen.fold(first, |all, share| all.and(&share, self.d_model, self.targets.len()))
    }

    fn nothing(&self) -> Seen<T> {
        let (n, n_pulls) = self.n_rows();
        let none = T::NEG_INFINITY;
        let nothing = Sums { max: none, exps: 0.0, gap: 0.0, of_target: none, other: none };
        let pull = if self.wanted { n_pulls * self.d_model } else { 0 };
        Seen { rows: vec![nothing; n], pull: vec![T::ZERO; pull] }
    }

    /// What the tokens `tokens` come to.
    fn share(&self, tokens: Range<usize>) -> Seen<T> {
        let run = (RUN_BYTES / (size_of::<T>() * self.d_model).max(1)).next_multiple_of(48);
        let (n, n_pulls) = self.n_rows();
        let mut buffer = Vec::new();
        let mut logits = vec![T::ZERO; n_pulls * run];
        let mut seen = self.nothing();
        for from in tokens.clone().step_by(run) {
            let tokens = from..tokens.end.min(from + run);
            let logits = &mut logits[..n_pulls * tokens.len()];
            let weight = self.weight.rows(tokens.clone(), self.d_model, &mut buffer);
            let y = MatMut::packed(&mut logits[..n * tokens.len()], tokens.len());
            self.h.apply(y, Onto::Zeros, &weight, Threads::One);
            cpu::vectorized(
                #[inline(always)]
                || self.add(&mut seen, tokens.clone(), logits),
            );
            if self.wanted {
                let pull = MatMut::packed(&mut seen.pull, self.d_model);
                let exps = Mat::packed(logits, tokens.len());
                matmul::apply_transposed(pull, Onto::Sum, exps, &weight, Threads::One);
            }
        }
        seen
    }

    /// Adds the logits of `tokens`, and turns them into what the weight is multiplied with: a row
    /// each, and behind them another one for each row with a reference.
    #[inline(always)]
    fn add(&self, seen: &mut Seen<T>, tokens: Range<usize>, logits: &mut [T]) {
        let (n, n_targets) = (self.weights.len(), self.targets.len());
        let (logits, gaps) = logits.split_at_mut(n * tokens.len());
        for (row, logits) in logits.chunks_exact_mut(tokens.len()).enumerate() {
            if let Some(bias) = self.bias {
                let bias = &bias[tokens.clone()];
                logits.iter_mut().zip(bias).for_each(|(logit, &bias)| *logit += bias);
            }
            if let Some(cap) = self.cap {
                cap_in_place(logits, cap);
            }
            let max = match self.targets.get(row) {
                Some(&target) => seen.rows[row].look(target as usize, &tokens, logits),
                None => cpu::max(logits),
            };
            self.raise(seen, row, max);
            let sums = &mut seen.rows[row];
            if let Some(other) = row.checked_sub(n_targets) {
                let said = &self.said[other * self.n_vocab..][tokens.clone()];
                let gaps = &mut gaps[other * tokens.len()..][..tokens.len()];
                self.compare(sums, logits, said, gaps);
            }
            self.exponentials(sums, logits);
        }
    }

    /// Makes sums relative to `max`, where it is the largest logit of `row` so far.
    #[inline(always)]
    fn raise(&self, seen: &mut Seen<T>, row: usize, max: T) {
        let sums = &mut seen.rows[row];
        if max <= sums.max {
            return;
        }
        let factor = (sums.max - max).exp();
        sums.max = max;
        sums.exps *= factor.to_f64();
        sums.gap *= factor.to_f64();
        if !self.wanted {
            return;
        }
        let of_gap = row.checked_sub(self.targets.len()).map(|other| self.weights.len() + other);
        for row in [Some(row), of_gap].into_iter().flatten() {
            let pull = &mut seen.pull[row * self.d_model..(row + 1) * self.d_model];
            pull.iter_mut().for_each(|x| *x *= factor);
        }
    }

    /// Adds how far `logits` are above `said`, and leaves in `gaps` what the weight is multiplied
    /// with.
    #[inline(always)]
    fn compare(&self, sums: &mut Sums<T>, logits: &[T], said: &[T], gaps: &mut [T]) {
        let (max, cap) = (sums.max, self.cap);
        let gap = cpu::reduce(
            [logits, said],
            #[inline(always)]
            |[logit, said]| (logit - max).exp() * (logit - said),
        );
        sums.gap += gap.to_f64();
        if self.wanted {
            for ((gap, &logit), &said) in gaps.iter_mut().zip(logits).zip(said) {
                let slope = cap.map_or(T::ONE, |cap| cap_slope(logit, cap));
                *gap = (logit - max).exp() * slope * (logit - said);
            }
        }
    }

    /// Adds the exponentials of `logits`, and turns these into what the weight is multiplied with.
    #[inline(always)]
    fn exponentials(&self, sums: &mut Sums<T>, logits: &mut [T]) {
        let (max, cap) = (sums.max, self.cap);
        let exps = cpu::reduce(
            [&*logits],
            #[inline(always)]
            |[logit]| (logit - max).exp(),
        );
        sums.exps += exps.to_f64();
        if self.wanted {
            for logit in logits {
                let slope = cap.map_or(T::ONE, |cap| cap_slope(*logit, cap));
                *logit = (*logit - max).exp() * slope;
            }
        }
    }

    /// `dh`, row by row: `weight (the mean of the weight's rows - that of the target)`, or
    /// `weight (the mean of the weight's rows times the gaps - the mean of the gaps times that of
    /// the weight's rows)`.
    pub(super) fn gradient(&self, seen: &Seen<T>, dh: &mut [T]) {
        let (n, d) = (self.weights.len(), self.d_model);
        let mut buffer = Vec::new();
        for (row, (dh, pull)) in dh.chunks_exact_mut(d).zip(seen.pull.chunks_exact(d)).enumerate() {
            let sums = &seen.rows[row];
            let factor = T::of(self.weights[row] / sums.exps);
            let Some(&target) = self.targets.get(row) else {
                let of_gap = &seen.pull[(n + row - self.targets.len()) * d..][..d];
                let mean = T::of(sums.gap / sums.exps);
                for ((dh, &of_gap), &pull) in dh.iter_mut().zip(of_gap).zip(pull) {
                    *dh = factor * (of_gap - mean * pull);
                }
                continue;
            };
            let target = target as usize;
            let of_target = self.weight.rows(target..target + 1, d, &mut buffer).row(0);
            let slope = self.cap.map_or(T::ONE, |cap| cap_slope(sums.of_target, cap));
            let pushed = T::of(self.weights[row]) * slope;
            for ((dh, &pull), &of_target) in dh.iter_mut().zip(pull).zip(of_target) {
                *dh = factor * pull - pushed * of_target;
            }
        }
    }
}

impl<T: Real> Sums<T> {
    /// Looks for `target` among the `logits` of `tokens`, and gives the largest logit of all.
    #[inline(always)]
    fn look(&mut self, target: usize, tokens: &Range<usize>, logits: &[T]) -> T {
        if !tokens.contains(&target) {
            let max = cpu::max(logits);
            self.other = self.other.larger(max);
            return max;
        }
        let target = target - tokens.start;
        self.of_target = logits[target];
        let other = cpu::max(&logits[..target]).larger(cpu::max(&logits[target + 1..]));
        self.other = self.other.larger(other);
        other.larger(self.of_target)
    }

    pub(super) fn log_sum(&self) -> f64 {
        self.max.to_f64() + self.exps.ln()
    }

    /// The log-probability and the margin of the target.
    pub(super) fn score(&self) -> (f64, f64) {
        let log_sum = self.log_sum();
        // The maxima pass over what is not a number; the logarithm does not.
        let margin =
            if log_sum.is_nan() { log_sum } else { (self.of_target - self.other).to_f64() };
        (self.of_target.to_f64() - log_sum, margin)
    }
}

impl<T: Real> Seen<T> {
    /// What both come to together.
    fn and(mut self, other: &Self, d_model: usize, n_targets: usize) -> Self {
        let mut factors = Vec::with_capacity(self.rows.len());
        for (sums, other) in self.rows.iter_mut().zip(&other.rows) {
            let max = sums.max.larger(other.max);
            let (own, others) = ((sums.max - max).exp(), (other.max - max).exp());
            let both = |a: f64, b: f64| a * own.to_f64() + b * others.to_f64();
            *sums = Sums {
                max,
                exps: both(sums.exps, other.exps),
                gap: both(sums.gap, other.gap),
                of_target: sums.of_target.larger(other.of_target),
                other: sums.other.larger(other.other),
            };
            factors.push((own, others));
        }
        // Those of gaps come last.
        factors.extend_from_within(n_targets..);
        let pulls = self.pull.chunks_exact_mut(d_model).zip(other.pull.chunks_exact(d_model));
        for ((pull, other), (own, others)) in pulls.zip(factors) {
            pull.iter_mut().zip(other).for_each(|(pull, &x)| *pull = *pull * own + x * others);
        }
        self
    }
}
