//! Rows times a weight, which is read as it lies.

use std::ops::Range;

use rayon::prelude::*;

use super::view::{Mat, MatMut};
use super::{Threads, matmul};
use crate::autograd::Onto;
use crate::cpu::vectorized;
use crate::real::Real;

/// `dx (+)= dy w` for `dy` `[n, d_out]`, `w` `[d_out, d_in]`, `dx` `[n, d_in]`, all with
/// contiguous rows.
pub(crate) fn apply_transposed<T: Real>(
    mut dx: MatMut<'_, T>,
    onto: Onto,
    dy: Mat<'_, T>,
    w: Mat<'_, T>,
    threads: Threads,
) {
    /// Up to this many rows of `dy`, a pass over the weight as it lies beats packing it.
    const FEW_ROWS: usize = 16;
    if dy.n_rows > FEW_ROWS || w.col_stride != 1 || dy.col_stride != 1 {
        return matmul(dx, onto, dy, w, threads);
    }
    let (n, d_in) = (dy.n_rows, w.n_cols);
    assert!(dy.n_cols == w.n_rows && dx.n_cols == d_in && dx.n_rows == n, "the shapes fit");
    let share = match threads {
        Threads::One => w.n_rows,
        Threads::All => w.n_rows.div_ceil(rayon::current_num_threads()).max(64),
    };
    if onto == Onto::Zeros {
        (0..n).for_each(|row| dx.row_mut(row).fill(T::ZERO));
    }
    let task = |dx: &mut MatMut<'_, T>, outputs: Range<usize>| {
        vectorized(
            #[inline(always)]
            || add_rows(dx, outputs, dy, w),
        );
    };
    if share >= w.n_rows {
        return task(&mut dx, 0..w.n_rows);
    }
    // Every thread sums on its own, the first one where the sum is wanted.
    let others: Vec<usize> = (share..w.n_rows).step_by(share).collect();
    let partial = |from: usize| {
        let mut sum = vec![T::ZERO; n * d_in];
        task(&mut MatMut::packed(&mut sum, d_in), from..w.n_rows.min(from + share));
        sum
    };
    let (_, partials) = rayon::join(
        || task(&mut dx, 0..share),
        || others.into_par_iter().map(partial).collect::<Vec<_>>(),
    );
    for partial in partials {
        for (row, partial) in partial.chunks_exact(d_in).enumerate() {
            dx.row_mut(row).iter_mut().zip(partial).for_each(|(dx, &partial)| *dx += partial);
        }
    }
}

/// `sum += dy w`, over some rows of `w` only.
#[inline(always)]
fn add_rows<T: Real>(
    sum: &mut MatMut<'_, T>,
    outputs: Range<usize>,
    dy: Mat<'_, T>,
    w: Mat<'_, T>,
) {
    let (n, d_in) = (dy.n_rows, w.n_cols);
    let mut output = outputs.start;
    // Few rows wait for memory, which streams best row by row.
    while n >= 4 && output + 4 <= outputs.end {
        let w: [&[T]; 4] = std::array::from_fn(|i| &w.row(output + i)[..d_in]);
        for row in 0..n {
            let sum = &mut sum.row_mut(row)[..d_in];
            let dy: [T; 4] = std::array::from_fn(|i| dy.row(row)[output + i]);
            for i in 0..d_in {
                let (even, odd) = (dy[1].mul_add(w[1][i], sum[i]), dy[3] * w[3][i]);
                sum[i] = dy[0].mul_add(w[0][i], even) + dy[2].mul_add(w[2][i], odd);
            }
        }
        output += 4;
    }
    for output in output..outputs.end {
        for row in 0..n {
            let dy = dy.row(row)[output];
            let sum = sum.row_mut(row).iter_mut();
            sum.zip(w.row(output)).for_each(|(sum, &w)| *sum = w.mul_add(dy, *sum));
        }
    }
}
