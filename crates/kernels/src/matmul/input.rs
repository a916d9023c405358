//! Rows times the transpose of a weight, which is read as it lies.

use std::ops::Range;

use rayon::prelude::*;

use super::Threads;
use super::view::{Mat, MatMut, Shared};
use crate::autograd::Onto;
use crate::cpu::{dot, prefetch, vectorized};
use crate::real::Real;

/// `y (+)= x wᵀ` for `x` `[n, d_in]`, `w` `[d_out, d_in]`, `y` `[n, d_out]`, all with contiguous
/// rows.
pub(crate) fn apply<T: Real>(
    y: MatMut<'_, T>,
    onto: Onto,
    x: Mat<'_, T>,
    w: Mat<'_, T>,
    threads: Threads,
) {
    Input::new(x, threads).apply(y, onto, w, threads);
}

/// Rows that are to meet a weight as it lies, without packing it: one number of the weight at a
/// time meets the same column of many rows.
pub(crate) enum Input<'a, T> {
    /// So few that they wait for memory and not for multiplications.
    Few(Mat<'a, T>),
    /// Panels of [`LANES`] rows, column by column; half of that, or zeros, where the rows end.
    Panels { panels: Vec<T>, n_rows: usize, n_cols: usize },
}

/// Rows of a panel: one vector of the widest kind.
const LANES: usize = 16;

/// Rows of a panel where no more are left.
const HALF: usize = LANES / 2;

/// Outputs whose sums are kept side by side: with two vectors for each, they fill the registers of
/// AVX2; and they are enough to hide how long a sum takes.
const OUTPUTS: usize = 6;

impl<'a, T: Real> Input<'a, T> {
    /// `x` `[n, d_in]`, ready to be applied to.
    pub(crate) fn new(x: Mat<'a, T>, threads: Threads) -> Self {
        /// Up to here it is faster to sum along the rows.
        const FEW: usize = 2;
        let (n_rows, n_cols) = (x.n_rows, x.n_cols);
        if n_rows <= FEW {
            return Self::Few(x);
        }
        let lanes = n_rows.next_multiple_of(HALF);
        let mut panels = vec![T::ZERO; lanes * n_cols];
        let fill = |(i, panel): (usize, &mut [T])| {
            let from = i * LANES;
            let rows = from..n_rows.min(from + LANES);
            if panel.len() == LANES * n_cols {
                fill_panel::<T, LANES>(panel, x, rows);
            } else {
                fill_panel::<T, HALF>(panel, x, rows);
            }
        };
        let len = (LANES * n_cols).max(1);
        match threads {
            Threads::All if n_rows > LANES => {
                panels.par_chunks_mut(len).enumerate().for_each(fill);
            }
            _ => panels.chunks_mut(len).enumerate().for_each(fill),
        }
        Self::Panels { panels, n_rows, n_cols }
    }

    /// `y (+)= x wᵀ` for `w` `[d_out, d_in]`, `y` `[n, d_out]`, both with contiguous rows.
    pub(crate) fn apply(&self, y: MatMut<'_, T>, onto: Onto, w: Mat<'_, T>, threads: Threads) {
        let (n_rows, n_cols) = match self {
            Self::Few(x) => (x.n_rows, x.n_cols),
            Self::Panels { n_rows, n_cols, .. } => (*n_rows, *n_cols),
        };
        assert!(n_cols == w.n_cols && y.n_cols == w.n_rows && y.n_rows == n_rows, "the shapes fit");
        let y = Shared(y.numbers, y.row_stride);
        let put = |row: usize, output: usize, product: T| {
            // SAFETY: in bounds by the assertion, and each task has outputs of its own.
            unsafe { y.put(row, output, product, onto) };
        };
        let task = |outputs: Range<usize>| {
            vectorized(
                #[inline(always)]
                || match self {
                    Self::Few(x) => by_rows(*x, w, outputs, put),
                    Self::Panels { panels, .. } => by_panels(panels, n_rows, w, outputs, put),
                },
            );
        };
        match threads {
            Threads::One => task(0..w.n_rows),
            Threads::All => in_ranges(w.n_rows, n_cols * n_rows, task),
        }
    }
}

/// Writes some rows of `x` as the columns that `panel` consists of.
fn fill_panel<T: Real, const N: usize>(panel: &mut [T], x: Mat<'_, T>, rows: Range<usize>) {
    let (columns, _) = panel.as_chunks_mut::<N>();
    for (lane, row) in rows.enumerate() {
        columns.iter_mut().zip(x.row(row)).for_each(|(column, &x)| column[lane] = x);
    }
}

/// The products of `outputs` with each row of `x`. The weight is read from its first number to its
/// last, as memory streams best.
#[inline(always)]
fn by_rows<T: Real>(
    x: Mat<'_, T>,
    w: Mat<'_, T>,
    outputs: Range<usize>,
    put: impl Fn(usize, usize, T),
) {
    for output in outputs {
        for row in 0..x.n_rows {
            put(row, output, dot(x.row(row), w.row(output)));
        }
    }
}

/// The products of `outputs` with all rows. Some outputs at a time stay in a near cache while
/// panel after panel meets them.
#[inline(always)]
fn by_panels<T: Real>(
    panels: &[T],
    n_rows: usize,
    w: Mat<'_, T>,
    outputs: Range<usize>,
    put: impl Fn(usize, usize, T),
) {
    /// Half of what the second cache of common processors holds.
    const BYTES: usize = 128 << 10;
    let group = (BYTES / (size_of::<T>() * w.n_cols).max(1)).next_multiple_of(OUTPUTS);
    for from in outputs.clone().step_by(group) {
        let outputs = from..(from + group).min(outputs.end);
        for row in (0..n_rows).step_by(LANES) {
            let panel = &panels[row * w.n_cols..];
            let rows = row..n_rows.min(row + LANES);
            if panel.len() >= LANES * w.n_cols {
                by_columns(
                    &panel.as_chunks::<LANES>().0[..w.n_cols],
                    rows,
                    w,
                    outputs.clone(),
                    &put,
                );
            } else {
                by_columns(
                    &panel.as_chunks::<HALF>().0[..w.n_cols],
                    rows,
                    w,
                    outputs.clone(),
                    &put,
                );
            }
        }
    }
}

/// The products of `outputs` with the rows of a panel.
#[inline(always)]
fn by_columns<T: Real, const N: usize>(
    columns: &[[T; N]],
    rows: Range<usize>,
    w: Mat<'_, T>,
    outputs: Range<usize>,
    put: &impl Fn(usize, usize, T),
) {
    let mut output = outputs.start;
    while output + OUTPUTS <= outputs.end {
        let sums = products::<T, N, OUTPUTS>(columns, some(w, output), some(w, output + OUTPUTS));
        for (i, sums) in sums.iter().enumerate() {
            for (row, &sum) in rows.clone().zip(sums) {
                put(row, output + i, sum);
            }
        }
        output += OUTPUTS;
    }
    for output in output..outputs.end {
        let [sums] = products(columns, [w.row(output)], [w.row(output)]);
        for (row, &sum) in rows.clone().zip(&sums) {
            put(row, output, sum);
        }
    }
}

/// The rows of `w` from `first` on, the last one again where there are no more.
#[inline(always)]
fn some<'a, T: Real, const O: usize>(w: Mat<'a, T>, first: usize) -> [&'a [T]; O] {
    std::array::from_fn(
        #[inline(always)]
        |i| w.row((first + i).min(w.n_rows - 1)),
    )
}

/// Numbers of a weight's row that are met in one go: at least what one line of a cache holds.
const STRETCH: usize = 16;

/// `sums[o][lane] = sum_i w[o][i] columns[i][lane]`. Meanwhile `next`, of which the products are
/// wanted next, is fetched.
#[inline(always)]
fn products<T: Real, const N: usize, const O: usize>(
    columns: &[[T; N]],
    w: [&[T]; O],
    next: [&[T]; O],
) -> [[T; N]; O] {
    let (stretches, last) = columns.as_chunks::<STRETCH>();
    let mut sums = [[T::ZERO; N]; O];
    for (i, columns) in stretches.iter().enumerate() {
        next.iter().for_each(|next| prefetch(&next[i * STRETCH]));
        let of_stretch = w.map(
            #[inline(always)]
            |w| &w.as_chunks().0[i],
        );
        add_products(&mut sums, columns, of_stretch);
    }
    for (i, column) in last.iter().enumerate() {
        let of_last = w.map(
            #[inline(always)]
            |w| std::array::from_ref(&w[stretches.len() * STRETCH + i]),
        );
        add_products(&mut sums, &[*column], of_last);
    }
    sums
}

/// `sums[o][lane] += sum_i w[o][i] columns[i][lane]`.
#[inline(always)]
fn add_products<T: Real, const N: usize, const O: usize, const K: usize>(
    sums: &mut [[T; N]; O],
    columns: &[[T; N]; K],
    w: [&[T; K]; O],
) {
    for (i, &column) in columns.iter().enumerate() {
        for (sums, w) in sums.iter_mut().zip(w) {
            let w = w[i];
            for (sum, x) in sums.iter_mut().zip(column) {
                *sum = w.mul_add(x, *sum);
            }
        }
    }
}

/// Splits `0..n` among the threads, where an item costs `cost` multiplications.
fn in_ranges(n: usize, cost: usize, task: impl Fn(Range<usize>) + Sync) {
    /// About ten microseconds.
    const COST_PER_TASK: usize = 128 * 1024;
    let share =
        COST_PER_TASK.div_ceil(cost.max(1)).max(n.div_ceil(4 * rayon::current_num_threads()));
    let share = share.next_multiple_of(OUTPUTS);
    if share >= n {
        return task(0..n);
    }
    let starts: Vec<usize> = (0..n).step_by(share).collect();
    starts.into_par_iter().for_each(|from| task(from..(from + share).min(n)));
}
