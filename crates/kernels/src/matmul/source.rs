//! Where a product finds the numbers of a weight: ready in memory, or to be decoded.

use std::ops::Range;

use super::view::Mat;
use crate::cpu::prefetch;
use crate::real::Real;
use crate::stored::Stored;

/// A weight `[d_out, d_in]`, of which a product asks for a part at a time.
pub(crate) trait Source<T>: Sync {
    /// Its shape.
    fn dims(&self) -> (usize, usize);

    /// Columns that can't be had apart: parts begin and end between them.
    fn block(&self) -> usize;

    /// The numbers of `cols` in `rows`, decoded into `buffer` where they don't lie ready.
    fn part<'b>(
        &'b self,
        rows: Range<usize>,
        cols: Range<usize>,
        buffer: &'b mut Vec<T>,
    ) -> Mat<'b, T>;

    /// All numbers, where they lie ready.
    fn ready(&self) -> Option<Mat<'_, T>>;

    /// What memory holds of `rows`.
    fn bytes(&self, rows: Range<usize>) -> &[u8];
}

impl<T: Real> Source<T> for Mat<'_, T> {
    fn dims(&self) -> (usize, usize) {
        (self.n_rows, self.n_cols)
    }

    fn block(&self) -> usize {
        1
    }

    fn part<'b>(&'b self, rows: Range<usize>, cols: Range<usize>, _: &'b mut Vec<T>) -> Mat<'b, T> {
        self.sub(rows, cols)
    }

    fn ready(&self) -> Option<Mat<'_, T>> {
        Some(*self)
    }

    fn bytes(&self, rows: Range<usize>) -> &[u8] {
        self.sub(rows, 0..self.n_cols).bytes()
    }
}

impl<T: Real> Source<T> for Stored {
    fn dims(&self) -> (usize, usize) {
        (self.n_rows(), self.row_len())
    }

    fn block(&self) -> usize {
        self.format().block().0
    }

    fn part<'b>(
        &'b self,
        rows: Range<usize>,
        cols: Range<usize>,
        buffer: &'b mut Vec<T>,
    ) -> Mat<'b, T> {
        if let Some(ready) = self.ready() {
            return ready.sub(rows, cols);
        }
        let n_cols = cols.len();
        buffer.resize(rows.len() * n_cols, T::ZERO);
        match T::f32_slice_mut(buffer) {
            Some(out) => self.decode_part(rows, cols, out),
            None => {
                let mut decoded = vec![0f32; buffer.len()];
                self.decode_part(rows, cols, &mut decoded);
                buffer.iter_mut().zip(decoded).for_each(|(out, x)| *out = T::of(f64::from(x)));
            }
        }
        Mat::packed(buffer, n_cols)
    }

    fn ready(&self) -> Option<Mat<'_, T>> {
        let numbers = self.as_f32().and_then(T::from_f32_slice)?;
        Some(Mat::packed(numbers, self.row_len()))
    }

    fn bytes(&self, rows: Range<usize>) -> &[u8] {
        self.encoded(rows)
    }
}

/// Memory that is fetched a little at a time, while something else is computed.
pub(super) struct Ahead<'a> {
    /// Rows of bytes.
    bytes: &'a [u8],
    /// From a row to the next one.
    stride: usize,
    /// What is wanted of a row.
    wanted: Range<usize>,
    /// Where in the first row it goes on.
    at: usize,
    /// Lines that are fetched at a time.
    lines: usize,
}

/// Bytes of a line of a cache.
const LINE: usize = 64;

impl<'a> Ahead<'a> {
    /// The columns `cols` of `rows`, of which all are to be there after `n` times.
    pub(super) fn new<T>(
        w: &'a impl Source<T>,
        rows: Range<usize>,
        cols: Range<usize>,
        n: usize,
    ) -> Self {
        let (n_rows, n_cols) = (rows.len(), w.dims().1);
        let bytes = w.bytes(rows);
        let (stride, wanted) = if cols.len() == n_cols {
            (bytes.len(), 0..bytes.len())
        } else {
            let stride = bytes.len() / n_rows.max(1);
            (stride, cols.start * stride / n_cols..cols.end * stride / n_cols)
        };
        let n_lines = wanted.len().div_ceil(LINE) * bytes.len().checked_div(stride).unwrap_or(0);
        Self { bytes, stride, at: wanted.start, wanted, lines: n_lines.div_ceil(n.max(1)) }
    }

    /// Fetches what comes next.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        for _ in 0..self.lines {
            let Some(place) = self.bytes.get(self.at) else { return };
            prefetch(place);
            self.at += LINE;
            if self.at >= self.wanted.end {
                self.bytes = self.bytes.get(self.stride..).unwrap_or_default();
                self.at = self.wanted.start;
            }
        }
    }
}
