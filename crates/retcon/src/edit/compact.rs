//! Storing a change with as few numbers as its error allows: factors where they are smaller.

use candle_core::{DType, Device, Tensor};
use faer::Mat;
use retcon_kernels::squares::sum_of_squares;
use retcon_model::Update;
use retcon_model::random::Random;

use crate::error::Result;

/// `change` as factors where these are smaller than it and within `error` of it (Frobenius norm,
/// relative), otherwise as it is.
///
/// Randomized range finding (Halko, Martinsson and Tropp 2011, algorithm 4.1, with random signs),
/// with four times as many directions until the error is met, or until the decline so far says that
/// it won't be. The error is computed, not estimated.
///
/// # Errors
/// Where memory or the device fails.
pub fn compact(change: &Tensor, error: f64, seed: u64) -> Result<Update> {
    let dense = || Ok(Update::Dense(change.clone()));
    let &[d_out, d_in] = change.dims() else { return dense() };
    let numbers = change.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
    let total = sum_of_squares(&numbers)?;
    if total == 0.0 {
        return dense();
    }
    let mut random = Random::new(seed);
    let (mut rank, mut lacked_before) = (8, 1.0);
    // Factors that save less than half are not worth a product more in every pass.
    while rank <= d_out.min(d_in) && 2 * rank * (d_out + d_in) <= d_out * d_in {
        let probe: Vec<f32> = (0..d_in * rank).map(|_| random.sign()).collect();
        let probe = Tensor::from_vec(probe, (d_in, rank), &Device::Cpu)?;
        let left = orthonormal(&numbers.matmul(&probe)?)?; // [d_out, rank]
        let right = left.t()?.matmul(&numbers)?; // [rank, d_in]
        let missed = || sum_of_squares(&numbers.sub(&left.matmul(&right)?)?);
        // What the factors miss is what they lack, to the precision of `f32`: look closer only
        // where that may be little enough.
        let lacked = 1.0 - sum_of_squares(&right)? / total;
        if lacked <= (4.0 * error * error).max(1e-5) && missed()? <= error * error * total {
            let device = change.device();
            let (left, right) = (left.to_device(device)?, right.to_device(device)?);
            return Ok(Update::LowRank { left, right });
        }
        // The spectra of trained changes fall slower and slower. Twice the decline that was seen
        // last leaves room for one that doesn't.
        let decline = lacked / lacked_before;
        if rank > 8 && lacked * decline * decline > error * error {
            break;
        }
        (rank, lacked_before) = (4 * rank, lacked);
    }
    dense()
}

/// An orthonormal basis of the columns of `tensor` `[n, k]`, `k <= n`, computed in `f64`.
fn orthonormal(tensor: &Tensor) -> Result<Tensor> {
    let (n, k) = tensor.dims2()?;
    let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
    let basis = Mat::from_fn(n, k, |i, j| f64::from(numbers[i * k + j])).qr().compute_thin_Q();
    let basis: Vec<f32> = (0..n * k).map(|i| basis[(i / k, i % k)] as f32).collect();
    Ok(Tensor::from_vec(basis, (n, k), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n: usize, k: usize, seed: u64) -> Tensor {
        let mut random = Random::new(seed);
        let numbers: Vec<f32> = (0..n * k).map(|_| random.normal() as f32).collect();
        Tensor::from_vec(numbers, (n, k), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_change_of_low_rank_is_stored_as_factors_within_the_error() {
        let change = random(60, 3, 1).matmul(&random(3, 90, 2)).unwrap();
        let update = compact(&change, 1e-3, 0).unwrap();
        assert_eq!(update.rank(), Some(8));
        let missed = sum_of_squares(&update.to_dense().unwrap().sub(&change).unwrap()).unwrap();
        assert!(missed <= 1e-6 * sum_of_squares(&change).unwrap());
    }

    #[test]
    fn what_factors_do_not_make_smaller_stays_dense() {
        assert_eq!(compact(&random(60, 90, 1), 1e-3, 0).unwrap().rank(), None);
        assert_eq!(compact(&random(1, 5, 1).squeeze(0).unwrap(), 1e-3, 0).unwrap().rank(), None);
        let nothing = Tensor::zeros((60, 90), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(compact(&nothing, 1e-3, 0).unwrap().norm().unwrap(), 0.0);
    }
}
