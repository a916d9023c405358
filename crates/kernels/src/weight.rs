//! A frozen weight matrix, in whatever form it is held.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use crate::autograd::Onto;
use crate::cpu;
use crate::error::Result;
use crate::matmul::{self, Input, Mat, MatMut, Threads};
use crate::real::Real;
use crate::stored::Stored;

/// A frozen weight `[d_out, d_in]`: a dense tensor, or bytes of a file that are decoded on use.
#[derive(Clone, Debug)]
pub enum Weight {
    /// A tensor on the device where the model runs.
    Dense(Tensor),
    /// Bytes in memory, for models that run on the CPU.
    Stored(Stored),
}

impl Weight {
    /// Its shape, `[d_out, d_in]` for a matrix.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Dense(tensor) => tensor.dims(),
            Self::Stored(stored) => stored.shape(),
        }
    }

    /// Whether both are the same numbers in the same place.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => a.id() == b.id(),
            (Self::Stored(a), Self::Stored(b)) => a.is(b),
            _ => false,
        }
    }

    /// The numbers as a tensor of `dtype` on `device`, decoded where needed.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_tensor(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor.to_device(device)?.to_dtype(dtype)?),
            Self::Stored(stored) => stored.to_tensor(dtype, device),
        }
    }

    /// The rows `rows` as a tensor `[rows, d_in]` of `dtype` on `device`.
    ///
    /// # Errors
    /// Where a row is past the end or the device fails.
    pub fn rows(&self, rows: &[u32], dtype: DType, device: &Device) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => {
                let rows = Tensor::new(rows, tensor.device())?;
                Ok(tensor.index_select(&rows, 0)?.to_dtype(dtype)?.to_device(device)?)
            }
            Self::Stored(stored) => {
                let mut out = vec![0f32; rows.len() * stored.row_len()];
                for (out, &row) in out.chunks_exact_mut(stored.row_len().max(1)).zip(rows) {
                    let row = row as usize;
                    if row >= stored.n_rows() {
                        return Err(candle_core::Error::InvalidIndex {
                            op: "rows",
                            index: row,
                            size: stored.n_rows(),
                        }
                        .bt()
                        .into());
                    }
                    stored.decode_rows(row..row + 1, out);
                }
                let out = Tensor::from_vec(out, (rows.len(), stored.row_len()), device)?;
                Ok(out.to_dtype(dtype)?)
            }
        }
    }

    /// `y (+)= x wᵀ` on the CPU; `x` `[n, d_in]`, `y` `[n, d_out]`.
    pub(crate) fn apply<T: Real>(&self, y: &mut [T], onto: Onto, x: &[T]) -> Result<()> {
        let (d_out, d_in) = self.matrix_dims()?;
        let x = Input::new(Mat::packed(x, d_in), Threads::All);
        self.for_chunks(|from, w: &[T]| {
            let w = Mat::packed(w, d_in);
            let mut y = MatMut::packed(y, d_out);
            x.apply(y.columns(from, w.n_rows()), onto, w, Threads::All);
        })
    }

    /// `dx (+)= dy w` on the CPU; `dy` `[n, d_out]`, `dx` `[n, d_in]`.
    pub(crate) fn apply_transposed<T: Real>(
        &self,
        dx: &mut [T],
        mut onto: Onto,
        dy: &[T],
    ) -> Result<()> {
        let (d_out, d_in) = self.matrix_dims()?;
        let n = dy.len() / d_out.max(1);
        self.for_chunks(|from, w: &[T]| {
            let w = Mat::packed(w, d_in);
            let dy = Mat::new(&dy[from.min(dy.len())..], n, w.n_rows(), d_out);
            matmul::apply_transposed(MatMut::packed(dx, d_in), onto, dy, w, Threads::All);
            onto = Onto::Sum;
        })
    }

    /// Shape `(d_out, d_in)` of a matrix.
    ///
    /// # Errors
    /// Where it is none.
    pub fn matrix_dims(&self) -> Result<(usize, usize)> {
        match *self.dims() {
            [d_out, d_in] => Ok((d_out, d_in)),
            _ => Err(crate::Error::Shape {
                op: "linear",
                operand: "weight",
                expected: "[d_out, d_in]".to_owned(),
                found: self.dims().to_vec(),
            }),
        }
    }

    /// The numbers, to be read by rows on the CPU.
    pub(crate) fn numbers<T: Real>(&self) -> Result<Numbers<'_, T>> {
        Ok(match self {
            Self::Dense(tensor) => Numbers::Held(cpu::read(tensor)?),
            Self::Stored(stored) => match stored.as_f32().and_then(T::from_f32_slice) {
                Some(numbers) => Numbers::Lying(numbers),
                None => Numbers::Encoded(stored),
            },
        })
    }

    /// Calls `each` with runs of rows, in order, as numbers: all at once where they lie ready,
    /// else decoded a cache-sized run at a time. Gives the index of the first row with each run.
    fn for_chunks<T: Real>(&self, mut each: impl FnMut(usize, &[T])) -> Result<()> {
        let stored = match self.numbers()? {
            Numbers::Held(numbers) => {
                each(0, &numbers);
                return Ok(());
            }
            Numbers::Lying(numbers) => {
                each(0, numbers);
                return Ok(());
            }
            Numbers::Encoded(stored) => stored,
        };
        let step = rows_per_chunk(stored.row_len());
        let mut buffer = vec![0f32; step * stored.row_len()];
        for from in (0..stored.n_rows()).step_by(step) {
            let n = step.min(stored.n_rows() - from);
            let buffer = &mut buffer[..n * stored.row_len()];
            cpu::for_rows(
                buffer,
                stored.row_len(),
                #[inline(always)]
                |row, out| {
                    stored.decode_rows(from + row..from + row + 1, out);
                },
            );
            each(from, as_numbers(buffer, &mut Vec::new()));
        }
        Ok(())
    }
}

/// The numbers of a weight.
pub(crate) enum Numbers<'a, T> {
    /// Of a tensor.
    Held(cpu::Read<'a, T>),
    /// Of a file, as they are used.
    Lying(&'a [T]),
    /// To be decoded.
    Encoded(&'a Stored),
}

/// Where rows are decoded to.
pub(crate) struct Decoded<T> {
    decoded: Vec<f32>,
    converted: Vec<T>,
}

impl<T> Default for Decoded<T> {
    fn default() -> Self {
        Self { decoded: Vec::new(), converted: Vec::new() }
    }
}

impl<T: Real> Numbers<'_, T> {
    /// The rows `rows`, each of `row_len` numbers, decoded into `buffer` where needed.
    pub(crate) fn rows<'b>(
        &'b self,
        rows: Range<usize>,
        row_len: usize,
        buffer: &'b mut Decoded<T>,
    ) -> &'b [T] {
        let range = rows.start * row_len..rows.end * row_len;
        match self {
            Self::Held(numbers) => &numbers[range],
            Self::Lying(numbers) => &numbers[range],
            Self::Encoded(stored) => {
                buffer.decoded.resize(range.len(), 0.0);
                stored.decode_rows(rows, &mut buffer.decoded);
                as_numbers(&buffer.decoded, &mut buffer.converted)
            }
        }
    }
}

/// As many rows as stay in the second-level caches between decoding and use.
fn rows_per_chunk(row_len: usize) -> usize {
    /// 1 MiB of `f32`.
    const NUMBERS: usize = 256 * 1024;
    (NUMBERS / row_len.max(1)).max(1)
}

/// `decoded` as numbers of another type, in `converted` where it is another.
fn as_numbers<'a, T: Real>(decoded: &'a [f32], converted: &'a mut Vec<T>) -> &'a [T] {
    if let Some(numbers) = T::from_f32_slice(decoded) {
        return numbers;
    }
    converted.clear();
    converted.extend(decoded.iter().map(|&x| T::of(f64::from(x))));
    converted
}

impl From<Stored> for Weight {
    fn from(stored: Stored) -> Self {
        Self::Stored(stored)
    }
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self::Dense(tensor)
    }
}
