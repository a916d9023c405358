//! What earlier edits left for later ones, in the state of their deltas: it goes where they go, and is
//! gone when they are undone.

use candle_core::DType;
use faer::Mat;
use retcon_model::Model;

use crate::error::{Error, Result};
use crate::linalg::to_mat;

/// The norm that values are brought to.
pub(super) const ANCHOR: &str = "anchor";

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
        all.push(to_mat(keys)?);
    }
    let n = all.iter().map(Mat::nrows).sum();
    let mut keys = Mat::zeros(width, n);
    let rows = all.iter().flat_map(|keys| (0..keys.nrows()).map(move |i| keys.row(i)));
    for (i, row) in rows.enumerate() {
        (0..width).for_each(|j| keys[(j, i)] = row[j]);
    }
    Ok(keys)
}

/// The norm that the first edit brought its values to.
///
/// # Errors
/// [`Error::WrongState`] where a delta has something else there.
pub(super) fn anchor(model: &Model) -> Result<Option<f64>> {
    let found = model.deltas().iter().find_map(|delta| delta.state.get(ANCHOR));
    let norm = |tensor: &candle_core::Tensor| -> Result<f64> {
        let numbers = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        match numbers.as_slice() {
            &[norm] => Ok(norm),
            _ => {
                let (name, expected) = (ANCHOR.to_owned(), "[1]".to_owned());
                Err(Error::WrongState { name, expected, found: tensor.dims().to_vec() })
            }
        }
    };
    found.map(norm).transpose()
}
