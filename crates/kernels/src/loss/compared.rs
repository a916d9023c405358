//! Two distributions of each row, side by side.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::native::{log_sum_exp, total};
use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};
use crate::shape;

/// What [`compare`] finds of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// `KL(before ‖ after)` in nats, not below zero; infinite where one of the two is no distribution.
    pub kl: f64,
    /// The most likely token before and after; of equals the first, and none where no logit is a number.
    pub best: [Option<u32>; 2],
    /// `log_prob` of the target before and after; without a target, 0.
    pub log_prob: [f64; 2],
}

/// What each row of `before` and `after`, both logits `[n, n_vocab]` of one dtype, says beside the other;
/// without gradients. `targets` has an entry for each row.
///
/// In `f32` the divergence is good to some 1e-7 nats, and 0 where both are the same.
///
/// # Errors
/// Where the shapes don't fit, a target lies outside the vocabulary, or the device fails.
pub fn compare(before: &Tensor, after: &Tensor, targets: &[Option<u32>]) -> Result<Vec<Compared>> {
    const OP: &str = "compare";
    let (n, n_vocab) = shape::matrix(OP, "before", "[n, n_vocab]", before)?;
    shape::check(OP, "after", &[n, n_vocab], after)?;
    shape::check_len(OP, "targets", n, targets.len())?;
    shape::check_indices(OP, n_vocab, &targets.iter().copied().flatten().collect::<Vec<_>>())?;
    let dtype = if before.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let near = |logits: &Tensor| logits.to_device(&Device::Cpu)?.to_dtype(dtype)?.contiguous();
    let (before, after) = (near(before)?, near(after)?);
    real::dispatch!(dtype, T => {
        let (before, after) = (cpu::read::<T>(&before)?, cpu::read::<T>(&after)?);
        let row = |(row, &target): (usize, &Option<u32>)| {
            let numbers = row * n_vocab..(row + 1) * n_vocab;
            let pair = [&before[numbers.clone()], &after[numbers]];
            cpu::vectorized(#[inline(always)] || Compared::of(pair, target))
        };
        Ok(targets.par_iter().enumerate().map(row).collect())
    })
}

impl Compared {
    #[inline(always)]
    fn of<T: Real>(pair: [&[T]; 2], target: Option<u32>) -> Self {
        let log_sums = pair.map(
            #[inline(always)]
            |logits| log_sum_exp(logits),
        );
        let log_sum = T::of(log_sums[0]);
        // The gap between the logits is small where the two are alike, and so is its rounding.
        let gap = total(
            pair,
            #[inline(always)]
            |[before, after]| {
                let p = (before - log_sum).exp();
                // What is impossible adds nothing.
                if p > T::ZERO { p * (before - after) } else { p }
            },
        );
        let kl = gap - log_sums[0] + log_sums[1];
        let log_prob = |side: usize| {
            target.map_or(0.0, |target| pair[side][target as usize].to_f64() - log_sums[side])
        };
        Self {
            kl: if kl.is_nan() { f64::INFINITY } else { kl.max(0.0) },
            best: pair.map(first_largest),
            log_prob: [log_prob(0), log_prob(1)],
        }
    }
}

/// The place of the largest number; of equals the first.
#[inline(always)]
fn first_largest<T: Real>(x: &[T]) -> Option<u32> {
    let max = cpu::max(x);
    x.iter().position(|&x| x == max).map(|place| place as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(before: &[f32], after: &[f32], target: Option<u32>) -> Compared {
        let [before, after] = [before, after]
            .map(|x| Tensor::from_slice(x, (1, x.len()), &Device::Cpu).expect("a row"));
        compare(&before, &after, &[target]).expect("rows of one shape")[0]
    }

    #[test]
    fn a_divergence_is_that_of_the_definition() {
        let log = |p: [f32; 3], shift: f32| p.map(|p| p.ln() + shift);
        let before = log([0.5, 0.5, 0.0], 2.0);
        let found = compared(&before, &log([0.9, 0.1, 0.0], -7.0), Some(1));
        let expected = 0.5 * (0.5f64 / 0.9).ln() + 0.5 * (0.5f64 / 0.1).ln();
        assert!((found.kl - expected).abs() < 1e-6, "{found:?}");
        assert_eq!(found.best, [Some(0), Some(0)]);
        let expected = [0.5f64.ln(), 0.1f64.ln()];
        assert!((0..2).all(|side| (found.log_prob[side] - expected[side]).abs() < 1e-6));
        assert_eq!(compared(&before, &before, None).kl, 0.0);
        assert_eq!(compared(&before, &log([1.0, 0.0, 0.0], 0.0), None).kl, f64::INFINITY);
    }

    #[test]
    fn what_is_no_distribution_is_infinitely_far() {
        for broken in [[f32::NAN; 3], [0.1, f32::NAN, 0.2]] {
            for pair in [[[0.1, 0.3, 0.2], broken], [broken, [0.1, 0.3, 0.2]]] {
                let found = compared(&pair[0], &pair[1], Some(1));
                assert!(found.kl == f64::INFINITY, "{found:?}");
                assert!(found.log_prob.iter().any(|x| x.is_nan()), "{found:?}");
            }
        }
        assert_eq!(compared(&[f32::NAN; 3], &[0.0; 3], None).best, [None, Some(0)]);
    }

    #[test]
    fn a_long_row_is_as_good_as_in_double_precision() {
        let n = 50_000;
        let wave = |i: usize, by: f64| 8.0 * ((i as f64) * by).sin();
        let before: Vec<f64> = (0..n).map(|i| wave(i, 0.37)).collect();
        let after: Vec<f64> = (0..n).map(|i| wave(i, 0.37) + 0.003 * wave(i, 0.71)).collect();
        let sum = |x: &[f64]| x.iter().map(|x| x.exp()).sum::<f64>().ln();
        let (p, q) = (sum(&before), sum(&after));
        let terms = before.iter().zip(&after).map(|(b, a)| (b - p).exp() * ((b - p) - (a - q)));
        let expected: f64 = terms.sum();
        let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let found = compared(&single(&before), &single(&after), None).kl;
        assert!(expected > 1e-5 && (found - expected).abs() < 2e-7, "{found} {expected}");
    }
}
