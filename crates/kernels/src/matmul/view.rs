//! Matrices as strided views of numbers, to read, to write, and to write by several threads.

use std::marker::PhantomData;
use std::ops::Range;

use crate::autograd::Onto;
use crate::real::Real;

/// A matrix in memory that is read.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    pub(super) numbers: *const T,
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
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

    /// The columns `cols` of the rows `rows`, over the same numbers.
    pub(super) fn sub(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.n_rows, "rows past the end");
        assert!(cols.start <= cols.end && cols.end <= self.n_cols, "columns past the end");
        let from = rows.start * self.row_stride + cols.start * self.col_stride;
        // A part without numbers may begin past the end.
        let numbers = self.numbers.wrapping_add(from);
        Self { numbers, n_rows: rows.len(), n_cols: cols.len(), ..self }
    }

    /// The memory of the numbers; nothing where others lie between them.
    pub(super) fn bytes(self) -> &'a [u8] {
        if self.col_stride != 1 || self.row_stride != self.n_cols {
            return &[];
        }
        let n_bytes = self.n_rows * self.n_cols * size_of::<T>();
        // SAFETY: `new` checked that all rows lie within the borrow, and here they are all of it.
        unsafe { std::slice::from_raw_parts(self.numbers.cast(), n_bytes) }
    }

    /// A row, where rows are contiguous.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [T] {
        debug_assert!(self.col_stride == 1 && row < self.n_rows);
        // SAFETY: `new` checked that every row lies within the borrow.
        unsafe { std::slice::from_raw_parts(self.numbers.add(row * self.row_stride), self.n_cols) }
    }
}

/// A matrix in memory that is written.
pub(crate) struct MatMut<'a, T> {
    pub(super) numbers: *mut T,
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
    pub(super) row_stride: usize,
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

    /// All columns, apart from one another in runs of `width`, each with its first column.
    pub(super) fn apart(self, width: usize) -> Vec<(usize, Self)> {
        let part = |from: usize| {
            let n_cols = width.min(self.n_cols - from);
            // SAFETY: in bounds, and no column is in two of the runs.
            let numbers = unsafe { self.numbers.add(from) };
            (from, MatMut { numbers, n_cols, ..self })
        };
        (0..self.n_cols).step_by(width).map(part).collect()
    }
}

/// A matrix in memory of which several threads write different parts.
pub(crate) struct Parts<'a, T> {
    pub(super) numbers: *mut T,
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
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

/// Numbers that several threads write at different places.
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(pub(super) *mut T, pub(super) usize);

// SAFETY: every write goes through `put`, whose caller sees to it that places differ.
unsafe impl<T: Send> Send for Shared<T> {}
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Real> Shared<T> {
    /// Writes or adds one number.
    ///
    /// # Safety
    /// The place lies within the numbers, and no other thread uses it.
    #[inline(always)]
    pub(super) unsafe fn put(&self, row: usize, col: usize, number: T, onto: Onto) {
        // SAFETY: as the caller promises.
        let place = unsafe { &mut *self.0.add(row * self.1 + col) };
        *place = if onto == Onto::Sum { *place + number } else { number };
    }
}
