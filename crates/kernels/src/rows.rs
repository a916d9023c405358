//! Rows picked, added to and scaled: embedding tables, chosen positions, residual branches.

use candle_core::Tensor;

use crate::autograd::Var;
use crate::composed::composed;
use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};
use crate::shape;

/// The rows `rows` of `x`, in that order; a row may be picked more than once.
///
/// `x` is `[n, d]`, the result `[rows, d]`. Gradient: each row of `dy` is added to the row that it
/// was picked from.
///
/// # Errors
/// Where `x` is no matrix or a row is past the end.
pub fn gather_rows(x: &Var, rows: &[u32]) -> Result<Var> {
    let (n, d) = shape::matrix("gather_rows", "input", "[n, d]", x.value())?;
    shape::check_indices("gather_rows", n, rows)?;
    let rows = rows.to_vec();
    if !x.value().device().is_cpu() {
        return composed(&[x], move |x| reference::gather_rows(&x[0], &rows));
    }
    real::dispatch!(x.value().dtype(), T => {
        let y = gather::<T>(x.value(), &rows, d)?;
        Ok(Var::record(y, &[x], move |dy, inputs| {
            let Some(slot) = inputs.slot(0) else { return Ok(()) };
            let dy = cpu::read::<T>(dy)?;
            slot.add_in_place(|dx, _| scatter(dx, &rows, &dy, d))
        }))
    })
}

/// `x` with the rows of `add` added to its rows `rows`.
///
/// `x` is `[n, d]`, `add` `[rows, d]`, the result `[n, d]`; several rows may be added to the same.
/// Gradients: `dx = dy`, and `d add` is the rows `rows` of `dy`.
///
/// # Errors
/// Where the shapes don't fit or a row is past the end.
pub fn scatter_add_rows(x: &Var, rows: &[u32], add: &Var) -> Result<Var> {
    let (n, d) = shape::matrix("scatter_add_rows", "input", "[n, d]", x.value())?;
    shape::check("scatter_add_rows", "sum", &[rows.len(), d], add.value())?;
    shape::check_indices("scatter_add_rows", n, rows)?;
    let rows = rows.to_vec();
    if !x.value().device().is_cpu() {
        return composed(&[x, add], move |x| reference::scatter_add_rows(&x[0], &rows, &x[1]));
    }
    real::dispatch!(x.value().dtype(), T => {
        let y = {
            let (x, add) = (x.value().contiguous()?, add.value().contiguous()?);
            let mut y = cpu::read::<T>(&x)?.to_vec();
            scatter(&mut y, &rows, &cpu::read::<T>(&add)?, d);
            Tensor::from_vec(y, (n, d), x.device())?
        };
        Ok(Var::record(y, &[x, add], move |dy, inputs| {
            if let Some(slot) = inputs.slot(0) {
                slot.add(dy.clone())?;
            }
            if let Some(slot) = inputs.slot(1) {
                slot.add_owned(gather::<T>(dy, &rows, d)?)?;
            }
            Ok(())
        }))
    })
}

/// `x` with the rows of `with` in the place of its rows `rows`.
///
/// `x` is `[n, d]`, `with` `[rows, d]`, the result `[n, d]`; no row may be named twice. Gradients:
/// `dx` is `dy` with zeros in those rows, and `d with` is the rows `rows` of `dy`.
///
/// # Errors
/// Where the shapes don't fit or a row is past the end.
pub fn set_rows(x: &Var, rows: &[u32], with: &Var) -> Result<Var> {
    let (n, d) = shape::matrix("set_rows", "input", "[n, d]", x.value())?;
    shape::check("set_rows", "new rows", &[rows.len(), d], with.value())?;
    shape::check_indices("set_rows", n, rows)?;
    let rows = rows.to_vec();
    let y = reference::set_rows(x.value(), &rows, with.value())?;
    Ok(Var::record(y, &[x, with], move |dy, inputs| {
        if let Some(slot) = inputs.slot(0) {
            let zeros = Tensor::zeros((rows.len(), d), dy.dtype(), dy.device())?;
            slot.add_owned(reference::set_rows(dy, &rows, &zeros)?)?;
        }
        if let Some(slot) = inputs.slot(1) {
            slot.add_owned(reference::gather_rows(dy, &rows)?)?;
        }
        Ok(())
    }))
}

/// `y = a + b`, elementwise.
///
/// Gradients: `da = db = dy`.
///
/// # Errors
/// Where the shapes differ.
pub fn add(a: &Var, b: &Var) -> Result<Var> {
    shape::check("add", "second term", a.value().dims(), b.value())?;
    let y = cpu::sum_of(a.value(), b.value())?;
    Ok(Var::record(y, &[a, b], |dy, inputs| {
        for index in 0..2 {
            if let Some(slot) = inputs.slot(index) {
                slot.add(dy.clone())?;
            }
        }
        Ok(())
    }))
}

/// `x` with its numbers, in their order, in another `shape`; its gradient comes back in the old.
///
/// # Errors
/// Where the shapes hold different numbers of numbers.
pub fn reshape(x: &Var, shape: &[usize]) -> Result<Var> {
    let before = x.value().dims().to_vec();
    let y = x.value().contiguous()?.reshape(shape)?;
    Ok(Var::record(y, &[x], move |dy, inputs| match inputs.slot(0) {
        Some(slot) => slot.add(dy.reshape(before)?),
        None => Ok(()),
    }))
}

/// `y = factor x`, elementwise.
///
/// Gradient: `dx = factor dy`.
///
/// # Errors
/// Where the device fails.
pub fn scale(x: &Var, factor: f64) -> Result<Var> {
    let y = reference::scale(x.value(), factor)?;
    Ok(Var::record(y, &[x], move |dy, inputs| match inputs.slot(0) {
        Some(slot) => slot.add_owned(reference::scale(dy, factor)?),
        None => Ok(()),
    }))
}

/// What the operations of this file compute, in plain tensor operations.
pub mod reference {
    use candle_core::Tensor;

    use crate::error::Result;

    /// What [`gather_rows`](super::gather_rows) computes.
    ///
    /// # Errors
    /// Where the shapes don't fit.
    pub fn gather_rows(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        Ok(x.contiguous()?.index_select(&Tensor::new(rows, x.device())?, 0)?)
    }

    /// What [`scatter_add_rows`](super::scatter_add_rows) computes.
    ///
    /// # Errors
    /// Where the shapes don't fit.
    pub fn scatter_add_rows(x: &Tensor, rows: &[u32], add: &Tensor) -> Result<Tensor> {
        let rows = Tensor::new(rows, x.device())?;
        Ok(x.contiguous()?.index_add(&rows, &add.contiguous()?, 0)?)
    }

    /// What [`set_rows`](super::set_rows) computes.
    ///
    /// # Errors
    /// Where the shapes don't fit.
    pub fn set_rows(x: &Tensor, rows: &[u32], with: &Tensor) -> Result<Tensor> {
        let n = x.dim(0)?;
        // Below `x` in one matrix, the new rows are picked in the place of the old ones.
        let mut picked: Vec<u32> = (0..n as u32).collect();
        for (i, &row) in rows.iter().enumerate() {
            picked[row as usize] = (n + i) as u32;
        }
        gather_rows(&Tensor::cat(&[x, with], 0)?, &picked)
    }

    /// What [`add`](super::add) computes.
    ///
    /// # Errors
    /// Where the shapes differ.
    pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(a.add(b)?)
    }

    /// What [`scale`](super::scale) computes.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn scale(x: &Tensor, factor: f64) -> Result<Tensor> {
        Ok(x.affine(factor, 0.0)?)
    }
}

/// The rows `rows` of `x`, each of `d` numbers.
fn gather<T: Real>(x: &Tensor, rows: &[u32], d: usize) -> Result<Tensor> {
    let x = x.contiguous()?;
    let x = cpu::read::<T>(&x)?;
    let x = &*x;
    cpu::fill_rows(
        &[rows.len(), d],
        #[inline(always)]
        |i, y: &mut [T]| {
            let row = rows[i] as usize;
            y.copy_from_slice(&x[row * d..(row + 1) * d]);
        },
    )
}

/// Adds each row of `terms` to the row `rows` of `sum`, in order.
fn scatter<T: Real>(sum: &mut [T], rows: &[u32], terms: &[T], d: usize) {
    cpu::vectorized(
        #[inline(always)]
        || {
            for (&row, terms) in rows.iter().zip(terms.chunks_exact(d.max(1))) {
                let sum = &mut sum[row as usize * d..(row as usize + 1) * d];
                sum.iter_mut().zip(terms).for_each(|(sum, &term)| *sum += term);
            }
        },
    );
}
