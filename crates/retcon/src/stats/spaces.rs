//! The null spaces of moments, each found once: an eigendecomposition takes longer than all else of an
//! edit, and statistics do not change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::linalg::NullSpace;

/// Null spaces of statistics and all of their clones.
#[derive(Clone, Debug, Default)]
pub struct Spaces(Arc<Mutex<Known>>);

/// By block and by the bits of the threshold.
type Known = BTreeMap<(usize, u64), Arc<NullSpace>>;

impl Spaces {
    /// That of `block` below `threshold`, made by `make` the first time.
    pub(super) fn of(
        &self,
        block: usize,
        threshold: f64,
        make: impl FnOnce() -> Result<NullSpace>,
    ) -> Result<Arc<NullSpace>> {
        let mut known = self.0.lock().expect("no holder of the lock panics");
        let key = (block, threshold.to_bits());
        if let Some(space) = known.get(&key) {
            return Ok(space.clone());
        }
        let space = Arc::new(make()?);
        known.insert(key, space.clone());
        Ok(space)
    }
}

/// They follow from the moments, so they make no difference.
impl PartialEq for Spaces {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
