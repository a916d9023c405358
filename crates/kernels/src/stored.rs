//! Weights as they lie in a file: dense or block-quantized bytes, memory-mapped, decoded on use.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::decode::{cast, decode};
use crate::error::{Error, Result};
use crate::iq4;

/// A range of bytes in shared memory: part of a mapped file, or a buffer of our own.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl Bytes {
    /// The bytes `range` of `owner`; `None` where the owner is shorter.
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Option<Self> {
        (*owner).as_ref().get(range.clone())?;
        Some(Self { owner, range })
    }

    /// Whether both are the same bytes in the same place.
    fn is(&self, other: &Self) -> bool {
        self.range == other.range
            && std::ptr::addr_eq(Arc::as_ptr(&self.owner), Arc::as_ptr(&other.owner))
    }

    /// All of `file`, mapped into memory: read when touched, shared by all who map it.
    ///
    /// # Errors
    /// Where the system cannot map it.
    pub fn map(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is read-only. Whoever shortens the file while it is mapped gets us
        // killed by the system, as with every memory-mapped checkpoint; our own writers never do,
        // since they rename a new file into place.
        let map = unsafe { memmap2::Mmap::map(file)? };
        let range = 0..map.len();
        Ok(Self { owner: Arc::new(map), range })
    }

    /// The bytes `range` of these, over the same memory; `None` where they end before it.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        self.get(range.clone())?;
        let start = self.range.start;
        Some(Self { owner: self.owner.clone(), range: start + range.start..start + range.end })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { owner: Arc::new(bytes), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// How the numbers of a stored tensor are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// The upper half of 32-bit floats.
    BF16,
    /// Blocks of quantized numbers along the last dimension, as ggml defines them.
    Ggml(GgmlDType),
    /// As [`Format::Ggml`]: one of sixteen levels times a scale of 32 numbers.
    Iq4Nl,
    /// As [`Format::Iq4Nl`], with scales of six bits in a block of 256.
    Iq4Xs,
}

impl Format {
    /// Numbers in one block, and the bytes that it takes.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Ggml(dtype) => (dtype.block_size(), dtype.type_size()),
            Self::Iq4Nl => (32, 18),
            Self::Iq4Xs => (256, 136),
        }
    }

    /// The bytes of a tensor of `shape`, or `None` where its rows are no whole number of blocks
    /// or the size doesn't fit an address.
    #[must_use]
    pub fn n_bytes(self, shape: &[usize]) -> Option<usize> {
        let (block, bytes) = self.block();
        let row = shape.last().copied().unwrap_or(1);
        // An empty dimension must not hide that the others overflow.
        let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))?;
        let n = if shape.contains(&0) { 0 } else { n };
        (row % block == 0).then_some(())?;
        (n / block).checked_mul(bytes)
    }

    /// The dense format of a candle type, where there is one.
    #[must_use]
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// The candle type of a dense format.
    #[must_use]
    pub fn dense(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::BF16 => Some(DType::BF16),
            Self::Ggml(_) | Self::Iq4Nl | Self::Iq4Xs => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("F32"),
            Self::F16 => f.write_str("F16"),
            Self::BF16 => f.write_str("BF16"),
            Self::Ggml(dtype) => f.write_str(&format!("{dtype:?}").replace('K', "_K")),
            Self::Iq4Nl => f.write_str("IQ4_NL"),
            Self::Iq4Xs => f.write_str("IQ4_XS"),
        }
    }
}

/// A tensor as stored: row-major, the outermost dimension first.
#[derive(Clone, Debug)]
pub struct Stored {
    format: Format,
    shape: Vec<usize>,
    bytes: Bytes,
}

impl Stored {
    /// A tensor of `shape` in `bytes`.
    ///
    /// # Errors
    /// [`Error::Bytes`] where the bytes are not exactly those of such a tensor.
    pub fn new(format: Format, shape: Vec<usize>, bytes: Bytes) -> Result<Self> {
        let expected = format.n_bytes(&shape);
        if expected != Some(bytes.len()) {
            return Err(Error::Bytes {
                format: format.to_string(),
                expected: expected.map_or_else(
                    || format!("rows of whole blocks of {}", format.block().0),
                    |n| n.to_string(),
                ),
                shape,
                found: bytes.len(),
            });
        }
        Ok(Self { format, shape, bytes })
    }

    /// Whether both are the same numbers in the same place.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.bytes.is(&other.bytes) && (self.format, &self.shape) == (other.format, &other.shape)
    }

    /// How its numbers are written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its shape, outermost dimension first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length of a row, along the last dimension.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// The rows `rows` as a tensor of their own, over the same memory.
    ///
    /// # Panics
    /// Where the rows reach past the end.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let bytes = self.row_bytes(rows.clone());
        Self {
            format: self.format,
            shape: vec![rows.len(), self.row_len()],
            bytes: Bytes { owner: self.bytes.owner.clone(), range: bytes },
        }
    }

    fn row_bytes(&self, rows: Range<usize>) -> Range<usize> {
        assert!(rows.end <= self.n_rows(), "rows {rows:?} of {}", self.n_rows());
        let (block, bytes) = self.format.block();
        let stride = self.row_len() / block * bytes;
        let start = self.bytes.range.start;
        start + rows.start * stride..start + rows.end * stride
    }

    /// All numbers without a copy, where they are stored as aligned 32-bit floats.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        (self.format == Format::F32).then(|| cast::<f32>(&self.bytes)).flatten()
    }

    /// Decodes the rows `rows` into `out`, `[rows, row_len]`.
    ///
    /// # Panics
    /// Where `out` has another length or the rows reach past the end.
    pub fn decode_rows(&self, rows: Range<usize>, out: &mut [f32]) {
        assert_eq!(out.len(), rows.len() * self.row_len(), "the length of `out`");
        decode(self.format, self.encoded(rows), out);
    }

    /// Decodes the columns `cols`, which are whole blocks, of the rows `rows` into `out`,
    /// `[rows, cols]`.
    pub(crate) fn decode_part(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f32]) {
        if cols.len() == self.row_len() {
            return self.decode_rows(rows, out);
        }
        assert_eq!(out.len(), rows.len() * cols.len(), "the length of `out`");
        let (block, bytes) = self.format.block();
        let is_whole = cols.start.is_multiple_of(block) && cols.end.is_multiple_of(block);
        assert!(is_whole, "whole blocks");
        let of_cols = cols.start / block * bytes..cols.end / block * bytes;
        let encoded = self.encoded(rows).chunks_exact(self.row_len() / block * bytes);
        for (row, out) in encoded.zip(out.chunks_exact_mut(cols.len().max(1))) {
            decode(self.format, &row[of_cols.clone()], out);
        }
    }

    /// The bytes of the rows `rows`.
    pub(crate) fn encoded(&self, rows: Range<usize>) -> &[u8] {
        &(*self.bytes.owner).as_ref()[self.row_bytes(rows)]
    }

    /// All numbers in 32-bit floats, decoded by all threads.
    #[must_use]
    pub fn to_vec_f32(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.n_rows() * self.row_len()];
        let rows = (1 << 16) / self.row_len().max(1) + 1;
        if out.is_empty() {
            return out;
        }
        out.par_chunks_mut(rows * self.row_len()).enumerate().for_each(|(i, chunk)| {
            let n = chunk.len() / self.row_len();
            self.decode_rows(i * rows..i * rows + n, chunk);
        });
        out
    }

    /// The tensor on `device` in `dtype`, decoded.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_tensor(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let dense = match self.format.dense() {
            Some(stored) if stored == dtype && stored != DType::F32 => {
                Tensor::from_raw_buffer(&self.bytes, stored, &self.shape, device)?
            }
            _ => Tensor::from_vec(self.to_vec_f32(), self.shape.as_slice(), device)?,
        };
        Ok(dense.to_dtype(dtype)?)
    }

    /// `values` (`shape`, 32-bit floats) written in `format`.
    ///
    /// # Errors
    /// Where the rows are no whole number of blocks.
    pub fn encode(values: &Tensor, format: Format) -> Result<Self> {
        let shape = values.dims().to_vec();
        let bytes = match format {
            Format::Ggml(dtype) => QTensor::quantize(values, dtype)?.data()?.into_owned(),
            _ => {
                let values = values.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                encode(&values, format)
            }
        };
        Self::new(format, shape, bytes.into())
    }
}

/// `values`, whole blocks of them, in a format that is ours to write.
fn encode(values: &[f32], format: Format) -> Vec<u8> {
    match format {
        Format::Iq4Nl => values.as_chunks().0.par_iter().flat_map_iter(iq4::encode_nl).collect(),
        Format::Iq4Xs => values.as_chunks().0.par_iter().flat_map_iter(iq4::encode_xs).collect(),
        Format::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Format::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}
