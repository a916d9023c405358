//! Whether a second moment has seen enough: how surprising keys are that it has not seen.
//!
//! Of the keys that a mean `C` was taken over, `kᵀ C⁻¹ k` is `f` on average, the width, by
//! construction. Of new keys it is more, the more `C` still depends on which keys it happened to
//! see: about `T / (T - f)` times as much for `T` independent normal ones.

use std::collections::BTreeMap;

use faer::Mat;
use retcon_kernels::moment::Moment;

use crate::error::Result;
use crate::linalg::{Factor, mean};

/// Keys that no moment is to see, `[width, n]`, block by block.
pub(super) type Held = BTreeMap<usize, Mat<f64>>;

/// For each block, the mean of `kᵀ C⁻¹ k / width` over the held keys `k`.
///
/// # Errors
/// Where a moment can't be solved with.
pub(super) fn surprise(
    moments: &BTreeMap<usize, Moment>,
    held: &Held,
) -> Result<BTreeMap<usize, f64>> {
    let mut surprise = BTreeMap::new();
    for (&block, keys) in held {
        let Some(moment) = moments.get(&block) else { continue };
        let factor = Factor::new(&mean(moment), &super::collect::name(block))?;
        let solved = factor.solve(keys.as_ref());
        let n = keys.ncols().max(1) * keys.nrows();
        let total: f64 = (0..keys.ncols()).map(|i| keys.col(i).transpose() * solved.col(i)).sum();
        surprise.insert(block, total / n as f64);
    }
    Ok(surprise)
}
