//! Bytes of a file as 32-bit floats.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::k_quants::{self, GgmlType};
use half::{bf16, f16};

use crate::cpu::vectorized;
use crate::stored::Format;
use crate::{blocks, iq4};

/// `bytes` as numbers of type `T`, where they are aligned for it and a whole number of them.
pub(crate) fn cast<T>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: called only with plain number types and candle's `repr(C)` quantization blocks, of
    // which every bit pattern is a value; `align_to` takes care of alignment and length.
    let (head, numbers, tail) = unsafe { bytes.align_to::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(numbers)
}

/// Calls `with` on `bytes` as numbers of type `T`, through an aligned copy where they are not.
fn with_cast<T>(bytes: &[u8], with: impl FnOnce(&[T])) {
    if let Some(numbers) = cast(bytes) {
        return with(numbers);
    }
    let n = bytes.len() / size_of::<T>();
    let mut copy = Vec::<T>::with_capacity(n);
    // SAFETY: `copy` has room for `n` values, and every bit pattern is one (see `cast`).
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy.as_mut_ptr().cast(), n * size_of::<T>());
        copy.set_len(n);
    }
    with(&copy);
}

/// The number that `x` is the upper half of.
#[inline(always)]
fn of_bf16(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// The number of half the width, without a branch.
#[inline(always)]
fn of_f16(x: f16) -> f32 {
    /// 2^112, by which exponents of one width are less than those of the other.
    const SHIFT: f32 = f32::from_bits((127 + 112) << 23);
    /// The exponents of what is not finite, in either width.
    const NARROW: u32 = 0x1f << 23;
    const WIDE: u32 = 0xff << 23;
    let sign = u32::from(x.to_bits() & 0x8000) << 16;
    let magnitude = u32::from(x.to_bits() & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * SHIFT).to_bits();
    f32::from_bits(sign | if magnitude < NARROW { finite } else { magnitude | WIDE })
}

/// Decodes number after number, as [`each_block`].
macro_rules! each_number {
    ($number:ident, $numbers:expr, $out:expr) => {
        vectorized(
            #[inline(always)]
            || {
                for (out, &x) in $out.iter_mut().zip($numbers) {
                    *out = $number(x);
                }
            },
        )
    };
}

/// Decodes block after block; a macro, since only a function that is called by its name is inlined
/// and so compiled for the processor at hand.
macro_rules! each_block {
    ($block:path, $bytes:expr, $out:expr) => {{
        let (bytes, out) = ($bytes.as_chunks().0, $out.as_chunks_mut().0);
        vectorized(
            #[inline(always)]
            || {
                for (bytes, out) in bytes.iter().zip(out) {
                    // A copy is known not to overlap what is written, so that vectors can be used.
                    let bytes = *bytes;
                    $block(&bytes, out);
                }
            },
        );
    }};
}

/// Decodes `bytes`, numbers in `format`, into `out`, which has room for just as many.
pub(crate) fn decode(format: Format, bytes: &[u8], out: &mut [f32]) {
    fn as_candle_does<B: GgmlType>(bytes: &[u8], out: &mut [f32]) {
        with_cast::<B>(bytes, |blocks| B::to_float(blocks, out));
    }
    match format {
        Format::F32 | Format::Ggml(GgmlDType::F32) => {
            with_cast::<f32>(bytes, |numbers| out.copy_from_slice(numbers));
        }
        Format::F16 | Format::Ggml(GgmlDType::F16) => with_cast::<f16>(bytes, |numbers| {
            each_number!(of_f16, numbers, out);
        }),
        Format::BF16 | Format::Ggml(GgmlDType::BF16) => with_cast::<bf16>(bytes, |numbers| {
            each_number!(of_bf16, numbers, out);
        }),
        Format::Iq4Nl => each_block!(iq4::decode_nl, bytes, out),
        Format::Iq4Xs => each_block!(iq4::decode_xs, bytes, out),
        Format::Ggml(dtype) => match dtype {
            GgmlDType::Q4_0 => each_block!(blocks::q4_0, bytes, out),
            GgmlDType::Q4_1 => each_block!(blocks::q4_1, bytes, out),
            GgmlDType::Q8_0 => each_block!(blocks::q8_0, bytes, out),
            GgmlDType::Q5_0 => each_block!(blocks::q5_0, bytes, out),
            GgmlDType::Q5_1 => each_block!(blocks::q5_1, bytes, out),
            GgmlDType::Q4K => each_block!(blocks::q4_k, bytes, out),
            GgmlDType::Q5K => each_block!(blocks::q5_k, bytes, out),
            GgmlDType::Q6K => each_block!(blocks::q6_k, bytes, out),
            GgmlDType::Q8_1 => as_candle_does::<k_quants::BlockQ8_1>(bytes, out),
            GgmlDType::Q2K => as_candle_does::<k_quants::BlockQ2K>(bytes, out),
            GgmlDType::Q3K => as_candle_does::<k_quants::BlockQ3K>(bytes, out),
            GgmlDType::Q8K => as_candle_does::<k_quants::BlockQ8K>(bytes, out),
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => unreachable!("dense, above"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_of_half_the_width_are_what_they_say() {
        for bits in 0..=u16::MAX {
            let (narrow, wide) = (f16::from_bits(bits), bf16::from_bits(bits));
            let expected = [narrow.to_f32(), wide.to_f32()];
            for (found, expected) in [of_f16(narrow), of_bf16(wide)].into_iter().zip(expected) {
                let same = found.to_bits() == expected.to_bits();
                assert!(
                    same || found.is_nan() && expected.is_nan(),
                    "{bits:x}: {found} {expected}"
                );
            }
        }
    }
}
