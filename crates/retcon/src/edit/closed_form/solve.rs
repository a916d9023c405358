//! The closed forms: the smallest change to a weight that maps given keys to given values.
//!
//! All of them are `Δ = R S` with residuals `R` (wanted minus present values, a column each) and
//!
//! ```text
//! S = (A + μ I)⁻¹ (M K)ᵀ,   A = Kᵀ M K
//! ```
//!
//! of which only the rows of the new keys are needed, as the residuals of past ones are zero. `M` is a
//! metric on keys: `C⁻¹` (ROME, EMMET, MEMIT), the projector onto a null space of `C` (AlphaEdit) or
//! the identity (UltraEdit, MALMEN). Where there are more keys than a key is wide, the same is computed
//! as `S = Kᵀ (μ M⁻¹ + K Kᵀ)⁻¹`. Everything is in `f64`; no inverse is formed.

use std::sync::Arc;

use faer::{Mat, MatRef};

use crate::error::Result;
use crate::linalg::{Factor, NullSpace, side_by_side};

/// What makes a change small.
#[derive(Debug)]
pub enum Metric {
    /// `tr(Δ Δᵀ)`.
    Identity,
    /// `tr(Δ C Δᵀ)`, with `C` and its factor.
    Moment(Mat<f64>, Factor),
    /// `tr(Δ Δᵀ)`, and nothing outside of a null space.
    NullSpace(Arc<NullSpace>),
}

/// A solution.
#[derive(Debug)]
pub struct Solved {
    /// `S`, `[n, width]`: a change is residuals `[d, n]` times this.
    pub right: Mat<f64>,
    /// The condition number of what was solved with, about: the larger one of two solves.
    pub condition: f64,
    /// What had to be added to the diagonals of what was solved with, as a share of their mean; 0 where
    /// nothing was singular.
    pub ridge: f64,
}

/// Solves for the new keys `keys` `[width, n]`, beside `past` ones `[width, p]` at which nothing may
/// change. With `through`, the value of one edit is to come out at that key instead of its own (the
/// published code of ROME: its bare prompt's key).
///
/// # Errors
/// [`crate::Error::Singular`], [`crate::Error::NotFinite`].
///
/// # Panics
/// Where `through` is given and there is not one key: the published code writes one edit after another,
/// each with keys and values of the model that the one before left, so there is no formula for several.
pub fn solve(
    metric: &Metric,
    mu: f64,
    keys: MatRef<'_, f64>,
    past: MatRef<'_, f64>,
    through: Option<MatRef<'_, f64>>,
) -> Result<Solved> {
    let (width, n, p) = (keys.nrows(), keys.ncols(), past.ncols());
    let all = side_by_side(past, keys);
    // The published asymmetry only exists for one key and a hard constraint.
    if let Some(through) = through {
        assert_eq!((n, p), (1, 0), "one edit at a time");
        let scaled = metric.times(all.as_ref());
        let a = (through.transpose() * scaled.get(.., p..))[(0, 0)];
        let right = scaled.transpose() / a;
        let right = right.get(p.., ..).to_owned();
        return Ok(Solved { right, condition: metric.condition(), ridge: metric.ridge() });
    }
    match p + n < metric.n_directions(width) || mu == 0.0 {
        true => dual(metric, mu, all.as_ref(), n),
        false => primal(metric, mu, all.as_ref(), n),
    }
}

/// By the keys' Gram matrix.
fn dual(metric: &Metric, mu: f64, all: MatRef<'_, f64>, n: usize) -> Result<Solved> {
    let total = all.ncols();
    let scaled = metric.times(all);
    let mut gram = all.transpose() * &scaled;
    // Symmetric but for rounding.
    gram = Mat::from_fn(total, total, |i, j| 0.5 * (gram[(i, j)] + gram[(j, i)]));
    (0..total).for_each(|i| gram[(i, i)] += mu);
    let factor = Factor::new(&gram, "the Gram matrix of the keys")?;
    let chosen = Mat::from_fn(total, n, |i, j| if i == total - n + j { 1.0 } else { 0.0 });
    let right = factor.solve(chosen.as_ref()).transpose() * scaled.transpose();
    // The metric was solved with as well.
    let condition = factor.condition().max(metric.condition());
    Ok(Solved { right, condition, ridge: factor.ridge.max(metric.ridge()) })
}

/// In the space of keys.
fn primal(metric: &Metric, mu: f64, all: MatRef<'_, f64>, n: usize) -> Result<Solved> {
    let inside = metric.allowed(all);
    let mut sum = &inside * inside.transpose();
    match metric {
        Metric::Moment(moment, _) => sum += faer::Scale(mu) * moment,
        // Outside of a null space this is all there is, and nothing that is solved for is there.
        Metric::Identity | Metric::NullSpace(_) => {
            (0..sum.nrows()).for_each(|i| sum[(i, i)] += mu);
        }
    }
    let factor = Factor::new(&sum, "the sum of the keys' outer products")?;
    let solved = factor.solve(inside.get(.., inside.ncols() - n..));
    let right = metric.allowed(solved.as_ref()).transpose().to_owned();
    Ok(Solved { right, condition: factor.condition(), ridge: factor.ridge })
}

impl Metric {
    /// What had to be added to the moment's diagonal, as a share of its mean.
    fn ridge(&self) -> f64 {
        if let Self::Moment(_, factor) = self { factor.ridge } else { 0.0 }
    }

    /// The condition number of the moment, about.
    fn condition(&self) -> f64 {
        if let Self::Moment(_, factor) = self { factor.condition() } else { 1.0 }
    }

    /// `kᵀ M k` of an average key `k`: of all keys where their moment is known, which is their width by
    /// construction, otherwise of `keys`.
    #[must_use]
    pub fn average(&self, keys: MatRef<'_, f64>) -> f64 {
        match self {
            Self::Moment(..) => keys.nrows() as f64,
            Self::Identity | Self::NullSpace(_) => {
                self.times(keys).squared_norm_l2() / keys.ncols() as f64
            }
        }
    }

    /// The directions that may change at all, where those are not all.
    #[must_use]
    pub fn n_free(&self) -> Option<usize> {
        if let Self::NullSpace(space) = self { Some(space.n_directions()) } else { None }
    }

    /// `M keys`.
    fn times(&self, keys: MatRef<'_, f64>) -> Mat<f64> {
        match self {
            Self::Identity => keys.to_owned(),
            Self::Moment(_, factor) => factor.solve(keys),
            Self::NullSpace(space) => space.project(keys),
        }
    }

    /// The part of each column that is along directions that may change.
    fn allowed(&self, keys: MatRef<'_, f64>) -> Mat<f64> {
        match self {
            Self::NullSpace(space) => space.project(keys),
            Self::Identity | Self::Moment(..) => keys.to_owned(),
        }
    }

    fn n_directions(&self, width: usize) -> usize {
        match self {
            Self::NullSpace(space) => space.n_directions(),
            Self::Identity | Self::Moment(..) => width,
        }
    }
}
