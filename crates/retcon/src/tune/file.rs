//! What a sweep found as a file, so that it runs once for a model and a method.

use std::path::{Path, PathBuf};

use retcon_model::{Model, atomic};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Tuned;
use crate::error::{Error, Result};
use crate::stats;

/// What tells `model` apart from any other.
pub(super) fn fingerprint(model: &Model) -> Result<String> {
    stats::fingerprint(model, model.spec().n_blocks)
}

/// Where the settings of a method for `model` are kept in `folder`, beside those that were `given` to
/// the sweep.
///
/// # Errors
/// Where the model's files can't be read.
pub fn path(
    folder: &Path,
    model: &Model,
    method: &str,
    given: &Map<String, Value>,
) -> Result<PathBuf> {
    let fingerprint = fingerprint(&model.base())?;
    let name = format!("{method}-{}", &fingerprint[..16]);
    if given.is_empty() {
        return Ok(folder.join(format!("{name}.json")));
    }
    let hash = Sha256::digest(Value::Object(given.clone()).to_string());
    Ok(folder.join(format!("{name}-{}.json", &format!("{hash:x}")[..8])))
}

/// Writes `tuned` at `path`, whole or not at all.
///
/// # Errors
/// Where the file can't be written.
pub fn write(tuned: &Tuned, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(tuned).expect("settings have string keys");
    Ok(atomic::write(path, |to| to.write_all(text.as_bytes()))?)
}

/// What is at `path` of `model`; `None` where nothing is, or it is of another model or another version
/// of this program.
///
/// # Errors
/// [`Error::BadFolder`] where the file is broken.
pub fn read(path: &Path, model: &Model) -> Result<Option<Tuned>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bad = |what: String| Error::BadFolder { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    let Ok(tuned) = serde_json::from_value::<Tuned>(json) else { return Ok(None) };
    Ok(if tuned.model == fingerprint(&model.base())? { Some(tuned) } else { None })
}
