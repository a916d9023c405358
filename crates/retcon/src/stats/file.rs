//! Statistics as a file (docs/formats.md): safetensors with a JSON header.

use std::collections::BTreeMap;
use std::path::Path;

use retcon_kernels::moment::Moment;
use retcon_model::atomic;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use super::{About, Statistics};
use crate::error::{Error, Result};

/// The version that is written, and the only one so far.
const VERSION: u32 = 1;

/// The key of the file's metadata under which the header stands.
const KEY: &str = "retcon_statistics";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    about: About,
    /// The rows of each moment.
    n_rows: BTreeMap<usize, u64>,
}

/// Writes `statistics` at `path`, whole or not at all.
///
/// # Errors
/// Where the file can't be written.
pub fn write(statistics: &Statistics, path: &Path) -> Result<()> {
    let Statistics { about, moments, begins, .. } = statistics;
    let n_rows = moments.iter().map(|(&block, moment)| (block, moment.n_rows())).collect();
    let header = Header { version: VERSION, about: about.clone(), n_rows };
    let header = serde_json::to_string(&header).expect("a header has string keys");
    let moments = moments.iter().map(|(block, moment)| {
        let numbers = moment.triangle();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        (format!("blocks.{block}.mlp.key.moment"), Dtype::F64, numbers.len(), bytes)
    });
    let begins = begins.iter().map(|(block, key)| {
        let bytes: Vec<u8> = key.iter().flat_map(|x| x.to_le_bytes()).collect();
        (format!("blocks.{block}.mlp.key.begins"), Dtype::F32, key.len(), bytes)
    });
    let tensors: Vec<_> = moments.chain(begins).collect();
    let bad = |error: safetensors::SafeTensorError| bad(path, error.to_string());
    let mut views = Vec::new();
    for (name, dtype, n, bytes) in &tensors {
        views.push((name, TensorView::new(*dtype, vec![*n], bytes).map_err(bad)?));
    }
    let metadata = [(KEY.to_owned(), header)].into_iter().collect();
    let bytes = serialize(views, Some(metadata)).map_err(bad)?;
    Ok(atomic::write(path, |to| to.write_all(&bytes))?)
}

/// Reads the statistics at `path`.
///
/// # Errors
/// [`Error::BadStatistics`] where the file is something else or doesn't hold together.
pub fn read(path: &Path) -> Result<Statistics> {
    let bytes = std::fs::read(path).map_err(|error| bad(path, error.to_string()))?;
    let broken = |error: safetensors::SafeTensorError| bad(path, error.to_string());
    let (_, head) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let header = head.metadata().as_ref().and_then(|texts| texts.get(KEY));
    let header = header.ok_or_else(|| bad(path, format!("it has no `{KEY}` in its metadata")))?;
    let header: Header =
        serde_json::from_str(header).map_err(|error| bad(path, error.to_string()))?;
    if header.version != VERSION {
        let what = format!("it is of version {}, this reads {VERSION}", header.version);
        return Err(bad(path, what));
    }
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let (mut moments, mut begins) = (BTreeMap::new(), BTreeMap::new());
    for (&block, &n_rows) in &header.n_rows {
        let tensor = |name| file.tensor(&format!("blocks.{block}.mlp.key.{name}"));
        let moment = tensor("moment").map_err(broken)?;
        let numbers = moment.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes));
        let moment = Moment::from_parts(n_rows, numbers.collect());
        moments.insert(block, moment.ok_or_else(|| bad(path, "a moment is no triangle".into()))?);
        if let Ok(key) = tensor("begins") {
            let numbers = key.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
            begins.insert(block, numbers.collect());
        }
    }
    Ok(Statistics { about: header.about, moments, begins, spaces: super::Spaces::default() })
}

fn bad(path: &Path, what: String) -> Error {
    Error::BadStatistics { path: path.to_owned(), what }
}
