//! The blocks of numbers that most quantized files consist of, as ggml defines them.
//!
//! Each function decodes one block, in loops that are simple enough for vectors, which candle's,
//! compiled for any processor, do not get; the numbers are candle's to the last bit. A number is a
//! small integer times a scale of its part of the block, above or below an offset.

use half::f16;

/// Numbers of a small block.
pub(crate) const SMALL: usize = 32;

/// Numbers of a large block.
pub(crate) const LARGE: usize = 256;

/// A scale or an offset.
#[inline(always)]
pub(crate) fn half(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

/// The lower half of a byte.
#[inline(always)]
fn lower(byte: u8) -> i32 {
    i32::from(byte & 0xf)
}

/// The upper half of a byte.
#[inline(always)]
fn upper(byte: u8) -> i32 {
    i32::from(byte >> 4)
}

/// 16 where `bits` has the bit `n`, a fifth bit of a number.
#[inline(always)]
fn fifth(bits: u32, n: u32) -> i32 {
    (bits >> n << 4 & 16).cast_signed()
}

/// A scale, and 32 bytes.
#[inline(always)]
pub(crate) fn q8_0([d0, d1, bytes @ ..]: &[u8; 2 + 32], out: &mut [f32; SMALL]) {
    let scale = half([*d0, *d1]);
    for (out, byte) in out.iter_mut().zip(bytes) {
        *out = f32::from(byte.cast_signed()) * scale;
    }
}

/// A scale, and half bytes: the lower ones of all bytes, then the upper ones, above -8.
#[inline(always)]
pub(crate) fn q4_0([d0, d1, bytes @ ..]: &[u8; 2 + 16], out: &mut [f32; SMALL]) {
    let scale = half([*d0, *d1]);
    let (first, last) = out.split_at_mut(SMALL / 2);
    for ((first, last), &byte) in first.iter_mut().zip(last).zip(bytes) {
        *first = (lower(byte) - 8) as f32 * scale;
        *last = (upper(byte) - 8) as f32 * scale;
    }
}

/// A scale, the least number, and half bytes as in [`q4_0`].
#[inline(always)]
pub(crate) fn q4_1([d0, d1, m0, m1, bytes @ ..]: &[u8; 4 + 16], out: &mut [f32; SMALL]) {
    let (scale, least) = (half([*d0, *d1]), half([*m0, *m1]));
    let (first, last) = out.split_at_mut(SMALL / 2);
    for ((first, last), &byte) in first.iter_mut().zip(last).zip(bytes) {
        *first = lower(byte) as f32 * scale + least;
        *last = upper(byte) as f32 * scale + least;
    }
}

/// A scale, a fifth bit of each number, and half bytes as in [`q4_0`], above -16.
#[inline(always)]
pub(crate) fn q5_0([d0, d1, b0, b1, b2, b3, bytes @ ..]: &[u8; 6 + 16], out: &mut [f32; SMALL]) {
    let (scale, bits) = (half([*d0, *d1]), u32::from_le_bytes([*b0, *b1, *b2, *b3]));
    let (first, last) = out.split_at_mut(SMALL / 2);
    for (i, ((first, last), &byte)) in (0..).zip(first.iter_mut().zip(last).zip(bytes)) {
        *first = ((lower(byte) | fifth(bits, i)) - 16) as f32 * scale;
        *last = ((upper(byte) | fifth(bits, i + 16)) - 16) as f32 * scale;
    }
}

/// A scale, the least number, a fifth bit of each number, and half bytes as in [`q4_0`].
#[inline(always)]
pub(crate) fn q5_1(
    [d0, d1, m0, m1, b0, b1, b2, b3, bytes @ ..]: &[u8; 8 + 16],
    out: &mut [f32; SMALL],
) {
    let (scale, least) = (half([*d0, *d1]), half([*m0, *m1]));
    let bits = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
    let (first, last) = out.split_at_mut(SMALL / 2);
    for (i, ((first, last), &byte)) in (0..).zip(first.iter_mut().zip(last).zip(bytes)) {
        *first = (lower(byte) | fifth(bits, i)) as f32 * scale + least;
        *last = (upper(byte) | fifth(bits, i + 16)) as f32 * scale + least;
    }
}

/// The scale and the offset of each part of 32 numbers, in six bits each: the first four of both in
/// bytes of their own, whose two upper bits belong to the others.
#[inline(always)]
fn scales_and_offsets(packed: &[u8; 12]) -> [(f32, f32); LARGE / 32] {
    std::array::from_fn(
        #[inline(always)]
        |i| {
            let (scale, offset) = match i.checked_sub(4) {
                None => (packed[i] & 63, packed[i + 4] & 63),
                Some(j) => {
                    let halves = packed[i + 4];
                    (halves & 0xf | packed[j] >> 6 << 4, halves >> 4 | packed[j + 4] >> 6 << 4)
                }
            };
            (f32::from(scale), f32::from(offset))
        },
    )
}

/// Two scales, of scales and of offsets, these, and half bytes: in runs of 32, the lower ones first.
#[inline(always)]
pub(crate) fn q4_k(bytes: &[u8; 4 + 12 + 128], out: &mut [f32; LARGE]) {
    let ([d0, d1, m0, m1], packed, halves) = three::<_, 128>(bytes);
    let (scale, offset) = (half([*d0, *d1]), half([*m0, *m1]));
    let parts = scales_and_offsets(packed);
    let halves = halves.as_chunks::<32>().0;
    for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, offset) = (scale * parts[i].0, offset * parts[i].1);
        let shift = i % 2 * 4;
        for (out, byte) in out.iter_mut().zip(&halves[i / 2]) {
            *out = scale * lower(byte >> shift) as f32 - offset;
        }
    }
}

/// As [`q4_k`], with a fifth bit: of the run `i` the bit `i` of 32 bytes.
#[inline(always)]
pub(crate) fn q5_k(bytes: &[u8; 4 + 12 + 32 + 128], out: &mut [f32; LARGE]) {
    let ([d0, d1, m0, m1], packed, rest) = three::<_, 160>(bytes);
    let (scale, offset) = (half([*d0, *d1]), half([*m0, *m1]));
    let parts = scales_and_offsets(packed);
    let rest = rest.as_chunks::<32>().0;
    let (fifths, halves) = (&rest[0], &rest[1..]);
    for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, offset) = (scale * parts[i].0, offset * parts[i].1);
        let shift = i % 2 * 4;
        for ((out, byte), bits) in out.iter_mut().zip(&halves[i / 2]).zip(fifths) {
            let number = i32::from(*byte) >> shift & 0xf | (i32::from(*bits) >> i & 1) << 4;
            *out = scale * number as f32 - offset;
        }
    }
}

/// The first four bytes, twelve of scales, and the rest.
#[inline(always)]
fn three<const N: usize, const R: usize>(bytes: &[u8; N]) -> (&[u8; 4], &[u8; 12], &[u8; R]) {
    const { assert!(4 + 12 + R == N) };
    let (first, rest) = bytes.split_first_chunk().expect("longer");
    let (scales, rest) = rest.split_first_chunk().expect("longer");
    (first, scales, rest.first_chunk().expect("as long"))
}

/// Half bytes, two more bits of each number, a scale for each 16, and one of these; above -32. Each
/// half of the block has its half bytes as four runs of 32: lower, lower, upper, upper.
#[inline(always)]
pub(crate) fn q6_k(bytes: &[u8; 128 + 64 + 16 + 2], out: &mut [f32; LARGE]) {
    let (halves, rest) = bytes.split_first_chunk::<128>().expect("longer");
    let (bits, rest) = rest.split_first_chunk::<64>().expect("longer");
    let (scales, rest) = rest.split_first_chunk::<16>().expect("longer");
    let scale = half(*rest.first_chunk().expect("as long"));
    let (halves, bits) = (halves.as_chunks::<64>().0, bits.as_chunks::<32>().0);
    let (scales, outs) = (scales.as_chunks::<8>().0, out.as_chunks_mut::<128>().0);
    for (((halves, bits), scales), out) in halves.iter().zip(bits).zip(scales).zip(outs) {
        let (first, last) = halves.split_at(32);
        let mut numbers = [[0u8; 32]; 4];
        for (run, numbers) in numbers.iter_mut().enumerate() {
            let (halves, shift) = (if run % 2 == 0 { first } else { last }, run / 2 * 4);
            for ((number, half), bits) in numbers.iter_mut().zip(halves).zip(bits) {
                *number = half >> shift & 0xf | (bits >> (2 * run) & 3) << 4;
            }
        }
        let numbers = numbers.as_flattened().as_chunks::<16>().0;
        let outs = out.as_chunks_mut::<16>().0.iter_mut();
        for ((out, numbers), part) in outs.zip(numbers).zip(scales) {
            let scale = scale * f32::from(part.cast_signed());
            *out = std::array::from_fn(
                #[inline(always)]
                |i| scale * f32::from(numbers[i].cast_signed() - 32),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;
    use candle_core::quantized::k_quants::{self, GgmlType};

    use super::*;
    use crate::decode::decode;
    use crate::stored::Format;

    fn check<B: GgmlType>(dtype: GgmlDType) {
        let numbers: Vec<f32> =
            (0..7 * LARGE).map(|i| ((i * 7919 % 1009) as f32 - 404.0) / 99.0).collect();
        let mut blocks = vec![B::zeros(); numbers.len() / B::BLCK_SIZE];
        B::from_float(&numbers, &mut blocks);
        let mut expected = vec![0f32; numbers.len()];
        B::to_float(&blocks, &mut expected);
        // SAFETY: candle's blocks are plain bytes without gaps.
        let bytes = unsafe {
            std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size_of_val(&*blocks))
        };
        let mut found = vec![0f32; numbers.len()];
        decode(Format::Ggml(dtype), bytes, &mut found);
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(a.to_bits(), b.to_bits(), "{dtype:?}, number {i}: {a} {b}");
        }
        assert!(numbers.iter().zip(&found).all(|(a, b)| (a - b).abs() < 0.5), "{dtype:?}");
    }

    #[test]
    fn blocks_are_what_candle_makes_of_them() {
        check::<k_quants::BlockQ4_0>(GgmlDType::Q4_0);
        check::<k_quants::BlockQ4_1>(GgmlDType::Q4_1);
        check::<k_quants::BlockQ5_0>(GgmlDType::Q5_0);
        check::<k_quants::BlockQ5_1>(GgmlDType::Q5_1);
        check::<k_quants::BlockQ8_0>(GgmlDType::Q8_0);
        check::<k_quants::BlockQ4K>(GgmlDType::Q4K);
        check::<k_quants::BlockQ5K>(GgmlDType::Q5K);
        check::<k_quants::BlockQ6K>(GgmlDType::Q6K);
    }
}
