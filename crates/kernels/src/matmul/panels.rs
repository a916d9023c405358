//! Many rows times some rows of a weight: one number of the weight at a time meets the same column
//! of as many rows as a panel has.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Threads;
use super::source::{Ahead, Source};
use super::view::{Mat, Shared};
use crate::autograd::Onto;
use crate::real::Real;

/// Rows of a panel: one vector of the widest kind.
const LANES: usize = 16;

/// Columns of a panel between looks at what memory is to fetch.
const STRETCH: usize = 16;

/// Rows in panels of [`LANES`], each column by column; zeros where the rows end.
pub(crate) struct Panels<T> {
    numbers: Vec<T>,
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
}

impl<T: Real> Panels<T> {
    /// The rows of `x`.
    pub(super) fn new(x: Mat<'_, T>, threads: Threads) -> Self {
        let (n_rows, n_cols) = (x.n_rows, x.n_cols);
        let mut numbers = vec![T::ZERO; n_rows.next_multiple_of(LANES) * n_cols];
        let fill = |(i, panel): (usize, &mut [T])| {
            let columns = panel.as_chunks_mut::<LANES>().0;
            for (lane, row) in (i * LANES..n_rows.min((i + 1) * LANES)).enumerate() {
                columns.iter_mut().zip(x.row(row)).for_each(|(column, &x)| column[lane] = x);
            }
        };
        let len = (LANES * n_cols).max(1);
        match threads {
            Threads::All if n_rows > LANES => {
                numbers.par_chunks_mut(len).enumerate().for_each(fill);
            }
            _ => numbers.chunks_mut(len).enumerate().for_each(fill),
        }
        Self { numbers, n_rows, n_cols }
    }
}

/// The products of all rows in panels with `outputs` of a weight, on their way to `y`.
pub(super) struct Products<'a, T, W> {
    pub(super) panels: &'a Panels<T>,
    pub(super) w: &'a W,
    pub(super) outputs: Range<usize>,
    pub(super) y: Shared<T>,
    pub(super) onto: Onto,
}

impl<T: Real, W: Source<T>> WithSimd for Products<'_, T, W> {
    type Output = ();

    /// Takes as many outputs at a time as there are registers for their sums, and enough to hide
    /// how long a sum takes.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = LANES * size_of::<T>() / size_of::<T::Vector<S>>();
        match (vectors, S::REGISTER_COUNT < 32) {
            (1, _) => self.all::<S, 1, 12>(simd),
            (2, false) => self.all::<S, 2, 12>(simd),
            (2, true) => self.all::<S, 2, 6>(simd),
            (4, false) => self.all::<S, 4, 6>(simd),
            (4, true) => self.all::<S, 4, 2>(simd),
            (8, _) => self.all::<S, 8, 2>(simd),
            _ => self.all::<S, LANES, 1>(simd),
        }
    }
}

impl<T: Real, W: Source<T>> Products<'_, T, W> {
    /// Some outputs at a time stay in a near cache while panel after panel meets them, and memory
    /// fetches those that come next. A panel has `V` vectors, and `O` outputs meet it at a time.
    #[inline(always)]
    fn all<S: Simd, const V: usize, const O: usize>(&self, simd: S) {
        /// Of outputs where the panels stay in a near cache too: little, so that hardly anything is
        /// computed before memory is asked for the next.
        const FEW: usize = 16 << 10;
        /// Of outputs that are to be used as often as they can: half of what the second cache of
        /// common processors holds.
        const MANY: usize = 128 << 10;
        let Panels { numbers, n_rows, n_cols } = self.panels;
        let (n_cols, bytes) = (*n_cols, size_of_val(&**numbers));
        let bytes = if bytes <= 4 * MANY { FEW } else { MANY };
        let group = (bytes / (size_of::<T>() * n_cols * O).max(1)).max(1) * O;
        let mut buffer = Vec::new();
        for from in self.outputs.clone().step_by(group) {
            let outputs = from..(from + group).min(self.outputs.end);
            let next = outputs.end..(outputs.end + group).min(self.outputs.end);
            let n_times = n_rows.div_ceil(LANES) * outputs.len().div_ceil(O) * (n_cols / STRETCH);
            let mut part = Part {
                first: from,
                w: self.w.part(outputs, 0..n_cols, &mut buffer),
                ahead: Ahead::new(self.w, next, 0..n_cols, n_times),
            };
            let panels = numbers.chunks((LANES * n_cols).max(1));
            for (row, panel) in (0..*n_rows).step_by(LANES).zip(panels) {
                let mut output = 0;
                while output + O <= part.w.n_rows() {
                    self.tile::<S, V, O>(simd, &mut part, panel, row, output);
                    output += O;
                }
                while output + 4 <= part.w.n_rows() {
                    self.tile::<S, V, 4>(simd, &mut part, panel, row, output);
                    output += 4;
                }
                while output < part.w.n_rows() {
                    self.tile::<S, V, 1>(simd, &mut part, panel, row, output);
                    output += 1;
                }
            }
        }
    }

    /// The products of a panel, whose first row is `row`, with `O` outputs of `part` from `output`
    /// on.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const O: usize>(
        &self,
        simd: S,
        part: &mut Part<'_, T>,
        panel: &[T],
        row: usize,
        output: usize,
    ) {
        let w: [&[T]; O] = std::array::from_fn(
            #[inline(always)]
            |o| part.w.row(output + o),
        );
        let mut sums = [[T::splat(simd, T::ZERO); V]; O];
        for (stretch, columns) in panel.chunks(STRETCH * LANES).enumerate() {
            part.ahead.fetch();
            for (i, column) in columns.as_chunks::<LANES>().0.iter().enumerate() {
                let column = &T::vectors::<S>(column)[..V];
                for (sums, w) in sums.iter_mut().zip(w) {
                    // SAFETY: every row of the weight is as long as a panel has columns.
                    let factor = unsafe { *w.get_unchecked(stretch * STRETCH + i) };
                    let factor = T::splat(simd, factor);
                    for (sum, &x) in sums.iter_mut().zip(column) {
                        *sum = T::mul_add_vectors(simd, factor, x, *sum);
                    }
                }
            }
        }
        let mut products = [[T::ZERO; LANES]; O];
        for (products, sums) in products.iter_mut().zip(&sums) {
            T::vectors_mut::<S>(products).copy_from_slice(sums);
        }
        for lane in 0..LANES.min(self.panels.n_rows - row) {
            for (o, products) in products.iter().enumerate() {
                let output = part.first + output + o;
                // SAFETY: the outputs of this task are its own, and in bounds.
                unsafe { self.y.put(row + lane, output, products[lane], self.onto) };
            }
        }
    }
}

/// Some rows of the weight.
struct Part<'a, T> {
    /// Which output is the first.
    first: usize,
    w: Mat<'a, T>,
    ahead: Ahead<'a>,
}
