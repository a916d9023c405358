//! The safetensors format: open a file of dense tensors, write one.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use retcon_kernels::stored::{Bytes, Format, Stored};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::{Map, Value, json};

use super::file::{TensorFile, map};
use crate::atomic;
use crate::error::{Error, Result};

/// The length of the head is stored before it, in so many bytes.
const N_LEN: usize = 8;

/// No head is longer, by the format's own rule.
const MAX_HEADER: u64 = 100_000_000;

/// What a safetensors file holds.
#[derive(Clone, Debug)]
pub struct Safetensors {
    /// Its tensors of floating-point numbers.
    pub file: TensorFile,
    /// The names of its integer tensors (position indices, attention masks), which no weight is.
    pub skipped: Vec<String>,
    /// The texts that came with the tensors.
    pub metadata: BTreeMap<String, String>,
}

/// Opens the file at `path`, checking its head against its size before anything is believed.
///
/// # Errors
/// [`Error::Io`]; [`Error::BadHeader`] where the head doesn't describe the file;
/// [`Error::UnsupportedTensor`] for floats that are not 32 or 16 bits wide.
pub fn open(path: &Path) -> Result<Safetensors> {
    read(path, map(path)?)
}

fn read(path: &Path, bytes: Bytes) -> Result<Safetensors> {
    let (header, start) = header(&bytes).map_err(Error::header(path))?;
    let mut file = TensorFile::new(path, bytes);
    let mut skipped = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        match format_of(info.dtype) {
            Kind::Float(format) => {
                let (from, to) = info.data_offsets;
                file.insert(name, format, info.shape.clone(), start + from..start + to)?;
            }
            Kind::Integer => skipped.push(name),
            Kind::Unsupported => {
                let found = info.dtype.to_string();
                return Err(Error::UnsupportedTensor { path: path.to_owned(), name, found });
            }
        }
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Safetensors { file, skipped, metadata })
}

/// The head of a file in `bytes`, and where the tensors start.
fn header(bytes: &[u8]) -> Result<(Metadata, usize), String> {
    let (length, rest) = bytes.split_first_chunk::<N_LEN>().ok_or("shorter than 8 bytes")?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(format!(
            "no safetensors: a head of {length} bytes, more than the {MAX_HEADER} allowed"
        ));
    }
    let short = || format!("a head of {length} bytes in a file of {}", bytes.len());
    let (header, data) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(short)?;
    // The library's checks: offsets in order and without gaps, sizes that follow from the shapes,
    // nothing that overflows. Its own entry point adds them up unchecked, so ours compares.
    let header: Metadata = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    if header.data_len() != data.len() {
        let (expected, found) = (header.data_len(), data.len());
        return Err(format!("expected {expected} bytes of tensors, found: {found}"));
    }
    Ok((header, bytes.len() - data.len()))
}

/// What can be done with numbers of a type.
enum Kind {
    Float(Format),
    Integer,
    Unsupported,
}

fn format_of(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F32 => Kind::Float(Format::F32),
        Dtype::F16 => Kind::Float(Format::F16),
        Dtype::BF16 => Kind::Float(Format::BF16),
        Dtype::BOOL | Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16 => Kind::Integer,
        Dtype::U32 | Dtype::I32 | Dtype::U64 | Dtype::I64 => Kind::Integer,
        _ => Kind::Unsupported,
    }
}

/// Writes `tensors` and the texts of `metadata` to a file at `path`, the same bytes every time.
///
/// # Errors
/// [`Error::UnsupportedTensor`] for a quantized tensor; [`Error::Io`], and then no file is left.
pub fn write(
    path: &Path,
    tensors: &BTreeMap<String, Stored>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let mut order: Vec<_> = tensors.iter().collect();
    // The widest numbers first, as the format asks for, so that all of them lie aligned.
    order.sort_by_key(|(_, stored)| std::cmp::Reverse(stored.format().block().1));
    let mut parts = Vec::new();
    for (name, stored) in order {
        if stored.format().dense().is_none() {
            let (path, found) = (path.to_owned(), stored.format().to_string());
            return Err(Error::UnsupportedTensor { path, name: name.to_string(), found });
        }
        parts.push(Part {
            name: name.clone(),
            dtype: stored.format().to_string(),
            shape: stored.shape().to_vec(),
            n_bytes: stored.bytes().len(),
            fill: Box::new(|to| to.write_all(stored.bytes())),
        });
    }
    write_parts(path, &parts, metadata)
}

/// Writes bytes.
type Fill<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

/// A tensor that is to be written.
pub struct Part<'a> {
    /// Its name.
    pub name: String,
    /// The type of its numbers, as the format calls it.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The bytes that it takes.
    pub n_bytes: usize,
    /// Writes them, so that they need not lie in memory as they do in the file.
    pub fill: Box<Fill<'a>>,
}

/// Writes `parts`, those of the widest numbers first, and the texts of `metadata` to a file at `path`.
///
/// # Errors
/// [`Error::Io`], and then no file is left.
pub fn write_parts(
    path: &Path,
    parts: &[Part<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut start = 0;
    for Part { name, dtype, shape, n_bytes, .. } in parts {
        let end = start + n_bytes;
        let info = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), info);
        start = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(N_LEN), b' ');
    atomic::write(path, |to| {
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(&header)?;
        parts.iter().try_for_each(|part| (part.fill)(to))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, n_data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(std::iter::repeat_n(7, n_data));
        bytes
    }

    fn read_bytes(bytes: Vec<u8>) -> Result<Safetensors> {
        read(Path::new("m.safetensors"), bytes.into())
    }

    fn info(dtype: &str, shape: &str, from: u64, to: u64) -> String {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    }

    #[test]
    fn floats_are_read_and_integers_listed() {
        let header = format!(
            r#"{{"w":{},"ids":{}}}"#,
            info("F16", "[2,3]", 0, 12),
            info("I64", "[1]", 12, 20)
        );
        let read = read_bytes(file(&header, 20)).unwrap();
        let stored = read.file.get("w").unwrap();
        assert_eq!((stored.format(), stored.shape()), (Format::F16, &[2, 3][..]));
        assert_eq!(read.skipped, ["ids"]);
    }

    #[test]
    fn doubles_are_refused_by_name() {
        let header = format!(r#"{{"w":{}}}"#, info("F64", "[1]", 0, 8));
        let error = read_bytes(file(&header, 8)).unwrap_err().to_string();
        assert_eq!(error, "m.safetensors: tensor `w` has an unsupported type: F64");
    }

    #[test]
    fn heads_that_lie_are_refused() {
        let max = u64::MAX;
        let lies = [
            (vec![], "shorter than 8 bytes"),
            (max.to_le_bytes().to_vec(), "more than the 100000000 allowed"),
            (90u64.to_le_bytes().to_vec(), "a head of 90 bytes in a file of 8"),
            (file("[]", 0), "invalid type"),
            (file(&format!(r#"{{"w":{}}}"#, info("F32", "[2]", 0, 8)), 4), "expected 8 bytes"),
            (file(&format!(r#"{{"w":{}}}"#, info("F32", "[2]", 0, 4)), 4), "invalid shape"),
            (file(&format!(r#"{{"w":{}}}"#, info("F32", "[1]", 4, 8)), 8), "invalid offset"),
            (
                file(&format!(r#"{{"w":{}}}"#, info("U8", &format!("[{max}]"), 0, max)), 4),
                "overflow",
            ),
            (
                file(&format!(r#"{{"w":{}}}"#, info("F32", "[0,4294967296,4294967296]", 0, 0)), 0),
                "tensor `w`: ",
            ),
        ];
        for (bytes, what) in lies {
            let error = read_bytes(bytes).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    fn tensor() -> impl Strategy<Value = Stored> {
        let formats = prop::sample::select(vec![Format::F32, Format::F16, Format::BF16]);
        (formats, prop::collection::vec(0usize..5, 0..4)).prop_flat_map(|(format, shape)| {
            let n = format.n_bytes(&shape).unwrap();
            let bytes = prop::collection::vec(any::<u8>(), n);
            bytes.prop_map(move |b| Stored::new(format, shape.clone(), b.into()).unwrap())
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            tensors in prop::collection::btree_map("[a-z.]{1,9}", tensor(), 0..6),
            metadata in prop::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..4),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.safetensors");
            write(&path, &tensors, &metadata).unwrap();
            let read = open(&path).unwrap();
            prop_assert_eq!(read.metadata, metadata);
            prop_assert_eq!(read.file.tensors().count(), tensors.len());
            for (name, stored) in &tensors {
                let found = read.file.get(name).unwrap();
                prop_assert_eq!(found.format(), stored.format());
                prop_assert_eq!(found.shape(), stored.shape());
                prop_assert_eq!(&**found.bytes(), &**stored.bytes());
            }
        }

        #[test]
        fn random_heads_never_panic(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_bytes(head);
        }
    }
}
