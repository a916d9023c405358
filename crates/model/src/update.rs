//! A change to one weight, beside it: `y = base(x) + update(x)`.

use candle_core::{Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_kernels::linear::{Matrix, linear};
use retcon_kernels::squares::sum_of_squares;
use retcon_kernels::weight::Weight;

use crate::error::Result;

/// What is added to a weight of shape `[d_out, d_in]` or `[d]`, in `f32`.
#[derive(Clone, Debug)]
pub enum Update {
    /// Every number of it, in the weight's shape.
    Dense(Tensor),
    /// The product `left right`, for matrices.
    LowRank {
        /// `[d_out, rank]`.
        left: Tensor,
        /// `[rank, d_in]`.
        right: Tensor,
    },
}

impl Update {
    /// Whether both are the same numbers in the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => a.id() == b.id(),
            (Self::LowRank { left, right }, Self::LowRank { left: l, right: r }) => {
                left.id() == l.id() && right.id() == r.id()
            }
            _ => false,
        }
    }

    /// The shape of the weight that it changes.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Dense(update) => update.dims().to_vec(),
            Self::LowRank { left, right } => vec![left.dims()[0], right.dims()[1]],
        }
    }

    /// The rank that it is stored with; `None` where it is dense.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match self {
            Self::Dense(_) => None,
            Self::LowRank { right, .. } => Some(right.dims()[0]),
        }
    }

    /// How many numbers it stores.
    #[must_use]
    pub fn n_numbers(&self) -> usize {
        match self {
            Self::Dense(update) => update.elem_count(),
            Self::LowRank { left, right } => left.elem_count() + right.elem_count(),
        }
    }

    /// The update with every number written out.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(update) => Ok(update.clone()),
            Self::LowRank { left, right } => Ok(left.matmul(right)?),
        }
    }

    /// The update in the form that stores fewer numbers.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn smallest(self) -> Result<Self> {
        match self.n_numbers() >= self.shape().iter().product() {
            true => Ok(Self::Dense(self.to_dense()?)),
            false => Ok(self),
        }
    }

    /// This update and `other` in one, in the form that stores fewer numbers.
    ///
    /// # Errors
    /// Where the shapes differ, or the device fails.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::LowRank { left: a, right: b }, Self::LowRank { left: c, right: d }) => {
                let (left, right) = (Tensor::cat(&[a, c], 1)?, Tensor::cat(&[b, d], 0)?);
                Self::LowRank { left, right }.smallest()
            }
            _ => Ok(Self::Dense(self.to_dense()?.add(&other.to_dense()?)?)),
        }
    }

    /// This update times a number.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn times(&self, factor: f64) -> Result<Self> {
        Ok(match self {
            Self::Dense(update) => Self::Dense(update.affine(factor, 0.0)?),
            Self::LowRank { left, right } => {
                Self::LowRank { left: left.affine(factor, 0.0)?, right: right.clone() }
            }
        })
    }

    /// Its Frobenius norm.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn norm(&self) -> Result<f64> {
        Ok(sum_of_squares(&self.to_dense()?)?.sqrt())
    }

    /// Whether all of its numbers are finite.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn is_finite(&self) -> Result<bool> {
        // In f64 no sum of squares of f32 is too large.
        let is = |part: &Tensor| Ok::<_, crate::Error>(sum_of_squares(part)?.is_finite());
        match self {
            Self::Dense(update) => is(update),
            Self::LowRank { left, right } => Ok(is(left)? && is(right)?),
        }
    }

    /// The same update on `device`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(match self {
            Self::Dense(update) => Self::Dense(update.to_device(device)?),
            Self::LowRank { left, right } => {
                Self::LowRank { left: left.to_device(device)?, right: right.to_device(device)? }
            }
        })
    }

    /// `y + update(x)`, for `x` `[n, d_in]` and `y` `[n, d_out]`.
    pub(crate) fn add_to(&self, y: &Var, x: &Var) -> Result<Var> {
        Ok(match self {
            Self::Dense(update) => linear(x, frozen(&update.clone().into()), Some(y))?,
            Self::LowRank { left, right } => {
                let inner = linear(x, frozen(&right.clone().into()), None)?;
                linear(&inner, frozen(&left.clone().into()), Some(y))?
            }
        })
    }

    /// The rows `rows` of it, `[rows, d_in]`.
    pub(crate) fn rows(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Dense(update) => update.index_select(rows, 0)?,
            Self::LowRank { left, right } => left.index_select(rows, 0)?.matmul(right)?,
        })
    }
}

fn frozen(weight: &Weight) -> Matrix<'_> {
    Matrix::Frozen(weight)
}
