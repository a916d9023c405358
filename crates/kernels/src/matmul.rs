//! Matrix products that add to what is there, over strided views: nothing is transposed or copied.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use crate::autograd::Onto;
use crate::cpu::{dot, four_dots, vectorized};
use crate::real::Real;

/// A matrix in memory that is read.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    numbers: *const T,
    n_rows: usize,
    n_cols: usize,
    row_stride: usize,
    col_stride: usize,
    life: PhantomData<&'a [T]>,
}

// SAFETY: a view is a shared or exclusive borrow of numbers, which may move between threads.
unsafe impl<T: Sync> Send for Mat<'_, T> {}
unsafe impl<T: Sync> Sync for Mat<'_, T> {}
unsafe impl<T: Send> Send for MatMut<'_, T> {}

impl<'a, T: Real> Mat<'a, T> {
    /// `numbers` as rows of `n_cols`, each `row_stride` after the one before.
    pub(crate) fn new(numbers: &'a [T], n_rows: usize, n_cols: usize, row_stride: usize) -> Self {
        check_extent(numbers.len(), n_rows, n_cols, row_stride);
        let numbers = numbers.as_ptr();
        Self { numbers, n_rows, n_cols, row_stride, col_stride: 1, life: PhantomData }
    }

    /// `numbers` as packed rows of `n_cols`.
    pub(crate) fn packed(numbers: &'a [T], n_cols: usize) -> Self {
        Self::new(numbers, numbers.len() / n_cols.max(1), n_cols, n_cols)
    }

    /// The transpose, over the same numbers.
    pub(crate) fn t(self) -> Self {
        Self {
            n_rows: self.n_cols,
            n_cols: self.n_rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// A row, where rows are contiguous.
    #[inline(always)]
    fn row(&self, row: usize) -> &'a [T] {
        debug_assert!(self.col_stride == 1 && row < self.n_rows);
        // SAFETY: `new` checked that every row lies within the borrow.
        unsafe { std::slice::from_raw_parts(self.numbers.add(row * self.row_stride), self.n_cols) }
    }
}

/// A matrix in memory that is written.
pub(crate) struct MatMut<'a, T> {
    numbers: *mut T,
    n_rows: usize,
    n_cols: usize,
    row_stride: usize,
    life: PhantomData<&'a mut [T]>,
}

impl<'a, T: Real> MatMut<'a, T> {
    /// `numbers` as rows of `n_cols`, each `row_stride` after the one before.
    pub(crate) fn new(
        numbers: &'a mut [T],
        n_rows: usize,
        n_cols: usize,
        row_stride: usize,
    ) -> Self {
        check_extent(numbers.len(), n_rows, n_cols, row_stride);
        let numbers = numbers.as_mut_ptr();
        Self { numbers, n_rows, n_cols, row_stride, life: PhantomData }
    }

    /// `numbers` as packed rows of `n_cols`.
    pub(crate) fn packed(numbers: &'a mut [T], n_cols: usize) -> Self {
        Self::new(numbers, numbers.len() / n_cols.max(1), n_cols, n_cols)
    }

    /// A row.
    #[inline(always)]
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.n_rows, "a row past the end");
        // SAFETY: every row lies within what is borrowed exclusively.
        unsafe {
            std::slice::from_raw_parts_mut(self.numbers.add(row * self.row_stride), self.n_cols)
        }
    }

    /// The columns `from..from + n_cols` of all rows.
    pub(crate) fn columns(&mut self, from: usize, n_cols: usize) -> MatMut<'_, T> {
        assert!(from + n_cols <= self.n_cols, "columns past the end");
        // SAFETY: in bounds by the assertion; borrows `self` exclusively.
        let numbers = unsafe { self.numbers.add(from) };
        MatMut {
            numbers,
            n_cols,
            n_rows: self.n_rows,
            row_stride: self.row_stride,
            life: PhantomData,
        }
    }
}

/// A matrix in memory of which several threads write different parts.
pub(crate) struct Parts<'a, T> {
    numbers: *mut T,
    n_rows: usize,
    n_cols: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are handed out only by `part`, whose caller sees to it that they differ.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T: Real> Parts<'a, T> {
    /// `numbers` as packed rows of `n_cols`.
    pub(crate) fn new(numbers: &'a mut [T], n_cols: usize) -> Self {
        let n_rows = numbers.len() / n_cols.max(1);
        Self { numbers: numbers.as_mut_ptr(), n_rows, n_cols, life: PhantomData }
    }

    /// Some columns of some rows, to write.
    ///
    /// # Safety
    /// While it lives, nothing else uses these numbers.
    pub(crate) unsafe fn part(&self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_, T> {
        assert!(rows.start <= rows.end && rows.end <= self.n_rows, "rows past the end");
        assert!(cols.start <= cols.end && cols.end <= self.n_cols, "columns past the end");
        MatMut {
            // SAFETY: in bounds by the assertions.
            numbers: unsafe { self.numbers.add(rows.start * self.n_cols + cols.start) },
            n_rows: rows.len(),
            n_cols: cols.len(),
            row_stride: self.n_cols,
            life: PhantomData,
        }
    }
}

fn check_extent(len: usize, n_rows: usize, n_cols: usize, row_stride: usize) {
    let end = if n_rows == 0 { 0 } else { (n_rows - 1) * row_stride + n_cols };
    assert!(end <= len, "a view of {n_rows} x {n_cols}, stride {row_stride}, over {len} numbers");
}

/// How many threads work on a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling one.
    One,
    /// All of the pool.
    All,
}

/// `c = a b`, or `c += a b` where `onto` is a sum.
pub(crate) fn matmul<T: Real>(
    c: MatMut<'_, T>,
    onto: Onto,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    threads: Threads,
) {
    scaled_matmul(c, onto, T::ONE, a, b, threads);
}

/// `c = factor a b`, or `c += factor a b` where `onto` is a sum.
pub(crate) fn scaled_matmul<T: Real>(
    c: MatMut<'_, T>,
    onto: Onto,
    factor: T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    threads: Threads,
) {
    assert!(
        a.n_cols == b.n_rows && c.n_rows == a.n_rows && c.n_cols == b.n_cols,
        "a product of {}x{} and {}x{} into {}x{}",
        a.n_rows,
        a.n_cols,
        b.n_rows,
        b.n_cols,
        c.n_rows,
        c.n_cols,
    );
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the views cover memory that they borrow (checked when made), `c` exclusively, and
    // the shapes fit.
    unsafe {
        gemm::gemm(
            c.n_rows,
            c.n_cols,
            a.n_cols,
            c.numbers,
            1,
            c.row_stride as isize,
            onto == Onto::Sum,
            a.numbers,
            a.col_stride as isize,
            a.row_stride as isize,
            b.numbers,
            b.col_stride as isize,
            b.row_stride as isize,
            T::ONE,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Up to this many rows of `x`, a pass over the weight as it lies beats packing it.
const FEW_ROWS: usize = 16;

/// `y (+)= x wᵀ` for `x` `[n, d_in]`, `w` `[d_out, d_in]`, `y` `[n, d_out]`, all with contiguous
/// rows.
pub(crate) fn apply<T: Real>(
    y: MatMut<'_, T>,
    onto: Onto,
    x: Mat<'_, T>,
    w: Mat<'_, T>,
    threads: Threads,
) {
    if x.n_rows > FEW_ROWS || w.col_stride != 1 || x.col_stride != 1 {
        return matmul(y, onto, x, w.t(), threads);
    }
    assert!(x.n_cols == w.n_cols && y.n_cols == w.n_rows && y.n_rows == x.n_rows, "the shapes fit");
    let y = Shared(y.numbers, y.row_stride);
    let put = |row: usize, output: usize, product: T| {
        // SAFETY: in bounds by the assertion, and each task has outputs of its own.
        unsafe { y.put(row, output, product, onto) };
    };
    let task = |outputs: Range<usize>| {
        vectorized(
            #[inline(always)]
            || by_rows(x, w, outputs, put),
        );
    };
    match threads {
        Threads::One => task(0..w.n_rows),
        Threads::All => in_ranges(w.n_rows, w.n_cols * x.n_rows, task),
    }
}

/// The products of `outputs`, each of them for four rows at a time. The weight is read from its
/// first number to its last: memory streams at half the speed where four of its rows are read side
/// by side.
#[inline(always)]
fn by_rows<T: Real>(
    x: Mat<'_, T>,
    w: Mat<'_, T>,
    outputs: Range<usize>,
    put: impl Fn(usize, usize, T),
) {
    let fours = x.n_rows - x.n_rows % 4;
    for output in outputs {
        let w = w.row(output);
        for row in (0..fours).step_by(4) {
            let products = four_dots([0, 1, 2, 3].map(|i| x.row(row + i)), w);
            for (i, &product) in products.iter().enumerate() {
                put(row + i, output, product);
            }
        }
        for row in fours..x.n_rows {
            put(row, output, dot(x.row(row), w));
        }
    }
}

/// `dx (+)= dy w` for `dy` `[n, d_out]`, `w` `[d_out, d_in]`, `dx` `[n, d_in]`, all with
/// contiguous rows.
pub(crate) fn apply_transposed<T: Real>(
    mut dx: MatMut<'_, T>,
    onto: Onto,
    dy: Mat<'_, T>,
    w: Mat<'_, T>,
    threads: Threads,
) {
    if dy.n_rows > FEW_ROWS || w.col_stride != 1 || dy.col_stride != 1 {
        return matmul(dx, onto, dy, w, threads);
    }
    let (n, d_in) = (dy.n_rows, w.n_cols);
    assert!(dy.n_cols == w.n_rows && dx.n_cols == d_in && dx.n_rows == n, "the shapes fit");
    let share = match threads {
        Threads::One => w.n_rows.max(1),
        Threads::All => w.n_rows.div_ceil(rayon::current_num_threads()).max(64),
    };
    let partial = |from: usize| {
        let mut sum = vec![T::ZERO; n * d_in];
        let outputs = from..(from + share).min(w.n_rows);
        vectorized(
            #[inline(always)]
            || add_rows(&mut sum, outputs, dy, w),
        );
        sum
    };
    let partials: Vec<Vec<T>> = if share >= w.n_rows {
        vec![partial(0)]
    } else {
        let starts: Vec<usize> = (0..w.n_rows).step_by(share).collect();
        starts.into_par_iter().map(partial).collect()
    };
    for row in 0..n {
        let dx = dx.row_mut(row);
        for (i, partial) in partials.iter().enumerate() {
            let partial = &partial[row * d_in..(row + 1) * d_in];
            if i == 0 && onto == Onto::Zeros {
                dx.copy_from_slice(partial);
            } else {
                dx.iter_mut().zip(partial).for_each(|(dx, &partial)| *dx += partial);
            }
        }
    }
}

/// `sum += dy w`, over some rows of `w` only.
#[inline(always)]
fn add_rows<T: Real>(sum: &mut [T], outputs: Range<usize>, dy: Mat<'_, T>, w: Mat<'_, T>) {
    let d_in = w.n_cols;
    let mut output = outputs.start;
    // Few rows wait for memory, which streams best row by row.
    while dy.n_rows >= 4 && output + 4 <= outputs.end {
        let w: [&[T]; 4] = std::array::from_fn(|i| &w.row(output + i)[..d_in]);
        for (row, sum) in sum.chunks_exact_mut(d_in).enumerate() {
            let dy: [T; 4] = std::array::from_fn(|i| dy.row(row)[output + i]);
            for i in 0..d_in {
                let (even, odd) = (dy[1].mul_add(w[1][i], sum[i]), dy[3] * w[3][i]);
                sum[i] = dy[0].mul_add(w[0][i], even) + dy[2].mul_add(w[2][i], odd);
            }
        }
        output += 4;
    }
    for output in output..outputs.end {
        for (row, sum) in sum.chunks_exact_mut(d_in).enumerate() {
            let dy = dy.row(row)[output];
            sum.iter_mut().zip(w.row(output)).for_each(|(sum, &w)| *sum = w.mul_add(dy, *sum));
        }
    }
}

/// Numbers that several threads write at different places.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T, usize);

// SAFETY: every write goes through `put`, whose caller sees to it that places differ.
unsafe impl<T: Send> Send for Shared<T> {}
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Real> Shared<T> {
    /// Writes or adds one number.
    ///
    /// # Safety
    /// The place lies within the numbers, and no other thread uses it.
    #[inline(always)]
    unsafe fn put(&self, row: usize, col: usize, number: T, onto: Onto) {
        // SAFETY: as the caller promises.
        let place = unsafe { &mut *self.0.add(row * self.1 + col) };
        *place = if onto == Onto::Sum { *place + number } else { number };
    }
}

/// Splits `0..n` among the threads, where an item costs `cost` multiplications.
fn in_ranges(n: usize, cost: usize, task: impl Fn(Range<usize>) + Sync) {
    /// About ten microseconds.
    const COST_PER_TASK: usize = 128 * 1024;
    let share =
        COST_PER_TASK.div_ceil(cost.max(1)).max(n.div_ceil(4 * rayon::current_num_threads()));
    if share >= n {
        return task(0..n);
    }
    let starts: Vec<usize> = (0..n).step_by(share).collect();
    starts.into_par_iter().for_each(|from| task(from..(from + share).min(n)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 1009) as f64 - 504.0) / 504.0).collect()
    }

    fn check(n: usize, d_in: usize, d_out: usize, onto: Onto) {
        let (x, w, dy) = (numbers(n * d_in, 1), numbers(d_out * d_in, 2), numbers(n * d_out, 3));
        let start = if onto == Onto::Sum { 0.5 } else { 0.0 };
        let (mut y, mut dx) = (vec![start; n * d_out], vec![start; n * d_in]);
        let w_mat = Mat::packed(&w, d_in);
        apply(MatMut::packed(&mut y, d_out), onto, Mat::packed(&x, d_in), w_mat, Threads::All);
        apply_transposed(
            MatMut::packed(&mut dx, d_in),
            onto,
            Mat::packed(&dy, d_out),
            w_mat,
            Threads::All,
        );
        for row in 0..n {
            for o in 0..d_out {
                let exact: f64 = (0..d_in).map(|i| x[row * d_in + i] * w[o * d_in + i]).sum();
                assert!((y[row * d_out + o] - start - exact).abs() < 1e-9);
            }
            for i in 0..d_in {
                let exact: f64 = (0..d_out).map(|o| dy[row * d_out + o] * w[o * d_in + i]).sum();
                assert!((dx[row * d_in + i] - start - exact).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn products_of_few_and_many_rows_are_the_sums_that_they_should_be() {
        for n in [1, 3, FEW_ROWS, FEW_ROWS + 1, 40] {
            for (d_in, d_out) in [(1, 1), (19, 130), (64, 33)] {
                check(n, d_in, d_out, Onto::Zeros);
                check(n, d_in, d_out, Onto::Sum);
            }
        }
    }
}
