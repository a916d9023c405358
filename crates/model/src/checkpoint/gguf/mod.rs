//! The GGUF format: metadata and tensors, dense or quantized, of one file or several parts.

mod config;
mod cursor;
mod parts;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod types;
mod value;

use std::ops::Range;
use std::path::Path;

use retcon_kernels::stored::{Bytes, Format};

pub(super) use config::config;
pub(super) use parts::{first_parts, parts};
pub use value::{List, Metadata, Value};

use self::cursor::{Cursor, Parsed};
use super::file::{TensorFile, map};
use crate::error::{Error, Result};

/// The dimensions of a tensor; ggml itself stops at 4.
const MAX_DIMS: u32 = 4;

/// Data starts at multiples of this unless `general.alignment` says otherwise.
const ALIGNMENT: u64 = 32;

/// What a GGUF file holds.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// Its tensors.
    pub file: TensorFile,
    /// What it says about the model and its tokenizer.
    pub metadata: Metadata,
}

/// What a file says of a tensor; `offset` counts from the end of the head.
struct Info<'a> {
    name: &'a str,
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

/// Opens the file at `path`. Every count, length and offset in it is checked before it is used.
///
/// # Errors
/// [`Error::Io`]; [`Error::BadHeader`] where the head is broken; [`Error::UnsupportedTensor`]
/// where a tensor is of a type that cannot be decoded.
pub fn open(path: &Path) -> Result<Gguf> {
    read(path, map(path)?)
}

fn read(path: &Path, bytes: Bytes) -> Result<Gguf> {
    let (metadata, infos, start) = head(&bytes).map_err(Error::header(path))?;
    let alignment = alignment(&metadata).map_err(Error::header(path))?;
    let start = start.checked_next_multiple_of(alignment).unwrap_or(usize::MAX);
    let mut placed = Vec::with_capacity(infos.len());
    for info in &infos {
        let format = types::format(info.kind).map_err(|found| Error::UnsupportedTensor {
            path: path.to_owned(),
            name: info.name.to_owned(),
            found,
        })?;
        let range = place(info, format, start, alignment, bytes.len());
        let range = range.map_err(|what| format!("tensor `{}`: {what}", info.name));
        placed.push((range.map_err(Error::header(path))?, format, info));
    }
    placed.sort_by_key(|(range, ..)| range.start);
    check_apart(&placed).map_err(Error::header(path))?;
    let mut file = TensorFile::new(path, bytes.clone());
    for (range, format, info) in placed {
        file.insert(info.name.to_owned(), format, info.shape.clone(), range)?;
    }
    Ok(Gguf { file, metadata })
}

/// The metadata, what is said of the tensors, and where the head ends.
fn head(bytes: &Bytes) -> Parsed<(Metadata, Vec<Info<'_>>, usize)> {
    let mut from = Cursor::new(bytes);
    if &from.array()? != b"GGUF" {
        return Err("this is no GGUF file".into());
    }
    match from.u32()? {
        2 | 3 => {}
        version if matches!(version.swap_bytes(), 1..=3) => {
            return Err("the numbers are big-endian".into());
        }
        version => return Err(format!("unsupported version of GGUF: {version}")),
    }
    // At the least an empty name, no dimensions, a type and an offset.
    let n_tensors = from.count("tensors", 8 + 4 + 4 + 8)?;
    // At the least an empty name, a type and a value of one byte.
    let n_values = from.count("metadata values", 8 + 4 + 1)?;
    let metadata = Metadata::read(&mut from, n_values, bytes)?;
    let infos = (0..n_tensors).map(|_| Info::read(&mut from)).collect::<Parsed<_>>()?;
    Ok((metadata, infos, from.at()))
}

impl<'a> Info<'a> {
    fn read(from: &mut Cursor<'a>) -> Parsed<Self> {
        let name = from.name()?;
        let n_dims = from.u32()?;
        if n_dims > MAX_DIMS {
            return Err(format!("tensor `{name}` has {n_dims} dimensions"));
        }
        let mut shape = (0..n_dims)
            .map(|_| from.u64().map(|dim| usize::try_from(dim).unwrap_or(usize::MAX)))
            .collect::<Parsed<Vec<_>>>()?;
        // The file has the innermost dimension first.
        shape.reverse();
        Ok(Self { name, shape, kind: from.u32()?, offset: from.u64()? })
    }
}

fn alignment(metadata: &Metadata) -> Parsed<usize> {
    let alignment = match metadata.get("general.alignment") {
        Some(_) => metadata.count("general.alignment").unwrap_or(0),
        None => ALIGNMENT,
    };
    let fits = alignment.is_power_of_two() && alignment <= 1 << 20;
    fits.then_some(alignment as usize)
        .ok_or_else(|| "`general.alignment` is no power of two below a million".into())
}

/// Where in a file of `len` bytes, whose data begin at `start`, the tensor of `info` is.
fn place(
    info: &Info<'_>,
    format: Format,
    start: usize,
    alignment: usize,
    len: usize,
) -> Parsed<Range<usize>> {
    let (offset, shape) = (info.offset, &info.shape);
    let size = format
        .n_bytes(shape)
        .ok_or_else(|| format!("shape {shape:?} is impossible in the format {format}"))?;
    if offset % alignment as u64 != 0 {
        return Err(format!("offset {offset} is no multiple of {alignment}"));
    }
    usize::try_from(offset)
        .ok()
        .and_then(|offset| start.checked_add(offset))
        .and_then(|from| Some(from..from.checked_add(size)?))
        .filter(|range| range.end <= len)
        .ok_or_else(|| format!("{size} bytes at offset {offset} reach past the end of the file"))
}

fn check_apart(sorted: &[(Range<usize>, Format, &Info<'_>)]) -> Parsed<()> {
    for pair in sorted.windows(2) {
        let ((first, _, a), (second, _, b)) = (&pair[0], &pair[1]);
        if first.end > second.start {
            return Err(format!("tensors `{}` and `{}` overlap", a.name, b.name));
        }
    }
    Ok(())
}
