//! Statistics as a file (docs/formats.md): safetensors with a JSON header.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use retcon_kernels::moment::Moment;
use retcon_kernels::stored::Bytes;
use retcon_model::checkpoint::safetensors::{Part, write_parts};
use safetensors::SafeTensors;
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
        let name = format!("blocks.{block}.mlp.key.moment");
        part(name, "F64", moment.triangle(), f64::to_le_bytes)
    });
    let begins = begins.iter().map(|(block, key)| {
        part(format!("blocks.{block}.mlp.key.begins"), "F32", key, f32::to_le_bytes)
    });
    let parts: Vec<_> = moments.chain(begins).collect();
    Ok(write_parts(path, &parts, &BTreeMap::from([(KEY.to_owned(), header)]))?)
}

/// Numbers of a file. They are as large as all else, so there is no copy of all of them.
fn part<'a, T: Copy, const N: usize>(
    name: String,
    dtype: &str,
    numbers: &'a [T],
    bytes: fn(T) -> [u8; N],
) -> Part<'a> {
    /// Numbers that are written at once.
    const SOME: usize = 8192;
    let fill = move |to: &mut dyn Write| {
        let some = |some: &[T]| some.iter().flat_map(|&x| bytes(x)).collect::<Vec<u8>>();
        numbers.chunks(SOME).try_for_each(|numbers| to.write_all(&some(numbers)))
    };
    let (dtype, shape, n_bytes) = (dtype.to_owned(), vec![numbers.len()], numbers.len() * N);
    Part { name, dtype, shape, n_bytes, fill: Box::new(fill) }
}

/// What the statistics at `path` were computed from, and their blocks.
///
/// # Errors
/// As [`read`].
pub(super) fn about(path: &Path) -> Result<(About, Vec<usize>)> {
    let header = header(path, &map(path)?)?;
    Ok((header.about, header.n_rows.into_keys().collect()))
}

/// Reads the statistics at `path`.
///
/// # Errors
/// [`Error::BadStatistics`] where the file is something else or doesn't hold together.
pub fn read(path: &Path) -> Result<Statistics> {
    let bytes = map(path)?;
    let header = header(path, &bytes)?;
    let broken = |error: safetensors::SafeTensorError| bad(path, error.to_string());
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

/// The bytes of the file, read when they are looked at.
fn map(path: &Path) -> Result<Bytes> {
    let mapped = File::open(path).and_then(|file| Bytes::map(&file));
    mapped.map_err(|error| bad(path, error.to_string()))
}

fn header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let (_, head) =
        SafeTensors::read_metadata(bytes).map_err(|error| bad(path, error.to_string()))?;
    let header = head.metadata().as_ref().and_then(|texts| texts.get(KEY));
    let header = header.ok_or_else(|| bad(path, format!("it has no `{KEY}` in its metadata")))?;
    let header: Header =
        serde_json::from_str(header).map_err(|error| bad(path, error.to_string()))?;
    if header.version != VERSION {
        let what = format!("it is of version {}, this reads {VERSION}", header.version);
        return Err(bad(path, what));
    }
    Ok(header)
}

fn bad(path: &Path, what: String) -> Error {
    Error::BadStatistics { path: path.to_owned(), what }
}
