//! Rows times the transpose of a weight, which is read as it lies.

use std::ops::Range;

use rayon::prelude::*;

use super::panels::{Panels, Products};
use super::source::Source;
use super::view::{Mat, MatMut, Shared};
use super::{Threads, matmul};
use crate::autograd::Onto;
use crate::cpu::{dot, in_registers, vectorized};
use crate::real::Real;

/// `y (+)= x wᵀ` for `x` `[n, d_in]`, `w` `[d_out, d_in]`, `y` `[n, d_out]`, all with contiguous
/// rows.
pub(crate) fn apply<T: Real>(
    y: MatMut<'_, T>,
    onto: Onto,
    x: Mat<'_, T>,
    w: &impl Source<T>,
    threads: Threads,
) {
    /// From here on it is faster to pack the weight too.
    const MANY: usize = 512;
    match w.ready() {
        Some(w) if x.n_rows >= MANY => matmul(y, onto, x, w.t(), threads),
        _ => Input::new(x, threads).apply(y, onto, w, threads),
    }
}

/// Rows that are to meet a weight as it lies, without packing it.
pub(crate) enum Input<'a, T> {
    /// So few that they wait for memory and not for multiplications.
    Few(Mat<'a, T>),
    /// More.
    Many(Panels<T>),
}

impl<'a, T: Real> Input<'a, T> {
    /// `x` `[n, d_in]`, ready to be applied to.
    pub(crate) fn new(x: Mat<'a, T>, threads: Threads) -> Self {
        /// Up to here it is faster to sum along the rows.
        const FEW: usize = 2;
        if x.n_rows <= FEW { Self::Few(x) } else { Self::Many(Panels::new(x, threads)) }
    }

    /// `y (+)= x wᵀ` for `w` `[d_out, d_in]`, `y` `[n, d_out]`, both with contiguous rows.
    pub(crate) fn apply(&self, y: MatMut<'_, T>, onto: Onto, w: &impl Source<T>, threads: Threads) {
        let (n_rows, n_cols) = match self {
            Self::Few(x) => (x.n_rows, x.n_cols),
            Self::Many(panels) => (panels.n_rows, panels.n_cols),
        };
        assert!((y.n_cols, n_cols) == w.dims() && y.n_rows == n_rows, "the shapes fit");
        let n_outputs = y.n_cols;
        let y = Shared(y.numbers, y.row_stride);
        let task = |outputs: Range<usize>| match self {
            Self::Few(x) => by_rows(*x, w, outputs, y, onto),
            Self::Many(panels) => in_registers(Products { panels, w, outputs, y, onto }),
        };
        match threads {
            Threads::One => task(0..n_outputs),
            Threads::All => in_ranges(n_outputs, n_cols * n_rows, task),
        }
    }
}

/// The products of `outputs` with each row of `x`. The weight is read from its first number to its
/// last, as memory streams best.
fn by_rows<T: Real>(
    x: Mat<'_, T>,
    w: &impl Source<T>,
    outputs: Range<usize>,
    y: Shared<T>,
    onto: Onto,
) {
    /// Of what is decoded at a time.
    const BYTES: usize = 8 << 10;
    let group = (BYTES / (size_of::<T>() * x.n_cols).max(1)).max(1);
    let mut buffer = Vec::new();
    for from in outputs.clone().step_by(group) {
        let outputs = from..(from + group).min(outputs.end);
        let w = w.part(outputs.clone(), 0..x.n_cols, &mut buffer);
        vectorized(
            #[inline(always)]
            || {
                for (i, output) in outputs.enumerate() {
                    for row in 0..x.n_rows {
                        let product = dot(x.row(row), w.row(i));
                        // SAFETY: each task has outputs of its own, and in bounds.
                        unsafe { y.put(row, output, product, onto) };
                    }
                }
            },
        );
    }
}

/// Splits `0..n` among the threads, where an item costs `cost` multiplications.
fn in_ranges(n: usize, cost: usize, task: impl Fn(Range<usize>) + Sync) {
    /// About ten microseconds.
    const COST_PER_TASK: usize = 128 * 1024;
    /// As many as are ever computed at a time.
    const OUTPUTS: usize = 12;
    let share =
        COST_PER_TASK.div_ceil(cost.max(1)).max(n.div_ceil(4 * rayon::current_num_threads()));
    let share = share.next_multiple_of(OUTPUTS);
    if share >= n {
        return task(0..n);
    }
    let starts: Vec<usize> = (0..n).step_by(share).collect();
    starts.into_par_iter().for_each(|from| task(from..(from + share).min(n)));
}
