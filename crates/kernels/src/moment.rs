//! The second moment of rows that come a chunk at a time: a symmetric sum, half of which exists.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::autograd::Onto;
use crate::cpu;
use crate::error::Result;
use crate::matmul::{Mat, MatMut, Threads, matmul};
use crate::pool::in_pool;
use crate::shape;

/// `sum_t x_t x_tᵀ` over rows `x_t` of one width, and how many there were. Uncentered.
///
/// Rows of a chunk are summed in `f32`, chunks in `f64`, so sums over millions of rows lose nothing
/// that matters, and the same chunks give the same sum to the bit whatever the number of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    width: usize,
    n_rows: u64,
    /// The lower triangle, row by row: row `i` has `i + 1` numbers.
    triangle: Vec<f64>,
}

/// Rows of the triangle that one thread works on at a time: wide enough for a fast product, narrow
/// enough that little above the diagonal is computed in vain.
const BAND: usize = 128;

impl Moment {
    /// The moment of no rows, of `width` numbers each.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, n_rows: 0, triangle: vec![0.0; width * (width + 1) / 2] }
    }

    /// A moment that was taken apart: the sum's lower triangle, row by row, over `n_rows` rows.
    /// `None` where the triangle is none.
    #[must_use]
    pub fn from_parts(n_rows: u64, triangle: Vec<f64>) -> Option<Self> {
        let width = ((8 * triangle.len() + 1).isqrt() - 1) / 2;
        let fits = width * (width + 1) / 2 == triangle.len();
        fits.then_some(Self { width, n_rows, triangle })
    }

    /// Numbers in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows were added.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// The lower triangle of the sum, row by row.
    #[must_use]
    pub fn triangle(&self) -> &[f64] {
        &self.triangle
    }

    /// The sum's row `i`, up to the diagonal.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f64] {
        let start = i * (i + 1) / 2;
        &self.triangle[start..=start + i]
    }

    /// The sum at row `i` and column `j`.
    #[must_use]
    pub fn at(&self, i: usize, j: usize) -> f64 {
        let (i, j) = if i < j { (j, i) } else { (i, j) };
        self.row(i)[j]
    }

    /// Adds the rows of `x`, `[n, width]`.
    ///
    /// # Errors
    /// Where the shape doesn't fit or the device fails.
    pub fn add(&mut self, x: &Tensor) -> Result<()> {
        let (n, _) = shape::matrix("moment", "rows", "[n, width]", x)?;
        shape::check("moment", "rows", &[n, self.width], x)?;
        let x = x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
        let x = cpu::read::<f32>(&x)?;
        let x: &[f32] = &x;
        let width = self.width;
        let bands = bands(&mut self.triangle, width);
        in_pool(|| {
            // The widest first, one by one: what is left over at the end is small.
            let widest_first = bands.into_par_iter().rev().with_max_len(1);
            widest_first.for_each(|(from, band)| add_band(band, from, x, width));
        });
        self.n_rows += n as u64;
        Ok(())
    }

    /// Adds the row `x` `n` times.
    ///
    /// # Errors
    /// Where it is of another width.
    pub fn add_repeated(&mut self, x: &[f32], n: u64) -> Result<()> {
        shape::check_len("moment", "row", self.width, x.len())?;
        let mut sums = self.triangle.iter_mut();
        for (i, &a) in x.iter().enumerate() {
            for (&b, sum) in x[..=i].iter().zip(sums.by_ref()) {
                *sum += n as f64 * f64::from(a) * f64::from(b);
            }
        }
        self.n_rows += n;
        Ok(())
    }

    /// Adds the rows of another moment.
    ///
    /// # Errors
    /// Where it is of another width.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        shape::check_len("moment", "other", self.width, other.width)?;
        self.n_rows += other.n_rows;
        cpu::add(&mut self.triangle, &other.triangle);
        Ok(())
    }
}

/// The triangle in bands of rows, each with its first row.
fn bands(triangle: &mut [f64], width: usize) -> Vec<(usize, &mut [f64])> {
    let (mut bands, mut rest) = (Vec::new(), triangle);
    for from in (0..width).step_by(BAND) {
        let to = (from + BAND).min(width);
        let (band, after) = rest.split_at_mut((to * (to + 1) - from * (from + 1)) / 2);
        bands.push((from, band));
        rest = after;
    }
    bands
}

/// Adds to the rows of the triangle from `from` on that `band` holds.
fn add_band(band: &mut [f64], from: usize, x: &[f32], width: usize) {
    let to = (from + BAND).min(width);
    let n = x.len() / width.max(1);
    // All that x holds from the column `from` on, in rows of the old stride.
    let rows = Mat::new(x.get(from..).unwrap_or_default(), n, to - from, width);
    let columns = Mat::new(x, n, to, width);
    let mut product = vec![0f32; (to - from) * to];
    matmul(MatMut::packed(&mut product, to), Onto::Zeros, rows.t(), columns, Threads::One);
    let mut band = band;
    for (i, product) in (from..to).zip(product.chunks_exact(to)) {
        let (row, rest) = band.split_at_mut(i + 1);
        for (sum, &product) in row.iter_mut().zip(product) {
            *sum += f64::from(product);
        }
        band = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, width: usize, seed: usize) -> Tensor {
        let number = |i: usize| ((i * 7919 + seed * 31) % 997) as f32 / 498.0 - 1.0;
        let numbers: Vec<f32> = (0..n * width).map(number).collect();
        Tensor::from_vec(numbers, (n, width), &Device::Cpu).unwrap()
    }

    #[test]
    fn it_is_the_sum_of_outer_products() {
        for width in [1, 5, 128, 300] {
            let (a, b) = (rows(7, width, 1), rows(12, width, 2));
            let mut moment = Moment::new(width);
            moment.add(&a).unwrap();
            moment.add(&b).unwrap();
            assert_eq!(moment.n_rows(), 19);
            let all = Tensor::cat(&[&a, &b], 0).unwrap().to_dtype(DType::F64).unwrap();
            let expected = all.t().unwrap().matmul(&all).unwrap().to_vec2::<f64>().unwrap();
            for (i, row) in expected.iter().enumerate() {
                for (j, expected) in row.iter().enumerate() {
                    // Chunks of a few rows in `f32`.
                    assert!((moment.at(i, j) - expected).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn parts_merge_into_the_whole_and_come_back() {
        let (a, b) = (rows(3, 40, 1), rows(4, 40, 2));
        let mut whole = Moment::new(40);
        whole.add(&a).unwrap();
        whole.add(&b).unwrap();
        let [mut first, mut second] = [(); 2].map(|()| Moment::new(40));
        first.add(&a).unwrap();
        second.add(&b).unwrap();
        first.merge(&second).unwrap();
        assert_eq!(first, whole);
        let back = Moment::from_parts(7, whole.triangle().to_vec()).unwrap();
        assert_eq!(back, whole);
        assert!(Moment::from_parts(1, vec![0.0; 5]).is_none());
        assert!(first.merge(&Moment::new(3)).is_err() && first.add(&rows(2, 3, 1)).is_err());
    }
}
