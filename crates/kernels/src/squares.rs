//! The sum of squares of a tensor's numbers, from which its norm and distances follow.

use candle_core::{DType, Tensor};

use crate::error::Result;

/// `sum_i x_i²`, summed in `f64` whatever the type of `x`.
///
/// # Errors
/// Where the device fails.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    Ok(x.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?)
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
