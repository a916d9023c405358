//! Dense solves in `f64` on the host; it knows no model, and forms no inverse.

use candle_core::{DType, Device, Tensor};
use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, MatRef, Side};
use retcon_kernels::moment::Moment;

use crate::error::{Error, Result};

/// A symmetric positive definite matrix, factored as `G Gᵀ` (Cholesky).
#[derive(Debug)]
pub struct Factor {
    factor: Llt<f64>,
    /// What was added to the diagonal, in units of its mean; 0 where nothing had to be.
    pub ridge: f64,
}

impl Factor {
    /// Factors `matrix`, which is called `what`. Where it isn't positive definite to working
    /// precision, as much is added to its diagonal as that takes, and no more than a thousandth of
    /// the diagonal's mean.
    ///
    /// # Errors
    /// [`Error::NotFinite`], or [`Error::Singular`] where that was not enough.
    pub fn new(matrix: &Mat<f64>, what: &str) -> Result<Self> {
        /// From what rounding may hide to what would change the solution.
        const RIDGES: [f64; 6] = [0.0, 1e-9, 1e-7, 1e-6, 1e-5, 1e-3];
        check_finite(matrix.as_ref(), what)?;
        let n = matrix.nrows();
        let mean = (0..n).map(|i| matrix[(i, i)]).sum::<f64>() / n.max(1) as f64;
        for ridge in RIDGES {
            let ridged = (ridge > 0.0).then(|| {
                let mut ridged = matrix.clone();
                (0..n).for_each(|i| ridged[(i, i)] += ridge * mean);
                ridged
            });
            let Ok(factor) = ridged.as_ref().unwrap_or(matrix).llt(Side::Lower) else { continue };
            let made = Self { factor, ridge };
            /// Beyond it a solution has no digit left that means something.
            const WORST: f64 = 1e13;
            if made.condition() < WORST {
                if ridge > 0.0 {
                    tracing::warn!("{what} is singular: {ridge:e} of its mean diagonal is added");
                }
                return Ok(made);
            }
        }
        Err(Error::Singular { what: what.to_owned() })
    }

    /// `x` with `matrix x = rhs`.
    #[must_use]
    pub fn solve(&self, rhs: MatRef<'_, f64>) -> Mat<f64> {
        self.factor.solve(rhs)
    }

    /// `tr(xᵀ matrix⁻¹ x)`, by half the work of a solution.
    #[must_use]
    pub fn energy(&self, mut x: Mat<f64>) -> f64 {
        self.factor.L().solve_lower_triangular_in_place(x.as_mut());
        x.squared_norm_l2()
    }

    /// A lower bound of the condition number, near it in practice: the squared ratio of the largest
    /// and the smallest diagonal entry of the factor.
    #[must_use]
    pub fn condition(&self) -> f64 {
        let factor = self.factor.L();
        let diagonal = (0..factor.nrows()).map(|i| factor[(i, i)].abs());
        let (least, most) =
            diagonal.fold((f64::INFINITY, 0f64), |(least, most), d| (least.min(d), most.max(d)));
        (most / least).powi(2)
    }
}

/// The directions in which a second moment has little.
#[derive(Debug)]
pub struct NullSpace {
    /// An orthonormal basis of all that is not in it, a column each, `[n, n - q]`: as a rule the smaller
    /// one of the two.
    pub outside: Mat<f64>,
}

impl NullSpace {
    /// The eigenvectors of `matrix` whose eigenvalue is below `threshold`.
    ///
    /// # Errors
    /// [`Error::NotFinite`], or [`Error::Singular`] where there are none or no eigenvalues can be
    /// computed.
    pub fn new(matrix: &Mat<f64>, threshold: f64, what: &str) -> Result<Self> {
        check_finite(matrix.as_ref(), what)?;
        let failed = || Error::Singular { what: what.to_owned() };
        let eigen = matrix.self_adjoint_eigen(Side::Lower).map_err(|_| failed())?;
        let values = eigen.S().column_vector();
        // Ascending.
        let q = (0..values.nrows()).filter(|&i| values[i] < threshold).count();
        if q == 0 {
            return Err(Error::NoNullSpace { what: what.to_owned(), threshold, least: values[0] });
        }
        Ok(Self { outside: eigen.U().get(.., q..).to_owned() })
    }

    /// Its dimension, `q`.
    #[must_use]
    pub fn n_directions(&self) -> usize {
        self.outside.nrows() - self.outside.ncols()
    }

    /// The part of each column of `x` that is in it, `[n, k]`.
    #[must_use]
    pub fn project(&self, x: MatRef<'_, f64>) -> Mat<f64> {
        x - &self.outside * (self.outside.transpose() * x)
    }
}

/// The mean of a second moment, `[width, width]`.
#[must_use]
pub fn mean(moment: &Moment) -> Mat<f64> {
    /// Columns that are written at a time: as many numbers of a row as a line of a cache has.
    const COLUMNS: usize = 8;
    let (n, width) = (moment.n_rows().max(1) as f64, moment.width());
    let mut mean = Mat::zeros(width, width);
    for from in (0..width).step_by(COLUMNS) {
        let columns = from..width.min(from + COLUMNS);
        for i in from..width {
            let row = &moment.row(i)[from..columns.end.min(i + 1)];
            for (j, &sum) in columns.clone().zip(row) {
                mean[(i, j)] = sum / n;
            }
        }
        for j in columns {
            let above = &moment.row(j)[..j];
            mean.col_as_slice_mut(j)[..j].iter_mut().zip(above).for_each(|(x, &sum)| *x = sum / n);
        }
    }
    mean
}

/// `tensor` `[n, k]` as a matrix.
///
/// # Errors
/// Where the device fails.
pub fn to_mat(tensor: &Tensor) -> Result<Mat<f64>> {
    let (n, k, numbers) = numbers(tensor)?;
    Ok(MatRef::from_row_major_slice(&numbers, n, k).to_owned())
}

/// The rows of `tensor` `[n, k]`, a column each: `[k, n]`.
///
/// # Errors
/// Where the device fails.
pub fn to_columns(tensor: &Tensor) -> Result<Mat<f64>> {
    let (n, k, numbers) = numbers(tensor)?;
    Ok(MatRef::from_column_major_slice(&numbers, k, n).to_owned())
}

/// The shape of `tensor` and its numbers, row by row.
fn numbers(tensor: &Tensor) -> Result<(usize, usize, Vec<f64>)> {
    let (n, k) = tensor.dims2()?;
    let numbers = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?;
    Ok((n, k, numbers.to_vec1()?))
}

/// `matrix` in `f32` on `device`.
///
/// # Errors
/// Where the device fails.
pub fn to_tensor(matrix: MatRef<'_, f64>, device: &Device) -> Result<Tensor> {
    let (n, k) = (matrix.nrows(), matrix.ncols());
    let numbers: Vec<f32> = (0..n * k).map(|i| matrix[(i / k, i % k)] as f32).collect();
    Ok(Tensor::from_vec(numbers, (n, k), device)?)
}

/// Makes sure that every number is one.
///
/// # Errors
/// [`Error::NotFinite`].
pub fn check_finite(matrix: MatRef<'_, f64>, what: &str) -> Result<()> {
    if matrix.is_all_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { what: what.to_owned() })
}

/// The columns of both, those of `a` first.
pub(crate) fn side_by_side(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let n = a.ncols();
    Mat::from_fn(a.nrows(), n + b.ncols(), |i, j| if j < n { a[(i, j)] } else { b[(i, j - n)] })
}

/// The rows of both, those of `a` first.
pub(crate) fn stacked(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    side_by_side(a.transpose(), b.transpose()).transpose().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(rows: &[[f32; 3]]) -> Mat<f64> {
        let mut moment = Moment::new(3);
        let rows = Tensor::from_slice(rows.as_flattened(), (rows.len(), 3), &Device::Cpu).unwrap();
        moment.add(&rows).unwrap();
        mean(&moment)
    }

    #[test]
    fn a_solution_is_one() {
        let matrix = moment(&[[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [3.0, 0.0, 1.0], [1.0, 1.0, 1.0]]);
        let factor = Factor::new(&matrix, "it").unwrap();
        let rhs = Mat::from_fn(3, 2, |i, j| (i + 3 * j) as f64);
        let error = (&matrix * factor.solve(rhs.as_ref()) - &rhs).norm_max();
        assert!(error < 1e-12 && factor.ridge == 0.0, "{error}");
    }

    #[test]
    fn energy_is_what_a_solution_says() {
        let matrix = moment(&[[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [3.0, 0.0, 1.0], [1.0, 1.0, 1.0]]);
        let factor = Factor::new(&matrix, "it").unwrap();
        let x = Mat::from_fn(3, 2, |i, j| (i + 3 * j) as f64 - 2.0);
        let solved = factor.solve(x.as_ref());
        let expected: f64 = (0..2).map(|j| x.col(j).transpose() * solved.col(j)).sum();
        let found = factor.energy(x);
        assert!((found - expected).abs() < 1e-12 * expected, "{found} {expected}");
    }

    #[test]
    fn a_mean_is_whole_and_symmetric() {
        for width in [1, 7, 8, 9, 30] {
            let triangle = (0..width * (width + 1) / 2).map(|i| i as f64).collect();
            let moment = Moment::from_parts(4, triangle).unwrap();
            let mean = mean(&moment);
            let expected = Mat::from_fn(width, width, |i, j| moment.at(i, j) / 4.0);
            assert_eq!(mean, expected, "{width}");
        }
    }

    #[test]
    fn a_singular_matrix_gets_a_ridge_and_says_so() {
        let factor = Factor::new(&moment(&[[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]), "it").unwrap();
        assert!(factor.ridge > 0.0 && factor.ridge <= 1e-7, "{}", factor.ridge);
        let error = Factor::new(&Mat::zeros(3, 3), "the moment of block 2").unwrap_err();
        assert!(error.to_string().contains("the moment of block 2"), "{error}");
        let broken = Mat::from_fn(2, 2, |_, _| f64::NAN);
        assert!(matches!(Factor::new(&broken, "it"), Err(Error::NotFinite { .. })));
    }

    #[test]
    fn a_null_space_is_where_nothing_is() {
        let matrix = moment(&[[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]]);
        let space = NullSpace::new(&matrix, 1e-6, "it").unwrap();
        assert_eq!(space.n_directions(), 1);
        let inside = space.project(Mat::<f64>::identity(3, 3).as_ref());
        assert!((&matrix * &inside).norm_max() < 1e-12 && inside[(2, 2)] > 1.0 - 1e-12);
        assert!(NullSpace::new(&matrix, -1.0, "it").is_err());
    }
}
