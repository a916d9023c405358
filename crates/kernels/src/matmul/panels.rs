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
        let Panels { numbers, n_cols, .. } = self.panels;
        let (n_cols, bytes) = (*n_cols, size_of_val(&**numbers));
        let bytes = if bytes <= 4 * MANY { FEW } else { MANY };
        let group = (bytes / (size_of::<T>() * n_cols * O).max(1)).max(1) * O;
        let panels = numbers.chunks_exact((LANES * n_cols).max(1));
        let meetings = meetings(V, panels.len());
        let mut buffer = Vec::new();
        for from in self.outputs.clone().step_by(group) {
            let outputs = from..(from + group).min(self.outputs.end);
            let next = outputs.end..(outputs.end + group).min(self.outputs.end);
            let n_times = meetings.len() * outputs.len().div_ceil(O) * (n_cols / STRETCH);
            let mut part = Part {
                first: from,
                w: self.w.part(outputs, 0..n_cols, &mut buffer),
                ahead: Ahead::new(self.w, next, 0..n_cols, n_times),
            };
            let mut panels = panels.clone();
            let mut row = 0;
            for &at_once in &meetings {
                let mut next = || panels.next().unwrap_or_default();
                match at_once {
                    3 => self.tiles::<S, 3, V, 8>(simd, &mut part, [next(), next(), next()], row),
                    2 => self.tiles::<S, 2, V, O>(simd, &mut part, [next(), next()], row),
                    _ => self.tiles::<S, 1, V, O>(simd, &mut part, [next()], row),
                }
                row += at_once * LANES;
            }
        }
    }

    /// The products of `P` panels, whose first row is `row`, with all outputs of `part`.
    #[inline(always)]
    fn tiles<S: Simd, const P: usize, const V: usize, const O: usize>(
        &self,
        simd: S,
        part: &mut Part<'_, T>,
        panels: [&[T]; P],
        row: usize,
    ) {
        let mut output = 0;
        while output + O <= part.w.n_rows() {
            self.tile::<S, P, V, O>(simd, part, panels, row, output);
            output += O;
        }
        while output + 4 <= part.w.n_rows() {
            self.tile::<S, P, V, 4>(simd, part, panels, row, output);
            output += 4;
        }
        while output < part.w.n_rows() {
            self.tile::<S, P, V, 1>(simd, part, panels, row, output);
            output += 1;
        }
    }

    /// The products of `P` panels, whose first row is `row`, with `O` outputs of `part` from
    /// `output` on.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize, const O: usize>(
        &self,
        simd: S,
        part: &mut Part<'_, T>,
        panels: [&[T]; P],
        row: usize,
        output: usize,
    ) {
        let w: [&[T]; O] = std::array::from_fn(
            #[inline(always)]
            |o| part.w.row(output + o),
        );
        let panels = panels.map(
            #[inline(always)]
            |panel| panel.as_chunks::<LANES>().0,
        );
        let n_cols = self.panels.n_cols;
        let mut sums = [[[T::splat(simd, T::ZERO); V]; P]; O];
        for from in (0..n_cols).step_by(STRETCH) {
            part.ahead.fetch();
            for i in from..n_cols.min(from + STRETCH) {
                let columns = panels.map(
                    #[inline(always)]
                    |panel| {
                        // SAFETY: a panel has this many columns.
                        let column = unsafe { panel.get_unchecked(i) };
                        &T::vectors::<S>(column)[..V]
                    },
                );
                for (sums, w) in sums.iter_mut().zip(w) {
                    // SAFETY: every row of the weight is as long as a panel has columns.
                    let factor = T::splat(simd, unsafe { *w.get_unchecked(i) });
                    for (sums, column) in sums.iter_mut().zip(columns) {
                        for (sum, &x) in sums.iter_mut().zip(column) {
                            *sum = T::mul_add_vectors(simd, factor, x, *sum);
                        }
                    }
                }
            }
        }
        // Through memory, so that the sums stay in registers until then.
        let mut products = [[[T::ZERO; LANES]; P]; O];
        for (products, sums) in products.iter_mut().zip(&sums) {
            for (products, sums) in products.iter_mut().zip(sums) {
                T::vectors_mut::<S>(products).copy_from_slice(sums);
            }
        }
        for of_tile in 0..(P * LANES).min(self.panels.n_rows - row) {
            for (o, products) in products.iter().enumerate() {
                let product = products.as_flattened()[of_tile];
                let output = part.first + output + o;
                // SAFETY: the outputs of this task are its own, and in bounds.
                unsafe { self.y.put(row + of_tile, output, product, self.onto) };
            }
        }
    }
}

/// How many of `n_panels` panels, of so many vectors each, meet outputs together, one number a meeting.
/// Where it is one vector, registers have room for the sums of two or three, so that each number of the
/// weight is loaded for all of them.
fn meetings(n_vectors: usize, n_panels: usize) -> Vec<usize> {
    if n_vectors > 1 {
        return vec![1; n_panels];
    }
    let mut meetings = vec![2; n_panels / 2];
    match meetings.last_mut() {
        Some(last) => *last += n_panels % 2,
        None => meetings.resize(n_panels, 1),
    }
    meetings
}

/// Some rows of the weight.
struct Part<'a, T> {
    /// Which output is the first.
    first: usize,
    w: Mat<'a, T>,
    ahead: Ahead<'a>,
}
