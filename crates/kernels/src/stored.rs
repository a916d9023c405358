//! Weights as they lie in a file: dense or block-quantized bytes, memory-mapped, decoded on use.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use candle_core::quantized::k_quants::GgmlType;
use candle_core::quantized::{GgmlDType, QStorage, QTensor, k_quants};
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::error::{Error, Result};

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
}

impl Format {
    /// Numbers in one block, and the bytes that it takes.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Ggml(dtype) => (dtype.block_size(), dtype.type_size()),
        }
    }

    /// The bytes of a tensor of `shape`, or `None` where its rows are no whole number of blocks
    /// or the size doesn't fit an address.
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
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// The candle type of a dense format.
    pub fn dense(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::BF16 => Some(DType::BF16),
            Self::Ggml(_) => None,
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
    pub fn is(&self, other: &Self) -> bool {
        self.bytes.is(&other.bytes) && (self.format, &self.shape) == (other.format, &other.shape)
    }

    /// How its numbers are written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its shape, outermost dimension first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length of a row, along the last dimension.
    pub fn row_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The number of rows.
    pub fn n_rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// The rows `rows` as a tensor of their own, over the same memory.
    ///
    /// # Panics
    /// Where the rows reach past the end.
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
    pub fn as_f32(&self) -> Option<&[f32]> {
        (self.format == Format::F32).then(|| cast::<f32>(&self.bytes)).flatten()
    }

    /// Decodes the rows `rows` into `out`, `[rows, row_len]`.
    ///
    /// # Panics
    /// Where `out` has another length or the rows reach past the end.
    pub fn decode_rows(&self, rows: Range<usize>, out: &mut [f32]) {
        assert_eq!(out.len(), rows.len() * self.row_len(), "the length of `out`");
        let bytes = &(*self.bytes.owner).as_ref()[self.row_bytes(rows)];
        decode(self.format, bytes, out);
    }

    /// All numbers in 32-bit floats, decoded by all threads.
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
                encode_dense(&values, format)
            }
        };
        Self::new(format, shape, bytes.into())
    }

    /// The tensor as candle's quantized tensor on `device`; `None` for a dense format.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_quantized(&self, device: &Device) -> Result<Option<QTensor>> {
        let Format::Ggml(dtype) = self.format else { return Ok(None) };
        let storage = QStorage::from_data((&*self.bytes).into(), device, dtype)?;
        Ok(Some(QTensor::new(storage, self.shape.as_slice())?))
    }
}

fn encode_dense(values: &[f32], format: Format) -> Vec<u8> {
    match format {
        Format::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Format::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// `bytes` as numbers of type `T`, where they are aligned for it and a whole number of them.
fn cast<T>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: called only with plain number types and candle's `repr(C)` quantization blocks, of
    // which every bit pattern is a value; `align_to` takes care of alignment and length.
    let (head, numbers, tail) = unsafe { bytes.align_to::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(numbers)
}

/// Calls `with` on `bytes` as numbers of type `T`, through an aligned copy where they are not.
fn with_cast<T>(bytes: &[u8], with: impl FnOnce(&[T])) {
    if let Some(numbers) = cast(bytes) {
        return with(numbers);
    }
    let n = bytes.len() / size_of::<T>();
    let mut copy = Vec::<T>::with_capacity(n);
    // SAFETY: `copy` has room for `n` values, and every bit pattern is one (see `cast`).
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy.as_mut_ptr().cast(), n * size_of::<T>());
        copy.set_len(n);
    }
    with(&copy);
}

fn decode(format: Format, bytes: &[u8], out: &mut [f32]) {
    fn blocks<B: GgmlType>(bytes: &[u8], out: &mut [f32]) {
        with_cast::<B>(bytes, |blocks| B::to_float(blocks, out));
    }
    match format {
        Format::F32 | Format::Ggml(GgmlDType::F32) => {
            with_cast::<f32>(bytes, |numbers| out.copy_from_slice(numbers));
        }
        Format::F16 | Format::Ggml(GgmlDType::F16) => with_cast::<f16>(bytes, |numbers| {
            half::slice::HalfFloatSliceExt::convert_to_f32_slice(numbers, out);
        }),
        Format::BF16 | Format::Ggml(GgmlDType::BF16) => with_cast::<bf16>(bytes, |numbers| {
            out.iter_mut().zip(numbers).for_each(|(out, n)| *out = n.to_f32());
        }),
        Format::Ggml(dtype) => match dtype {
            GgmlDType::Q4_0 => blocks::<k_quants::BlockQ4_0>(bytes, out),
            GgmlDType::Q4_1 => blocks::<k_quants::BlockQ4_1>(bytes, out),
            GgmlDType::Q5_0 => blocks::<k_quants::BlockQ5_0>(bytes, out),
            GgmlDType::Q5_1 => blocks::<k_quants::BlockQ5_1>(bytes, out),
            GgmlDType::Q8_0 => blocks::<k_quants::BlockQ8_0>(bytes, out),
            GgmlDType::Q8_1 => blocks::<k_quants::BlockQ8_1>(bytes, out),
            GgmlDType::Q2K => blocks::<k_quants::BlockQ2K>(bytes, out),
            GgmlDType::Q3K => blocks::<k_quants::BlockQ3K>(bytes, out),
            GgmlDType::Q4K => blocks::<k_quants::BlockQ4K>(bytes, out),
            GgmlDType::Q5K => blocks::<k_quants::BlockQ5K>(bytes, out),
            GgmlDType::Q6K => blocks::<k_quants::BlockQ6K>(bytes, out),
            GgmlDType::Q8K => blocks::<k_quants::BlockQ8K>(bytes, out),
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => unreachable!("dense, above"),
        },
    }
}
