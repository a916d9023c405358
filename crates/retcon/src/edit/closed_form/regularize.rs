//! What keeps a change small after it was solved for: functions from a change to a change.

use candle_core::{DType, Device, Tensor};
use faer::Mat;
use retcon_model::random::Random;

use crate::error::{Error, Result};
use crate::linalg::to_mat;

/// `change` with the share `share` of its numbers that change `weight` most in proportion, and zeros
/// in the place of the others (RECT: Gu et al. 2024, arXiv 2401.04700, section 5).
pub(super) fn kept(change: &Tensor, weight: &Tensor, share: f64) -> Result<Tensor> {
    /// Keeps numbers of a weight that are zero from being divided by.
    const LEAST: f32 = 1e-8;
    let flat = |tensor: &Tensor| -> Result<Vec<f32>> {
        Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    };
    let (mut numbers, weight) = (flat(change)?, flat(weight)?);
    let relative = |(change, weight): (&f32, &f32)| (change / (weight.abs() + LEAST)).abs();
    let sizes: Vec<f32> = numbers.iter().zip(&weight).map(relative).collect();
    let n_left_out = numbers.len() - (share * numbers.len() as f64).round() as usize;
    let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
    if n_left_out > 0 && n_left_out < order.len() {
        let by_size = |&i: &u32| sizes[i as usize];
        order.select_nth_unstable_by(n_left_out, |a, b| {
            by_size(a).total_cmp(&by_size(b)).then(a.cmp(b))
        });
    }
    order[..n_left_out].iter().for_each(|&i| numbers[i as usize] = 0.0);
    Ok(Tensor::from_vec(numbers, change.dims(), change.device())?)
}

/// The change `left right` with its singular values condensed that are above `limit`, the largest one
/// of `weight`: `σ <- log_base(σ) - log_base(limit) + limit` (PRUNE: Ma et al. 2024, arXiv 2405.16821,
/// equation 7), which is the one that no edit has touched. Applied to the sum of all changes; published
/// once, after the last of them.
pub(super) fn condensed(
    left: Mat<f64>,
    right: Mat<f64>,
    weight: &Tensor,
    base: f64,
) -> Result<(Mat<f64>, Mat<f64>)> {
    let limit = largest_singular_value(weight)?;
    let (q_left, q_right) = (left.qr(), right.transpose().to_owned().qr());
    let core = q_left.thin_R() * q_right.thin_R().transpose();
    let failed =
        |_| Error::Singular { what: "a change whose singular values are wanted".to_owned() };
    let svd = core.thin_svd().map_err(failed)?;
    let values = svd.S().column_vector();
    let mut u = svd.U().to_owned();
    for (i, value) in (0..values.nrows()).map(|i| (i, values[i])) {
        let condensed = match value >= limit {
            true => (value.ln() - limit.ln()) / base.ln() + limit,
            false => value,
        };
        for row in 0..u.nrows() {
            u[(row, i)] *= condensed;
        }
    }
    let left = q_left.compute_thin_Q() * u;
    let right = (q_right.compute_thin_Q() * svd.V()).transpose().to_owned();
    Ok((left, right))
}

/// The largest singular value of `weight` `[n, k]`, by the power method.
fn largest_singular_value(weight: &Tensor) -> Result<f64> {
    let weight = to_mat(weight)?;
    let mut random = Random::new(0);
    let mut x = Mat::from_fn(weight.ncols(), 1, |_, _| random.normal());
    let mut value = 0.0;
    /// Enough for six digits where the second value is within a percent of the first.
    const STEPS: usize = 400;
    for _ in 0..STEPS {
        let y = weight.transpose() * (&weight * &x);
        let norm = y.norm_l2();
        let next = (norm / x.norm_l2().max(f64::MIN_POSITIVE)).sqrt();
        x = faer::Scale(1.0 / norm.max(f64::MIN_POSITIVE)) * y;
        if (next - value).abs() <= 1e-9 * next {
            return Ok(next);
        }
        value = next;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::to_tensor;

    fn mat(n: usize, k: usize, seed: u64) -> Mat<f64> {
        let mut random = Random::new(seed);
        Mat::from_fn(n, k, |_, _| random.normal())
    }

    #[test]
    fn the_numbers_are_kept_that_change_most_in_proportion() {
        let change = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let weight = Tensor::new(&[[0.1f32, 1.0], [10.0, -2.0]], &Device::Cpu).unwrap();
        let half = kept(&change, &weight, 0.5).unwrap().to_vec2::<f32>().unwrap();
        // Of 10, 2, 0.3 and 2 the first and the last of the two twos.
        assert_eq!(half, [[1.0, 0.0], [0.0, 4.0]]);
        let all = kept(&change, &weight, 1.0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(all, change.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn large_singular_values_are_condensed_and_small_ones_stay() {
        let weight = Tensor::new(&[[2f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        let (left, right) = (mat(2, 2, 1), mat(2, 2, 2));
        let before = (&left * &right).singular_values().unwrap();
        let (condensed_left, condensed_right) =
            condensed(left.clone(), right.clone(), &weight, 1.5).unwrap();
        let after = (&condensed_left * &condensed_right).singular_values().unwrap();
        for (before, after) in before.iter().zip(&after) {
            let expected = if *before >= 2.0 {
                before.ln() / 1.5f64.ln() - 2f64.ln() / 1.5f64.ln() + 2.0
            } else {
                *before
            };
            assert!((after - expected).abs() < 1e-9, "{before} {after}");
        }
        let limit =
            largest_singular_value(&to_tensor(mat(9, 30, 3).as_ref(), &Device::Cpu).unwrap());
        let expected = mat(9, 30, 3).singular_values().unwrap()[0];
        assert!((limit.unwrap() - expected).abs() < 1e-5 * expected);
    }
}
