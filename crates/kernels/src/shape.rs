//! Checks of shapes, with errors that name the operand.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// The sides of the matrix `x`, described as `expected` where it is none.
pub(crate) fn matrix(
    op: &'static str,
    operand: &'static str,
    expected: &str,
    x: &Tensor,
) -> Result<(usize, usize)> {
    match *x.dims() {
        [n, d] => Ok((n, d)),
        _ => Err(wrong(op, operand, expected.to_owned(), x.dims())),
    }
}

/// Checks that `x` has the shape `expected`.
pub(crate) fn check(
    op: &'static str,
    operand: &'static str,
    expected: &[usize],
    x: &Tensor,
) -> Result<()> {
    if x.dims() == expected {
        return Ok(());
    }
    Err(wrong(op, operand, format!("{expected:?}"), x.dims()))
}

/// Checks that a list with one entry for each of `expected` things is that long.
pub(crate) fn check_len(
    op: &'static str,
    operand: &'static str,
    expected: usize,
    found: usize,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(wrong(op, operand, format!("[{expected}]"), &[found]))
}

/// Checks that every index is one of `size` things.
pub(crate) fn check_indices(op: &'static str, size: usize, indices: &[u32]) -> Result<()> {
    match indices.iter().find(|&&index| index as usize >= size) {
        None => Ok(()),
        Some(&index) => {
            let index = index as usize;
            Err(candle_core::Error::InvalidIndex { op, index, size }.bt().into())
        }
    }
}

/// The error of an operand whose shape was `found`.
pub(crate) fn wrong(
    op: &'static str,
    operand: &'static str,
    expected: String,
    found: &[usize],
) -> Error {
    Error::Shape { op, operand, expected, found: found.to_vec() }
}
