//! A frozen weight matrix, in whatever form it is held.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use crate::autograd::Onto;
use crate::cpu;
use crate::error::Result;
use crate::matmul::{self, Mat, MatMut, Source, Threads};
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
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Dense(tensor) => tensor.dims(),
            Self::Stored(stored) => stored.shape(),
        }
    }

    /// The memory that it takes.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Dense(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
            Self::Stored(stored) => stored.bytes().len(),
        }
    }

    /// Whether both are the same numbers in the same place.
    #[must_use]
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
        let (y, x) = (MatMut::packed(y, d_out), Mat::packed(x, d_in));
        match self.numbers()? {
            Numbers::Held(w) => matmul::apply(y, onto, x, &Mat::packed(&w, d_in), Threads::All),
            Numbers::Stored(w) => matmul::apply(y, onto, x, w, Threads::All),
        }
        Ok(())
    }

    /// `dx (+)= dy w` on the CPU; `dy` `[n, d_out]`, `dx` `[n, d_in]`.
    pub(crate) fn apply_transposed<T: Real>(
        &self,
        dx: &mut [T],
        onto: Onto,
        dy: &[T],
    ) -> Result<()> {
        let (d_out, d_in) = self.matrix_dims()?;
        let (dx, dy) = (MatMut::packed(dx, d_in), Mat::packed(dy, d_out));
        match self.numbers()? {
            Numbers::Held(w) => {
                matmul::apply_transposed(dx, onto, dy, &Mat::packed(&w, d_in), Threads::All);
            }
            Numbers::Stored(w) => matmul::apply_transposed(dx, onto, dy, w, Threads::All),
        }
        Ok(())
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
            Self::Stored(stored) => Numbers::Stored(stored),
        })
    }
}

/// The numbers of a weight.
pub(crate) enum Numbers<'a, T> {
    /// Of a tensor.
    Held(cpu::Read<'a, T>),
    /// Of a file, to be decoded unless they lie there as they are used.
    Stored(&'a Stored),
}

impl<T: Real> Numbers<'_, T> {
    /// The rows `rows`, each of `row_len` numbers, decoded into `buffer` where needed.
    pub(crate) fn rows<'b>(
        &'b self,
        rows: Range<usize>,
        row_len: usize,
        buffer: &'b mut Vec<T>,
    ) -> Mat<'b, T> {
        match self {
            Self::Held(numbers) => {
                Mat::packed(&numbers[rows.start * row_len..rows.end * row_len], row_len)
            }
            Self::Stored(stored) => stored.part(rows, 0..row_len, buffer),
        }
    }
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
