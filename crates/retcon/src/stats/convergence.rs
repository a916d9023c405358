//! Whether a second moment has seen enough: how surprising keys are that it has not seen.
//!
//! Of the keys that a mean `C` was taken over, `kᵀ C⁻¹ k` is `f` on average, the width, by
//! construction. Of new keys it is more, the more `C` still depends on which keys it happened to
//! see: about `T / (T - f)` times as much for `T` independent normal ones.

use std::collections::BTreeMap;

use candle_core::Tensor;
use retcon_kernels::moment::Moment;

use crate::error::Result;
use crate::linalg::{Factor, mean, to_columns};

/// Keys that no moment is to see, a row each, block by block and as they were run.
pub(super) type Held = BTreeMap<usize, Vec<Tensor>>;

/// Keys that are solved for at once.
pub(super) const AT_ONCE: usize = 256;

/// For each block, the mean of `kᵀ C⁻¹ k / width` over the held keys `k`.
///
/// # Errors
/// Where a moment can't be solved with.
pub(super) fn surprise(
    moments: &BTreeMap<usize, Moment>,
    held: &Held,
) -> Result<BTreeMap<usize, f64>> {
    let mut surprise = BTreeMap::new();
    for (&block, pieces) in held {
        let Some(moment) = moments.get(&block) else { continue };
        let factor = Factor::new(&mean(moment), &super::collect::name(block))?;
        let (mut total, mut n) = (0.0, 0);
        for piece in pieces {
            let n_keys = piece.dim(0)?;
            for from in (0..n_keys).step_by(AT_ONCE) {
                let keys = piece.narrow(0, from, AT_ONCE.min(n_keys - from))?;
                total += factor.energy(to_columns(&keys)?);
            }
            n += n_keys * moment.width();
        }
        surprise.insert(block, total / n.max(1) as f64);
    }
    Ok(surprise)
}
