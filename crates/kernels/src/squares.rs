//! How large a tensor is: the sum of squares of its numbers, from which norm and distances follow,
//! and the largest of them.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};

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
    use candle_core::Device;

    use super::*;

    #[test]
    fn squares_that_single_precision_loses_are_summed() {
        let x = Tensor::new(&[4096f32, 1.0, 1.0], &Device::Cpu).unwrap();
        assert_eq!(sum_of_squares(&x).unwrap(), 16_777_218.0);
    }
}
