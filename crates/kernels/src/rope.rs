//! Rotary position embedding: pairs of numbers of each head turned by an angle that grows with
//! the position (Su et al. 2021).

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::autograd::Var;
use crate::composed::composed;
use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};
use crate::shape;

/// The sines and cosines of a rotary embedding.
#[derive(Clone, Debug)]
pub struct Rotary {
    table: Arc<Table>,
}

impl Rotary {
    /// The pair `i` turns by `inverse_frequencies[i]` (radians) from one position to the next, and
    /// what is rotated is multiplied by `scaling` (1 unless the context was stretched).
    ///
    /// The table covers positions below `n_positions`; those beyond cost a sine and a cosine for
    /// each use. Angles are computed in `f64`.
    #[must_use]
    pub fn new(inverse_frequencies: &[f64], scaling: f64, n_positions: usize) -> Self {
        let frequencies = inverse_frequencies.to_vec();
        let mut table = Table { frequencies, scaling, turns: Vec::new() };
        table.turns = (0..n_positions).flat_map(|position| table.compute(position)).collect();
        Self { table: Arc::new(table) }
    }

    /// How many leading numbers of each head are rotated: two for each frequency.
    #[must_use]
    pub fn width(&self) -> usize {
        2 * self.table.frequencies.len()
    }

    /// For each of `positions`, the cosines and then the sines of all pairs.
    fn turns<T: Real>(&self, positions: &[u32]) -> Vec<T> {
        let mut turns = Vec::with_capacity(positions.len() * self.width());
        for &position in positions {
            let position = position as usize;
            let row = position * self.width()..(position + 1) * self.width();
            match self.table.turns.get(row) {
                Some(ready) => turns.extend(ready.iter().map(|&x| T::of(x))),
                None => turns.extend(self.table.compute(position).into_iter().map(T::of)),
            }
        }
        turns
    }
}

/// Which numbers of a head make a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Number `i` of the first half with number `i` of the second (Llama, GPT-NeoX).
    Halves,
    /// Each number at an even place with the one after it (GPT-J, the original).
    Adjacent,
}

/// `x` with the leading [`Rotary::width`] numbers of each head rotated by the row's position.
///
/// `x` is `[n_tokens, n_heads * d_head]`, `positions` has one entry for each row; the result is
/// shaped like `x`. Gradient: `dy` rotated back.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn rope(
    x: &Var,
    table: &Rotary,
    positions: &[u32],
    d_head: usize,
    pairing: Pairing,
) -> Result<Var> {
    check(x.value(), table, positions, d_head)?;
    let (table, positions) = (table.clone(), positions.to_vec());
    if !x.value().device().is_cpu() {
        return composed(&[x], move |x| reference(&x[0], &table, &positions, d_head, pairing));
    }
    real::dispatch!(x.value().dtype(), T => {
        let turned = move |x: &Tensor, sense: Sense| {
            let turns = table.turns::<T>(&positions);
            turn(x, &turns, table.width(), d_head, pairing, sense)
        };
        let y = turned(x.value(), Sense::Forward)?;
        Ok(Var::record(y, &[x], move |dy, inputs| match inputs.slot(0) {
            Some(slot) => slot.add_owned(turned(dy, Sense::Back)?),
            None => Ok(()),
        }))
    })
}

/// What [`rope`] computes, in plain tensor operations.
///
/// # Errors
/// Where the shapes don't fit.
pub fn reference(
    x: &Tensor,
    table: &Rotary,
    positions: &[u32],
    d_head: usize,
    pairing: Pairing,
) -> Result<Tensor> {
    let n = check(x, table, positions, d_head)?;
    let (width, half) = (table.width(), table.width() / 2);
    let turns = Tensor::from_vec(table.turns::<f64>(positions), (n, 1, width), &Device::Cpu)?;
    let turns = turns.to_dtype(x.dtype())?.to_device(x.device())?;
    let (cos, sin) = (turns.narrow(2, 0, half)?, turns.narrow(2, half, half)?);
    let heads = x.reshape((n, (), d_head))?;
    let n_heads = heads.dim(1)?;
    let rotated = heads.narrow(2, 0, width)?;
    let (a, b) = match pairing {
        Pairing::Halves => (rotated.narrow(2, 0, half)?, rotated.narrow(2, half, half)?),
        Pairing::Adjacent => {
            let pairs = rotated.contiguous()?.reshape((n, n_heads, half, 2))?;
            let side = |side| pairs.narrow(3, side, 1)?.squeeze(3);
            (side(0)?, side(1)?)
        }
    };
    let turned_a = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let turned_b = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    let rotated = match pairing {
        Pairing::Halves => Tensor::cat(&[turned_a, turned_b], 2)?,
        Pairing::Adjacent => {
            Tensor::stack(&[turned_a, turned_b], 3)?.reshape((n, n_heads, width))?
        }
    };
    let y = match d_head - width {
        0 => rotated,
        rest => Tensor::cat(&[rotated, heads.narrow(2, width, rest)?], 2)?,
    };
    Ok(y.reshape(x.shape())?)
}

#[derive(Debug)]
struct Table {
    frequencies: Vec<f64>,
    scaling: f64,
    turns: Vec<f64>,
}

impl Table {
    /// The cosines and then the sines of all pairs.
    fn compute(&self, position: usize) -> Vec<f64> {
        let angles = || self.frequencies.iter().map(|frequency| frequency * position as f64);
        let cos = angles().map(|angle| angle.cos() * self.scaling);
        cos.chain(angles().map(|angle| angle.sin() * self.scaling)).collect()
    }
}

/// The number of rows.
fn check(x: &Tensor, table: &Rotary, positions: &[u32], d_head: usize) -> Result<usize> {
    let expected = "[n_tokens, n_heads * d_head]";
    let (n, d) = shape::matrix("rope", "input", expected, x)?;
    if d_head == 0 || d % d_head != 0 {
        return Err(shape::wrong(
            "rope",
            "input",
            format!("{expected}, d_head {d_head}"),
            x.dims(),
        ));
    }
    if table.width() > d_head {
        let expected = format!("at most {} frequencies", d_head / 2);
        return Err(shape::wrong("rope", "table", expected, &[table.width() / 2]));
    }
    shape::check_len("rope", "positions", n, positions.len())?;
    Ok(n)
}

#[derive(Clone, Copy)]
enum Sense {
    Forward,
    Back,
}

fn turn<T: Real>(
    x: &Tensor,
    turns: &[T],
    width: usize,
    d_head: usize,
    pairing: Pairing,
    sense: Sense,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let dims = x.dims();
    let x = cpu::read::<T>(&x)?;
    let x = &*x;
    let sign = match sense {
        Sense::Forward => T::ONE,
        Sense::Back => -T::ONE,
    };
    cpu::fill_rows(
        dims,
        #[inline(always)]
        |row, y: &mut [T]| {
            let x = &x[row * y.len()..(row + 1) * y.len()];
            let (cos, sin) = turns[row * width..(row + 1) * width].split_at(width / 2);
            for (x, y) in x.chunks_exact(d_head).zip(y.chunks_exact_mut(d_head)) {
                let (x, rest) = x.split_at(width);
                let (y, y_rest) = y.split_at_mut(width);
                y_rest.copy_from_slice(rest);
                match pairing {
                    Pairing::Halves => turn_halves(x, y, cos, sin, sign),
                    Pairing::Adjacent => turn_adjacent(x, y, cos, sin, sign),
                }
            }
        },
    )
}

#[inline(always)]
fn turn_halves<T: Real>(x: &[T], y: &mut [T], cos: &[T], sin: &[T], sign: T) {
    let half = cos.len();
    let ((a, b), (y_a, y_b)) = (x.split_at(half), y.split_at_mut(half));
    let (b, sin, y_a, y_b) = (&b[..half], &sin[..half], &mut y_a[..half], &mut y_b[..half]);
    for i in 0..half {
        let sin = sign * sin[i];
        y_a[i] = a[i] * cos[i] - b[i] * sin;
        y_b[i] = b[i] * cos[i] + a[i] * sin;
    }
}

#[inline(always)]
fn turn_adjacent<T: Real>(x: &[T], y: &mut [T], cos: &[T], sin: &[T], sign: T) {
    let pairs = x.chunks_exact(2).zip(y.chunks_exact_mut(2));
    for ((x, y), (&cos, &sin)) in pairs.zip(cos.iter().zip(sin)) {
        let sin = sign * sin;
        y[0] = x[0] * cos - x[1] * sin;
        y[1] = x[1] * cos + x[0] * sin;
    }
}
