//! What earlier edits left for later ones, in the state of their deltas: it goes where they go, and is
//! gone when they are undone.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use faer::Mat;
use retcon_model::Model;

use super::recipe::ValueSite;
use super::walk::{Walk, averaged};
use crate::error::{Error, Result};
use crate::linalg::{to_columns, to_tensor};

/// The name of the keys that an edit was written at in a block, `[n, d_mlp]`.
pub(super) fn name(block: usize) -> String {
    format!("blocks.{block}.mlp.key.past")
}

/// The keys of all edits that `model` carries in `block`, a column each: `[width, n]`; none where they
/// are not `wanted`.
///
/// # Errors
/// [`Error::WrongState`] where a delta has keys that are not of that width: its file is damaged, or
/// was made by something else.
pub(super) fn keys(model: &Model, block: usize, width: usize, wanted: bool) -> Result<Mat<f64>> {
    let mut all: Vec<Mat<f64>> = Vec::new();
    for delta in model.deltas().iter().filter(|_| wanted) {
        let Some(keys) = delta.state.get(&name(block)) else { continue };
        let found = keys.dims().to_vec();
        if found.len() != 2 || found[1] != width {
            let (name, expected) = (name(block), format!("[keys, {width}]"));
            return Err(Error::WrongState { name, expected, found });
        }
        all.push(to_columns(keys)?);
    }
    let mut keys = Mat::zeros(width, all.iter().map(Mat::ncols).sum());
    for (i, key) in all.iter().flat_map(|keys| keys.col_iter()).enumerate() {
        keys.col_mut(i).copy_from(key);
    }
    Ok(keys)
}

/// The keys of an edit at each of `blocks` as `edited`, the model with it, has them: of the situations of
/// `walk`, which stands before the first of the blocks, and counts each as `weights` say.
///
/// # Errors
/// What the model reports.
pub(super) fn left(
    edited: &Model,
    mut walk: Walk,
    weights: &[Vec<f64>],
    blocks: &[usize],
) -> Result<BTreeMap<String, Tensor>> {
    let mut keys_of = |&block: &usize| {
        walk.go_to(edited, block)?;
        let keys = averaged(&walk.keys(edited)?, weights)?;
        Ok((name(block), to_tensor(keys.transpose(), edited.device())?))
    };
    blocks.iter().map(&mut keys_of).collect()
}

/// The name of the norm that values at `site` of a block are brought to, `[edits]`: a search elsewhere
/// finds values of another length.
pub(super) fn anchor_name(block: usize, site: ValueSite) -> String {
    format!("blocks.{block}.{site}.anchor")
}

/// The norm that an earlier edit measured for values at `site` of `block`, where one did. It is of the
/// unedited model, so that of edits that were joined the first is as good as any.
///
/// # Errors
/// [`Error::WrongState`] where a delta has something else there.
pub(super) fn anchor(model: &Model, block: usize, site: ValueSite) -> Result<Option<f64>> {
    let name = anchor_name(block, site);
    let Some(found) = model.deltas().iter().find_map(|delta| delta.state.get(&name)) else {
        return Ok(None);
    };
    match *found.dims() {
        [n] if n > 0 => Ok(Some(found.to_dtype(DType::F64)?.to_vec1::<f64>()?[0])),
        _ => {
            let (expected, found) = ("[an edit]".to_owned(), found.dims().to_vec());
            Err(Error::WrongState { name, expected, found })
        }
    }
}
