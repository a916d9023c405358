//! The numbers that the CPU loops are written for: `f32` to work with, `f64` to check against.

use candle_core::{CpuStorage, WithDType};
use pulp::Simd;

/// A floating-point number with the functions that vectorize in a loop.
pub trait Real: WithDType + std::ops::Neg<Output = Self> + std::iter::Sum + 'static {
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Less than every number.
    const NEG_INFINITY: Self;

    /// The numbers of a storage of this type, to write to.
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;

    /// 32-bit numbers as numbers of this type, where they are of this type.
    fn from_f32_slice(numbers: &[f32]) -> Option<&[Self]>;

    /// Numbers of this type as 32-bit numbers, where they are such.
    fn f32_slice_mut(numbers: &mut [Self]) -> Option<&mut [f32]>;

    /// `e` to the power of `self`.
    fn exp(self) -> Self;

    /// The error function.
    fn erf(self) -> Self;

    /// `self * factor + term`, rounded once; only within [`vectorized`](crate::cpu::vectorized)
    /// work is it a single instruction.
    fn mul_add(self, factor: Self, term: Self) -> Self;

    /// The natural logarithm.
    fn ln(self) -> Self;

    /// The square root.
    fn sqrt(self) -> Self;

    /// The hyperbolic tangent.
    #[inline(always)]
    fn tanh(self) -> Self {
        // Exact at both ends, and a single exponential.
        Self::ONE - Self::of(2.0) / ((self + self).exp() + Self::ONE)
    }

    /// The logistic function `1 / (1 + e^-x)`.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }

    /// The larger one; `self` where the other is not a number.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    /// As many of them as one register of `S` holds.
    type Vector<S: Simd>: Copy;

    /// A vector of which every number is `x`.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// `a b + sum`, number by number, as [`Real::mul_add`].
    fn mul_add_vectors<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        sum: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// The vectors that `numbers` begin with.
    fn vectors<S: Simd>(numbers: &[Self]) -> &[Self::Vector<S>];

    /// The vectors that `numbers` begin with, to write.
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Vector<S>];

    /// The largest number of this type that is not above `x`.
    fn not_above(x: f64) -> Self;

    /// The constant `x` in this type.
    #[inline(always)]
    fn of(x: f64) -> Self {
        Self::from_f64(x)
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = Self::NEG_INFINITY;

    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(numbers) => Some(numbers),
            _ => None,
        }
    }

    fn from_f32_slice(numbers: &[f32]) -> Option<&[Self]> {
        Some(numbers)
    }

    fn f32_slice_mut(numbers: &mut [Self]) -> Option<&mut [f32]> {
        Some(numbers)
    }

    fn not_above(x: f64) -> Self {
        let near = x as Self;
        if f64::from(near) > x { near.next_down() } else { near }
    }

    /// Within 2 units in the last place over the whole range (tested); 0 below -87.3.
    #[inline(always)]
    fn exp(self) -> Self {
        // x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial for e^r (Cephes' expf), and n goes
        // into the exponent's bits. Comparisons are written so that NaN passes through.
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
        const LOW: f32 = -87.336_54;
        const HIGH: f32 = 88.722_83;
        let x = if self < LOW { LOW } else { self };
        let x = if x > HIGH { HIGH } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4;
        let r = r + n * 2.121_944_4e-4;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 0.5;
        let p = p * r * r + r + 1.0;
        // n may be 128, one more than an exponent holds: scale by half of it, twice.
        let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        let half = n >> 1;
        let two_to = |n: i32| Self::from_bits((n.wrapping_add(127) as u32) << 23);
        let scaled = p * two_to(half) * two_to(n.wrapping_sub(half));
        if self < LOW { 0.0 } else { scaled }
    }

    /// Abramowitz and Stegun 7.1.26; absolute error below 2e-7.
    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.abs();
        let t = 1.0 / (1.0 + 0.327_591_1 * x);
        let p = 1.061_405_4 * t - 1.453_152_1;
        let p = p * t + 1.421_413_8;
        let p = p * t - 0.284_496_72;
        let p = p * t + 0.254_829_6;
        let y = 1.0 - p * t * Real::exp(-x * x);
        y.copysign(self)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self::mul_add(self, factor, term)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        Self::ln(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    type Vector<S: Simd> = S::f32s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: Self) -> S::f32s {
        simd.splat_f32s(x)
    }

    #[inline(always)]
    fn mul_add_vectors<S: Simd>(simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_f32s(a, b, sum)
    }

    #[inline(always)]
    fn vectors<S: Simd>(numbers: &[Self]) -> &[S::f32s] {
        S::as_simd_f32s(numbers).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(numbers).0
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = Self::NEG_INFINITY;

    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(numbers) => Some(numbers),
            _ => None,
        }
    }

    fn from_f32_slice(_: &[f32]) -> Option<&[Self]> {
        None
    }

    fn f32_slice_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    fn not_above(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn exp(self) -> Self {
        Self::exp(self)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self::mul_add(self, factor, term)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        Self::ln(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    type Vector<S: Simd> = S::f64s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: Self) -> S::f64s {
        simd.splat_f64s(x)
    }

    #[inline(always)]
    fn mul_add_vectors<S: Simd>(simd: S, a: S::f64s, b: S::f64s, sum: S::f64s) -> S::f64s {
        simd.mul_add_f64s(a, b, sum)
    }

    #[inline(always)]
    fn vectors<S: Simd>(numbers: &[Self]) -> &[S::f64s] {
        S::as_simd_f64s(numbers).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::f64s] {
        S::as_mut_simd_f64s(numbers).0
    }
}

/// Evaluates an expression with `T` as the number type of a dtype; an error for other dtypes.
macro_rules! dispatch {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            dtype => Err(candle_core::Error::UnsupportedDTypeForOp(dtype, "cpu").bt().into()),
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error of `f` against `exact` over `n` points of a range.
    fn error(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
        (0..100_000)
            .map(|i| {
                let x = (low + (high - low) * f64::from(i) / 1e5) as f32;
                let exact = exact(f64::from(x));
                (f64::from(f(x)) - exact).abs() / exact.abs().max(1e-37)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        // 2 ulp of f32 is 2.4e-7.
        assert!(error(Real::exp, f64::exp, -87.0, 88.7) < 2.4e-7);
    }

    #[test]
    fn exp_keeps_its_limits() {
        assert_eq!(Real::exp(0f32), 1.0);
        assert_eq!(Real::exp(-100f32), 0.0);
        assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
        assert!(Real::exp(f32::NAN).is_nan());
        assert!(Real::exp(f32::INFINITY) > 3e38);
    }

    #[test]
    fn erf_and_tanh_are_accurate() {
        for i in -600..600 {
            let x = i as f32 / 100.0;
            let exact = candle_core::cpu::erf::erf_f64(f64::from(x));
            assert!((f64::from(Real::erf(x)) - exact).abs() < 3e-7, "erf({x})");
            assert!((Real::tanh(x) - f32::tanh(x)).abs() < 3e-7, "tanh({x})");
        }
    }
}
