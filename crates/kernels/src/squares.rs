//! How large a tensor is: the sum of squares of its numbers, from which norm and distances follow,
//! the largest of them, and the norms of its rows.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::autograd::Var;
use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};
use crate::shape;

/// `sum_i x_i²`, summed in `f64` whatever the type of `x`.
///
/// # Errors
/// Where the device fails.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    if !x.device().is_cpu() || !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Ok(x.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?);
    }
    let x = x.contiguous()?;
    real::dispatch!(x.dtype(), T => Ok(of_numbers(&cpu::read::<T>(&x)?)))
}

/// `max_i |x_i|`.
///
/// # Errors
/// Where `x` has no numbers, or the device fails.
pub fn largest(x: &Tensor) -> Result<f64> {
    Ok(x.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar()?)
}

/// What [`norms`] finds.
#[derive(Clone, Debug)]
pub struct Norms {
    /// `sum_i weights[i] per_row[i]`, a scalar.
    pub loss: Var,
    /// The Euclidean norm of each row.
    pub per_row: Vec<f64>,
}

/// The weighted sum of the Euclidean norms of the rows of `x`, `[n, d]`.
///
/// Gradient: each row over its norm, times its weight; zero for a row of zeros, as a subgradient.
///
/// # Errors
/// Where `x` is no matrix, the weights are not one a row, or the device fails.
pub fn norms(x: &Var, weights: &[f64]) -> Result<Norms> {
    let (n, _) = shape::matrix("norms", "input", "[n, d]", x.value())?;
    shape::check_len("norms", "weights", n, weights.len())?;
    let norm = |i| Ok(sum_of_squares(&x.value().narrow(0, i, 1)?)?.sqrt());
    let per_row = (0..n).map(norm).collect::<Result<Vec<f64>>>()?;
    let total: f64 = per_row.iter().zip(weights).map(|(norm, weight)| norm * weight).sum();
    let (dtype, device) = (x.value().dtype(), x.value().device());
    let loss = Tensor::new(total, device)?.to_dtype(dtype)?;
    let factor = |(norm, weight): (&f64, &f64)| if *norm > 0.0 { weight / norm } else { 0.0 };
    let factors: Vec<f64> = per_row.iter().zip(weights).map(factor).collect();
    let factors = Tensor::from_vec(factors, (n, 1), &Device::Cpu)?;
    let factors = factors.to_dtype(dtype)?.to_device(device)?;
    let rows = x.value().clone();
    let loss = Var::record(loss, &[x], move |dy, inputs| {
        let Some(slot) = inputs.slot(0) else { return Ok(()) };
        slot.add_owned(rows.broadcast_mul(&factors)?.broadcast_mul(dy)?)
    });
    Ok(Norms { loss, per_row })
}

/// The sum over runs that don't depend on the number of threads, in order.
fn of_numbers<T: Real>(x: &[T]) -> f64 {
    const RUN: usize = 1 << 16;
    const LANES: usize = 16;
    let of_run = |run: &[T]| {
        cpu::vectorized(
            #[inline(always)]
            || {
                let mut sums = [0.0; LANES];
                let (chunks, tail) = run.as_chunks::<LANES>();
                for chunk in chunks {
                    for (sum, x) in sums.iter_mut().zip(chunk) {
                        let x = x.to_f64();
                        *sum += x * x;
                    }
                }
                sums.iter().sum::<f64>() + tail.iter().map(|x| x.to_f64().powi(2)).sum::<f64>()
            },
        )
    };
    x.par_chunks(RUN).map(of_run).collect::<Vec<f64>>().iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_of_norms_is_the_direction_of_each_row() {
        let x = Tensor::new(&[[3f64, 4.0], [0.0, 0.0], [0.0, -2.0]], &Device::Cpu).unwrap();
        let x = Var::unknown(x);
        let found = norms(&x, &[1.0, 5.0, 0.5]).unwrap();
        assert_eq!(found.per_row, [5.0, 0.0, 2.0]);
        assert_eq!(found.loss.value().to_scalar::<f64>().unwrap(), 6.0);
        let gradient = found.loss.gradients(&[&x]).unwrap().remove(0).flatten_all().unwrap();
        let expected = [0.6, 0.8, 0.0, 0.0, 0.0, -0.5];
        for (found, expected) in gradient.to_vec1::<f64>().unwrap().iter().zip(expected) {
            // A quotient and a product, each rounded once.
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
    }

    #[test]
    fn squares_that_single_precision_loses_are_summed() {
        let x = Tensor::new(&[4096f32, 1.0, 1.0], &Device::Cpu).unwrap();
        assert_eq!(sum_of_squares(&x).unwrap(), 16_777_218.0);
    }
}
