//! The two types of ggml whose numbers are one of sixteen uneven levels times a scale, which candle
//! does not have: `IQ4_NL` with a scale for 32 numbers, and `IQ4_XS` with one of six bits for 32
//! numbers in a block of 256, which has another for all.
//!
//! Numbers that come from such a type are the same when they are written in it again, so that a file in
//! which some change keeps the others.

use half::f16;

use crate::blocks::{LARGE, SMALL, half};
use crate::cpu::{reduce, vectorized};

/// Source: `kvalues_iq4nl` of ggml's `ggml-common.h`.
const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// What the scales of the parts of a large block are above: they are integers from -32 to 31.
const OFFSET: i32 = 32;

/// The levels of 32 numbers: half bytes, the lower ones of all bytes, then the upper ones.
#[inline(always)]
fn decode_part(scale: f32, halves: &[u8; SMALL / 2], out: &mut [f32; SMALL]) {
    let (first, last) = out.split_at_mut(SMALL / 2);
    for ((first, last), &byte) in first.iter_mut().zip(last).zip(halves) {
        *first = scale * f32::from(LEVELS[usize::from(byte & 0xf)]);
        *last = scale * f32::from(LEVELS[usize::from(byte >> 4)]);
    }
}

/// A scale, and levels.
#[inline(always)]
pub(crate) fn decode_nl([d0, d1, halves @ ..]: &[u8; 2 + SMALL / 2], out: &mut [f32; SMALL]) {
    decode_part(half([*d0, *d1]), halves, out);
}

/// A scale, two upper bits of the scale of each part, four lower ones, and levels.
#[inline(always)]
pub(crate) fn decode_xs(
    [d0, d1, h0, h1, l0, l1, l2, l3, halves @ ..]: &[u8; 4 + 4 + LARGE / 2],
    out: &mut [f32; LARGE],
) {
    let scale = half([*d0, *d1]);
    let (upper, lower) = (u16::from_le_bytes([*h0, *h1]), u32::from_le_bytes([*l0, *l1, *l2, *l3]));
    let halves = halves.as_chunks().0;
    for (part, (halves, out)) in halves.iter().zip(out.as_chunks_mut().0).enumerate() {
        let bits = (lower >> (4 * part) & 0xf) as i32 | i32::from(upper >> (2 * part) & 3) << 4;
        decode_part(scale * (bits - OFFSET) as f32, halves, out);
    }
}

/// The block nearest to `x` by squared distance, of the scales that [`fitting`] tries.
pub(crate) fn encode_nl(x: &[f32; SMALL]) -> [u8; 2 + SMALL / 2] {
    let scale = fitting(x, narrowed);
    let mut block = [0; 2 + SMALL / 2];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..].copy_from_slice(&halves(x, scale));
    block
}

/// As [`encode_nl`]; the scales of parts are integers times a common one, which one of them fits.
pub(crate) fn encode_xs(x: &[f32; LARGE]) -> [u8; 4 + 4 + LARGE / 2] {
    let parts = x.as_chunks().0;
    let wanted: [f32; LARGE / SMALL] = std::array::from_fn(|part| fitting(&parts[part], |x| x));
    let scale = narrowed(common(&wanted));
    let mut block = [0; 4 + 4 + LARGE / 2];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let (mut upper, mut lower) = (0u16, 0u32);
    for (part, (x, wanted)) in parts.iter().zip(wanted).enumerate() {
        let own = multiple(wanted, scale);
        let bits = (own + OFFSET).cast_unsigned();
        upper |= ((bits >> 4) as u16) << (2 * part);
        lower |= (bits & 0xf) << (4 * part);
        let place = 8 + part * SMALL / 2;
        block[place..place + SMALL / 2].copy_from_slice(&halves(x, scale * own as f32));
    }
    block[2..4].copy_from_slice(&upper.to_le_bytes());
    block[4..8].copy_from_slice(&lower.to_le_bytes());
    block
}

/// As a scale comes back from a file.
fn narrowed(scale: f32) -> f32 {
    f16::from_f32(scale).to_f32()
}

/// What undoes a scale; nothing undoes zero.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The number of largest magnitude, with its sign.
fn largest(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |most: f32, &x| if x.abs() > most.abs() { x } else { most })
}

/// The integer times `scale` that is nearest to what a part wants.
fn multiple(wanted: f32, scale: f32) -> i32 {
    ((wanted * inverse(scale)).round() as i32).clamp(-OFFSET, OFFSET - 1)
}

/// The scale by which levels come nearest to `x`, as `written`: of sixteen, each the best for what is
/// nearest where the largest number has some level. What was written finds its own again.
fn fitting(x: &[f32; SMALL], written: impl Fn(f32) -> f32) -> f32 {
    let most = largest(x);
    let scale = |level| written(least_squares(x, most / f32::from(level)));
    nearest(LEVELS.into_iter().map(scale), |scale| distance(x, scale))
}

/// The scale whose multiples come nearest to `wanted`, of those of which one is the largest of them.
fn common(wanted: &[f32]) -> f32 {
    let most = largest(wanted);
    let distance = |scale: f32| -> f32 {
        wanted.iter().map(|&x| (x - multiple(x, scale) as f32 * scale).powi(2)).sum()
    };
    let scales = (-OFFSET..OFFSET).filter(|&times| times != 0).map(|times| most / times as f32);
    nearest(scales, distance)
}

/// The first one of `scales`, of which there are some, whose distance is least.
fn nearest(scales: impl Iterator<Item = f32>, distance: impl Fn(f32) -> f32) -> f32 {
    let with_distance = scales.map(|scale| (distance(scale), scale));
    with_distance.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are some").1
}

/// The best scale for the levels that `x` has with another one.
fn least_squares(x: &[f32; SMALL], scale: f32) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let levels = levels(x, inverse(scale));
            let along = reduce(
                [x, &levels],
                #[inline(always)]
                |[x, level]| x * level,
            );
            let squares = reduce(
                [&levels],
                #[inline(always)]
                |[level]| level * level,
            );
            along / squares
        },
    )
}

/// The squared distance of `x` from what it becomes.
fn distance(x: &[f32; SMALL], scale: f32) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let levels = levels(x, inverse(scale));
            reduce(
                [x, &levels],
                #[inline(always)]
                |[x, level]| (x - scale * level) * (x - scale * level),
            )
        },
    )
}

/// Between a level and the next one, and how far that is: what rounding adds where a number is beyond.
const STEPS: [(f32, f32); 15] = {
    let mut steps = [(0.0, 0.0); 15];
    let mut i = 0;
    while i < steps.len() {
        let (level, next) = (LEVELS[i] as f32, LEVELS[i + 1] as f32);
        steps[i] = ((level + next) / 2.0, next - level);
        i += 1;
    }
    steps
};

/// The level nearest to each number, where `inverse` undoes their scale.
#[inline(always)]
fn levels(x: &[f32; SMALL], inverse: f32) -> [f32; SMALL] {
    let mut levels = [f32::from(LEVELS[0]); SMALL];
    for (middle, step) in STEPS {
        for (level, x) in levels.iter_mut().zip(x) {
            *level += if x * inverse >= middle { step } else { 0.0 };
        }
    }
    levels
}

/// The levels nearest to `x`, as half bytes.
fn halves(x: &[f32; SMALL], scale: f32) -> [u8; SMALL / 2] {
    let inverse = inverse(scale);
    let which = |x: f32| STEPS.iter().filter(|(middle, _)| x * inverse >= *middle).count() as u8;
    std::array::from_fn(|i| which(x[i]) | which(x[i + SMALL / 2]) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look like chance, behind a scale of 0.0125.
    fn block<const N: usize>(seed: usize) -> [u8; N] {
        let mut block = std::array::from_fn(|i| ((i + seed) * 7919 % 1009 * 31 / 8) as u8);
        block[..2].copy_from_slice(&f16::from_f32(0.0125).to_le_bytes());
        block
    }

    /// By gguf 0.19 for Python.
    #[test]
    fn blocks_are_what_ggml_makes_of_them() {
        let (mut small, mut large) = ([0.0; SMALL], [0.0; LARGE]);
        decode_nl(&block(1), &mut small);
        decode_xs(&block(1), &mut large);
        assert_eq!(small[..3], [-0.812_301_64, -1.037_246_7, -1.299_682_6]);
        assert_eq!(small[29..], [0.662_338_26, -0.124_969_48, -1.037_246_7]);
        assert_eq!(large[..3], [-13.809_128, -13.809_128, -17.633_194]);
        assert_eq!(large[253..], [8.797_852, 41.589_844, -21.194_824]);
        let weighed =
            |x: &[f32]| -> f64 { (0..).zip(x).map(|(i, &x)| f64::from(i) * f64::from(x)).sum() };
        assert_eq!(
            [weighed(&small), weighed(&large)],
            [-263.373_184_204_101_56, 245_953.675_552_368_16]
        );
    }

    #[test]
    fn what_was_written_comes_back() {
        for seed in 0..40 {
            let (mut small, mut large) = ([0.0; SMALL], [0.0; LARGE]);
            decode_nl(&block(seed), &mut small);
            let mut again = [0.0; SMALL];
            decode_nl(&encode_nl(&small), &mut again);
            assert_eq!(again, small, "{seed}");
            decode_xs(&block(seed), &mut large);
            let mut again = [0.0; LARGE];
            decode_xs(&encode_xs(&large), &mut again);
            assert_eq!(again, large, "{seed}");
        }
    }

    /// Normal numbers lose a fourteenth of their norm, and nothing fails where all are zero.
    #[test]
    fn other_numbers_come_near() {
        let normal = |i: usize| {
            let uniform = |n: usize| ((i * 12 + n) * 7919 % 10_007) as f32 / 10_007.0;
            (0..12).map(uniform).sum::<f32>() - 6.0
        };
        let x: [f32; LARGE] = std::array::from_fn(normal);
        let lost = |y: &[f32], x: &[f32]| {
            let off: f32 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
            (off / x.iter().map(|x| x.powi(2)).sum::<f32>()).sqrt()
        };
        let mut y = [0.0; LARGE];
        decode_xs(&encode_xs(&x), &mut y);
        assert!(lost(&y, &x) < 0.07, "{}", lost(&y, &x));
        for (x, y) in x.as_chunks().0.iter().zip(y.as_chunks_mut().0) {
            decode_nl(&encode_nl(x), y);
        }
        assert!(lost(&y, &x) < 0.072, "{}", lost(&y, &x));
        decode_xs(&encode_xs(&[0.0; LARGE]), &mut y);
        assert_eq!(y, [0.0; LARGE]);
    }
}
