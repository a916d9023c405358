//! Rows times a weight, which is read as it lies.
//!
//! Some rows of the weight at a time, tile after tile of columns: a tile's sums stay in registers
//! while those rows of the weight meet them, and the tile of the rows that come next is fetched
//! meanwhile. Every sum is added up from the first row of the weight to the last, whatever thread
//! does it.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::source::{Ahead, Source};
use super::view::{Mat, MatMut};
use super::{Threads, matmul};
use crate::autograd::Onto;
use crate::cpu::in_registers;
use crate::real::Real;

/// Rows of the weight that meet a tile at a time: enough for its sums to be worth loading.
const OUTPUTS: usize = 32;

/// Vectors that a tile is wide.
const WIDE: usize = 3;

/// Up to this many rows of `dy`, a pass over the weight as it lies beats packing it.
const FEW_ROWS: usize = 64;

/// `dx (+)= dy w` for `dy` `[n, d_out]`, `w` `[d_out, d_in]`, `dx` `[n, d_in]`, all with
/// contiguous rows.
pub(crate) fn apply_transposed<T: Real, W: Source<T>>(
    dx: MatMut<'_, T>,
    onto: Onto,
    dy: Mat<'_, T>,
    w: &W,
    threads: Threads,
) {
    let (d_out, d_in) = w.dims();
    assert!(dy.n_cols == d_out && dx.n_cols == d_in && dx.n_rows == dy.n_rows, "the shapes fit");
    let ready = w.ready();
    let is_packed = dy.n_rows > FEW_ROWS
        || dy.col_stride != 1
        || ready.is_some_and(|ready| ready.col_stride != 1);
    if let Some(w) = ready.filter(|_| is_packed) {
        return matmul(dx, onto, dy, w, threads);
    }
    let task = |(from, dx): (usize, MatMut<'_, T>)| {
        if is_packed {
            pack(dx, onto, from, dy, w);
        } else {
            in_registers(Columns { dx, from, dy, w });
        }
    };
    let width = match threads {
        Threads::One => d_in,
        Threads::All => columns_per_task(d_in, d_out * dy.n_rows).next_multiple_of(w.block()),
    };
    if width >= d_in {
        return task((0, dx));
    }
    dx.apart(width).into_par_iter().for_each(task);
}

/// Some columns of a product with a weight that is decoded as it is packed, from the column `from`
/// of it on.
fn pack<T: Real>(
    mut dx: MatMut<'_, T>,
    onto: Onto,
    from: usize,
    dy: Mat<'_, T>,
    w: &impl Source<T>,
) {
    /// Numbers that stay in the second caches of all threads between decoding and packing.
    const NUMBERS: usize = 256 << 10;
    let ((n, d_in), cols) = (w.dims(), from..from + dx.n_cols);
    // Of the width alone, so that sums don't depend on how many threads share the columns.
    let step = (NUMBERS / d_in.max(1)).max(1);
    let mut buffer = Vec::new();
    for from in (0..n).step_by(step) {
        let outputs = from..n.min(from + step);
        let w = w.part(outputs.clone(), cols.clone(), &mut buffer);
        let onto = if from == 0 { onto } else { Onto::Sum };
        let to = dx.columns(0, cols.len());
        matmul(to, onto, dy.sub(0..dy.n_rows, outputs), w, Threads::One);
    }
}

/// How many of `n` columns a thread gets at a time, where one costs `cost` multiplications.
fn columns_per_task(n: usize, cost: usize) -> usize {
    /// About ten microseconds.
    const COST_PER_TASK: usize = 128 * 1024;
    /// A tile of the widest vectors.
    const TILE: usize = 16 * WIDE;
    let share = n.div_ceil(2 * rayon::current_num_threads());
    share.max(COST_PER_TASK.div_ceil(cost.max(1))).next_multiple_of(TILE)
}

/// `0..n` in groups of up to `most`, all about as large.
#[inline(always)]
fn groups(n: usize, most: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let n_groups = n.div_ceil(most);
    (0..n_groups).map(move |i| n * i / n_groups..n * (i + 1) / n_groups)
}

/// Some columns of `dx`, from the column `from` of the weight on.
struct Columns<'a, T, W> {
    dx: MatMut<'a, T>,
    from: usize,
    dy: Mat<'a, T>,
    w: &'a W,
}

impl<T: Real, W: Source<T>> WithSimd for Columns<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let most = if S::REGISTER_COUNT < 32 { 4 } else { 6 };
        let n_cols = self.dx.n_cols;
        let cols = self.from..self.from + n_cols;
        let n_outputs = self.w.dims().0;
        let n_times = groups(self.dx.n_rows, most).len() * n_cols.div_ceil(WIDE * lanes) * OUTPUTS;
        let mut buffer = Vec::new();
        for from in (0..n_outputs).step_by(OUTPUTS) {
            let outputs = from..n_outputs.min(from + OUTPUTS);
            let next = outputs.end..n_outputs.min(outputs.end + OUTPUTS);
            let mut part = Part {
                w: self.w.part(outputs.clone(), cols.clone(), &mut buffer),
                outputs,
                ahead: Ahead::new(self.w, next, cols.clone(), n_times),
            };
            let mut col = 0;
            while col + WIDE * lanes <= n_cols {
                self.all_rows::<S, WIDE>(simd, &mut part, col, most);
                col += WIDE * lanes;
            }
            while col + lanes <= n_cols {
                self.all_rows::<S, 1>(simd, &mut part, col, most);
                col += lanes;
            }
            self.last(&part, col);
        }
    }
}

/// Some rows of the weight.
struct Part<'a, T> {
    w: Mat<'a, T>,
    outputs: Range<usize>,
    ahead: Ahead<'a>,
}

impl<T: Real, W> Columns<'_, T, W> {
    /// Adds what `part` gives to `V` vectors from the column `col` on, in all rows: as many rows at
    /// a time as there are registers for.
    #[inline(always)]
    fn all_rows<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        part: &mut Part<'_, T>,
        col: usize,
        most: usize,
    ) {
        for rows in groups(self.dx.n_rows, most) {
            let row = rows.start;
            match rows.len() {
                1 => self.tile::<S, 1, V>(simd, part, row, col),
                2 => self.tile::<S, 2, V>(simd, part, row, col),
                3 => self.tile::<S, 3, V>(simd, part, row, col),
                4 => self.tile::<S, 4, V>(simd, part, row, col),
                5 => self.tile::<S, 5, V>(simd, part, row, col),
                6 => self.tile::<S, 6, V>(simd, part, row, col),
                7 => self.tile::<S, 7, V>(simd, part, row, col),
                _ => self.tile::<S, 8, V>(simd, part, row, col),
            }
        }
    }

    /// Adds what `part` gives to `V` vectors of `R` rows, from `row` and `col` on.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        part: &mut Part<'_, T>,
        row: usize,
        col: usize,
    ) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let cols = col..col + V * lanes;
        let dy: [&[T]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &self.dy.row(row + r)[part.outputs.clone()],
        );
        let mut sums = [[T::splat(simd, T::ZERO); V]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(T::vectors::<S>(&self.dx.row_mut(row + r)[cols.clone()]));
        }
        for output in 0..part.w.n_rows() {
            part.ahead.fetch();
            let w = &T::vectors::<S>(&part.w.row(output)[cols.clone()])[..V];
            for (sums, dy) in sums.iter_mut().zip(dy) {
                // SAFETY: a number for every row of the weight.
                let factor = T::splat(simd, unsafe { *dy.get_unchecked(output) });
                for (sum, &w) in sums.iter_mut().zip(w) {
                    *sum = T::mul_add_vectors(simd, factor, w, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            T::vectors_mut::<S>(&mut self.dx.row_mut(row + r)[cols.clone()]).copy_from_slice(sums);
        }
    }

    /// Adds what `part` gives to the columns from `col` on, which are no whole vector.
    #[inline(always)]
    fn last(&mut self, part: &Part<'_, T>, col: usize) {
        for row in 0..self.dx.n_rows {
            let sums = &mut self.dx.row_mut(row)[col..];
            for (i, &dy) in self.dy.row(row)[part.outputs.clone()].iter().enumerate() {
                let w = &part.w.row(i)[col..];
                sums.iter_mut().zip(w).for_each(|(sum, &w)| *sum = w.mul_add(dy, *sum));
            }
        }
    }
}
