//! Cross-entropy, and divergence beside it, under a frozen unembedding, in one pass over its weight.
//!
//! A run of the vocabulary at a time, the logits are computed, and what the loss and the gradient
//! need of them is added up relative to the largest logit so far (online softmax: Milakov and
//! Gimelshein 2018, arXiv 1805.02867), while the run's weight is still in a near cache. So the
//! logits of the whole vocabulary never exist, and memory is read once instead of twice.

use candle_core::{Device, Tensor};

use super::Head;
use super::native::{Targets, add_scaled};
use super::pass::Pass;
use crate::autograd::Var;
use crate::cpu;
use crate::error::Result;
use crate::linear::Matrix;
use crate::matmul::{Input, Mat, Threads};
use crate::real::Real;
use crate::weight::Weight;

/// Rows of `h` that one pass serves: what is added up for them stays in a near cache.
const ROWS: usize = 64;

/// The weight of a head without unknowns.
pub(super) fn frozen<'a>(head: &Head<'a>) -> Option<&'a Weight> {
    match head.weight {
        Matrix::Frozen(weight) if !head.bias.is_some_and(Var::is_tracked) => Some(weight),
        _ => None,
    }
}

/// Rows that are to say what they said before, after those that have targets.
#[derive(Clone, Copy)]
pub(super) struct References<'a, T> {
    /// Log-probabilities, `[rows, n_vocab]`.
    pub(super) said: &'a [T],
    pub(super) weights: &'a [f64],
}

/// What becomes of all rows.
pub(super) struct Found {
    /// The weighted sum of cross-entropies and divergences.
    pub(super) loss: Var,
    /// The log-probability and the margin of every target.
    pub(super) scores: Vec<(f64, f64)>,
    /// The divergence of every other row from what it said.
    pub(super) divergences: Vec<f64>,
}

/// The loss of the rows of `h`, first those with targets, then those with references.
pub(super) fn loss<T: Real>(
    h: &Var,
    head: &Head<'_>,
    weight: &Weight,
    rows: &Targets<'_>,
    references: References<'_, T>,
) -> Result<Found> {
    let (n_vocab, d_model) = weight.matrix_dims()?;
    let (n_targets, wanted) = (rows.targets.len(), h.is_tracked());
    let n = n_targets + references.weights.len();
    let mut dh = vec![T::ZERO; if wanted { n * d_model } else { 0 }];
    let (mut loss, mut scores, mut divergences) = (0.0, Vec::new(), Vec::new());
    {
        let h = h.value().contiguous()?;
        let h = cpu::read::<T>(&h)?;
        let bias = head.bias.map(|bias| bias.value().contiguous()).transpose()?;
        let bias = bias.as_ref().map(cpu::read::<T>).transpose()?;
        let weight = weight.numbers::<T>()?;
        for from in (0..n).step_by(ROWS) {
            let of_pass = from..n.min(from + ROWS);
            let numbers = of_pass.start * d_model..of_pass.end * d_model;
            let aimed = of_pass.start.min(n_targets)..of_pass.end.min(n_targets);
            let others =
                of_pass.start.max(n_targets) - n_targets..of_pass.end.max(n_targets) - n_targets;
            let pass = Pass {
                h: Input::new(Mat::packed(&h[numbers.clone()], d_model), Threads::One),
                targets: &rows.targets[aimed.clone()],
                said: &references.said[others.start * n_vocab..others.end * n_vocab],
                weights: [&rows.weights[aimed], &references.weights[others]].concat(),
                weight: &weight,
                bias: bias.as_deref(),
                cap: head.soft_cap.map(T::of),
                d_model,
                n_vocab,
                wanted,
            };
            let seen = pass.all();
            for (row, (sums, &weight)) in seen.rows.iter().zip(&pass.weights).enumerate() {
                if row < pass.targets.len() {
                    let score = sums.score();
                    loss -= weight * score.0;
                    scores.push(score);
                } else {
                    let divergence = sums.gap / sums.exps - sums.log_sum();
                    loss += weight * divergence;
                    divergences.push(divergence);
                }
            }
            if wanted {
                pass.gradient(&seen, &mut dh[numbers]);
            }
        }
    }
    let loss = Tensor::from_vec(vec![T::of(loss)], (), &Device::Cpu)?;
    let loss = Var::record(loss, &[h], move |dy, inputs| match inputs.slot(0) {
        Some(slot) => add_scaled(slot, dh, cpu::read::<T>(dy)?[0]),
        None => Ok(()),
    });
    Ok(Found { loss, scores, divergences })
}

#[cfg(test)]
mod tests {
    use super::super::Direction;
    use super::super::native::{self, Divergences};
    use super::*;
    use crate::rows::{add, gather_rows};

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 1009) as f64 - 504.0) / 504.0).collect()
    }

    fn tensor(shape: &[usize], seed: usize) -> Tensor {
        Tensor::from_vec(numbers(shape.iter().product(), seed), shape, &Device::Cpu).unwrap()
    }

    /// Targets and references side by side, against one after the other.
    fn check(n: usize, n_others: usize, d_model: usize, n_vocab: usize, soft_cap: Option<f64>) {
        let h = Var::unknown(tensor(&[n + n_others, d_model], 1));
        let weight = Weight::Dense(tensor(&[n_vocab, d_model], 2));
        let bias = Var::constant(tensor(&[n_vocab], 3));
        let head = Head { weight: Matrix::Frozen(&weight), bias: Some(&bias), soft_cap };
        let targets: Vec<u32> = (0..n).map(|i| (i * 89 % n_vocab) as u32).collect();
        let (weights, of_others) = (numbers(n, 4), numbers(n_others, 5));
        let said = native::log_softmax::<f64>(&tensor(&[n_others, n_vocab], 6)).unwrap();
        let said = said.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let rows = Targets { targets: &targets, weights: &weights };
        let others = References { said: &said, weights: &of_others };
        let found = loss(&h, &head, &weight, &rows, others).unwrap();

        let [first, last] = [(0, n), (n, n + n_others)].map(|(from, to)| {
            let rows: Vec<u32> = (from as u32..to as u32).collect();
            gather_rows(&h, &rows).unwrap()
        });
        let (scored, scores) = native::fused::<f64, _>(&first, &head, &rows).unwrap();
        let direction = Direction::ToReference;
        let rows = Divergences { reference: &said, direction, weights: &of_others };
        let (divergence, divergences) = native::fused::<f64, _>(&last, &head, &rows).unwrap();
        let expected = add(&scored, &divergence).unwrap();

        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
        close(scalar(&found.loss), scalar(&expected));
        for (score, expected) in found.scores.iter().zip(&scores) {
            close(score.0, expected.0);
            close(score.1, expected.1);
        }
        assert_eq!(found.divergences.len(), n_others);
        found.divergences.iter().zip(&divergences).for_each(|(&a, &b)| close(a, b));
        let [dh, expected] = [found.loss, expected].map(|loss| {
            let gradients = loss.gradients(&[&h]).unwrap();
            gradients[0].flatten_all().unwrap().to_vec1::<f64>().unwrap()
        });
        dh.iter().zip(&expected).for_each(|(&a, &b)| close(a, b));
    }

    #[test]
    fn one_pass_is_the_same_as_computing_the_logits_first() {
        check(1, 0, 3, 7, None);
        check(5, 2, 40, 2003, Some(1.5));
        check(0, 3, 8, 50, None);
        check(ROWS - 3, 12, 8, 601, None);
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
            let h = Tensor::ones((2, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
            let head = Head { weight: Matrix::Frozen(&weight), bias: None, soft_cap: None };
            let rows = Targets { targets: &[3], weights: &[1.0] };
            let others = References { said: &[-1f32; 100], weights: &[1.0] };
            let found = loss(&Var::unknown(h), &head, &weight, &rows, others).unwrap();
            assert!(!found.loss.value().to_scalar::<f32>().unwrap().is_finite());
            assert!(!found.scores[0].0.is_finite() && !found.divergences[0].is_finite());
        }
    }
}
