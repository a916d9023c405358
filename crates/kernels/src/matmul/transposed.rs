//! Rows times a weight, which is read as it lies.
//!
//! Some rows of the weight at a time, tile after tile of columns: a tile's sums stay in registers
//! while those rows of the weight meet them, and the tile of the rows that come next is fetched
//! meanwhile. Every sum is added up from the first row of the weight to the last, whatever thread
//! does it.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::view::{Mat, MatMut};
use super::{Threads, matmul};
use crate::autograd::Onto;
use crate::cpu::{in_registers, prefetch};
use crate::real::Real;

/// Rows of the weight that meet a tile at a time: all of their memory streams at once.
const OUTPUTS: usize = 16;

/// Vectors that a tile is wide.
const WIDE: usize = 3;

/// Up to this many rows of `dy`, a pass over the weight as it lies beats packing it.
const FEW_ROWS: usize = 64;

/// `dx (+)= dy w` for `dy` `[n, d_out]`, `w` `[d_out, d_in]`, `dx` `[n, d_in]`, all with
/// contiguous rows.
pub(crate) fn apply_transposed<T: Real>(
    dx: MatMut<'_, T>,
    onto: Onto,
    dy: Mat<'_, T>,
    w: Mat<'_, T>,
    threads: Threads,
) {
    if dy.n_rows > FEW_ROWS || w.col_stride != 1 || dy.col_stride != 1 {
        return matmul(dx, onto, dy, w, threads);
    }
    let fits = dy.n_cols == w.n_rows && dx.n_cols == w.n_cols && dx.n_rows == dy.n_rows;
    assert!(fits, "the shapes fit");
    let task = |(from, dx): (usize, MatMut<'_, T>)| in_registers(Columns { dx, from, dy, w });
    let width = match threads {
        Threads::One => w.n_cols,
        Threads::All => columns_per_task(w.n_cols, w.n_rows * dy.n_rows),
    };
    if width >= w.n_cols {
        return task((0, dx));
    }
    dx.apart(width).into_par_iter().for_each(task);
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
fn groups(n: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let n_groups = n.div_ceil(most);
    (0..n_groups).map(move |i| n * i / n_groups..n * (i + 1) / n_groups)
}

/// Some columns of `dx`, from the column `from` of the weight on.
struct Columns<'a, T> {
    dx: MatMut<'a, T>,
    from: usize,
    dy: Mat<'a, T>,
    w: Mat<'a, T>,
}

impl<T: Real> WithSimd for Columns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let most = if S::REGISTER_COUNT < 32 { 4 } else { 8 };
        let n_cols = self.dx.n_cols;
        let mut factors = [T::ZERO; FEW_ROWS * OUTPUTS];
        for from in (0..self.w.n_rows).step_by(OUTPUTS) {
            let outputs = from..self.w.n_rows.min(from + OUTPUTS);
            self.gather(&mut factors, &outputs, most);
            let mut col = 0;
            while col + WIDE * lanes <= n_cols {
                self.all_rows::<S, WIDE>(simd, &factors, &outputs, col, most);
                col += WIDE * lanes;
            }
            while col + lanes <= n_cols {
                self.all_rows::<S, 1>(simd, &factors, &outputs, col, most);
                col += lanes;
            }
            self.last(&outputs, col);
        }
    }
}

impl<T: Real> Columns<'_, T> {
    /// Writes what the rows of `dy` have at `outputs`, in groups of up to `most` rows: for each
    /// group its rows' numbers at the first output, at the second one, and so on.
    #[inline(always)]
    fn gather(&self, factors: &mut [T], outputs: &Range<usize>, most: usize) {
        for rows in groups(self.dy.n_rows, most) {
            let factors = &mut factors[rows.start * OUTPUTS..rows.end * OUTPUTS];
            for (r, row) in rows.clone().enumerate() {
                let dy = &self.dy.row(row)[outputs.clone()];
                let factors = factors[r..].iter_mut().step_by(rows.len());
                factors.zip(dy).for_each(|(factor, &dy)| *factor = dy);
            }
        }
    }

    /// Adds what `outputs` give to `V` vectors from the column `col` on, in all rows: as many rows at
    /// a time as there are registers for.
    #[inline(always)]
    fn all_rows<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        factors: &[T],
        outputs: &Range<usize>,
        col: usize,
        most: usize,
    ) {
        for rows in groups(self.dx.n_rows, most) {
            let factors = &factors[rows.start * OUTPUTS..rows.end * OUTPUTS];
            let row = rows.start;
            match rows.len() {
                1 => self.tile::<S, 1, V>(simd, factors, outputs, row, col),
                2 => self.tile::<S, 2, V>(simd, factors, outputs, row, col),
                3 => self.tile::<S, 3, V>(simd, factors, outputs, row, col),
                4 => self.tile::<S, 4, V>(simd, factors, outputs, row, col),
                5 => self.tile::<S, 5, V>(simd, factors, outputs, row, col),
                6 => self.tile::<S, 6, V>(simd, factors, outputs, row, col),
                7 => self.tile::<S, 7, V>(simd, factors, outputs, row, col),
                _ => self.tile::<S, 8, V>(simd, factors, outputs, row, col),
            }
        }
    }

    /// Adds what `outputs` give to `V` vectors of `R` rows, from `row` and `col` on.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        factors: &[T],
        outputs: &Range<usize>,
        row: usize,
        col: usize,
    ) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let (from, cols) = (self.from + col, col..col + V * lanes);
        let mut sums = [[T::splat(simd, T::ZERO); V]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(T::vectors::<S>(&self.dx.row_mut(row + r)[cols.clone()]));
        }
        for (output, factors) in outputs.clone().zip(factors.as_chunks::<R>().0) {
            let next = &self.w.row((output + OUTPUTS).min(self.w.n_rows - 1))[from..];
            let w = &T::vectors::<S>(&self.w.row(output)[from..from + V * lanes])[..V];
            for v in 0..V {
                prefetch(&next[v * lanes]);
            }
            for (sums, &factor) in sums.iter_mut().zip(factors) {
                let factor = T::splat(simd, factor);
                for (sum, &w) in sums.iter_mut().zip(w) {
                    *sum = T::mul_add_vectors(simd, factor, w, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            T::vectors_mut::<S>(&mut self.dx.row_mut(row + r)[cols.clone()]).copy_from_slice(sums);
        }
    }

    /// Adds what `outputs` give to the columns from `col` on, which are no whole vector.
    #[inline(always)]
    fn last(&mut self, outputs: &Range<usize>, col: usize) {
        for row in 0..self.dx.n_rows {
            let sums = &mut self.dx.row_mut(row)[col..];
            for output in outputs.clone() {
                let (dy, w) = (self.dy.row(row)[output], &self.w.row(output)[self.from + col..]);
                sums.iter_mut().zip(w).for_each(|(sum, &w)| *sum = w.mul_add(dy, *sum));
            }
        }
    }
}
