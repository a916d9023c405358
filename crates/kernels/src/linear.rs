//! Linear maps: by a frozen weight, whose gradient is never computed, or by a trainable one.

use candle_core::Tensor;

use crate::autograd::{Onto, Slot, Var};
use crate::composed::composed;
use crate::cpu;
use crate::error::Result;
use crate::matmul::{self, Mat, MatMut, Threads};
use crate::real::{self, Real};
use crate::shape;
use crate::weight::Weight;

/// A weight matrix `[d_out, d_in]`.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// No gradient is ever computed for it.
    Frozen(&'a Weight),
    /// Gets a gradient where it is tracked.
    Trainable(&'a Var),
}

impl Matrix<'_> {
    /// Its shape `(d_out, d_in)`.
    ///
    /// # Errors
    /// Where it is no matrix.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Frozen(w) => w.matrix_dims(),
            Self::Trainable(w) => shape::matrix("linear", "weight", "[d_out, d_in]", w.value()),
        }
    }

    /// The numbers, without their history.
    pub(crate) fn to_weight(self) -> Result<Weight> {
        Ok(match self {
            Self::Frozen(w) => w.clone(),
            Self::Trainable(w) => Weight::Dense(w.value().contiguous()?),
        })
    }

    /// The variable where it is a trainable one, else `absent`.
    pub(crate) fn trainable<'a>(&'a self, absent: &'a Var) -> &'a Var {
        match self {
            Self::Frozen(_) => absent,
            Self::Trainable(w) => w,
        }
    }
}

/// `y = x wᵀ`, and `+ onto` where given.
///
/// `x` is `[n, d_in]` and `onto` `[n, d_out]`, both `f32` or `f64`; the result is `[n, d_out]`.
/// Gradients: `dx = dy w`, `d onto = dy`, and `dw = dyᵀ x` for a trainable weight that is tracked.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn linear(x: &Var, w: Matrix<'_>, onto: Option<&Var>) -> Result<Var> {
    let dims = Dims::of(x, w, onto)?;
    let y = forward(x.value(), &w.to_weight()?, onto.map(Var::value), dims)?;
    let absent = Var::constant(y.clone());
    let trainable = w.trainable(&absent);
    // Each gradient needs the other operand: keep only those that will be asked for.
    let kept_w = x.is_tracked().then(|| w.to_weight()).transpose()?;
    let kept_x = trainable.is_tracked().then(|| x.value().clone());
    Ok(Var::record(y, &[x, trainable, onto.unwrap_or(&absent)], move |dy, inputs| {
        if let (Some(slot), Some(w)) = (inputs.slot(0), kept_w) {
            add_input_gradient(slot, dy, &w)?;
        }
        if let (Some(slot), Some(x)) = (inputs.slot(1), kept_x) {
            add_weight_gradient(slot, dy, &x, dims)?;
        }
        if let Some(slot) = inputs.slot(2) {
            slot.add(dy.clone())?;
        }
        Ok(())
    }))
}

/// `y = x + bias` for every row.
///
/// `x` is `[n, d]` and `bias` `[d]`. Gradients: `dx = dy`, and `d bias` is the sum of the rows.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn add_bias(x: &Var, bias: &Var) -> Result<Var> {
    let (_, d) = shape::matrix("add_bias", "input", "[n, d]", x.value())?;
    shape::check("add_bias", "bias", &[d], bias.value())?;
    if !x.value().device().is_cpu() {
        return composed(&[x, bias], |x| Ok(x[0].broadcast_add(&x[1])?));
    }
    let (terms, numbers) = (bias.value().contiguous()?, x.value().contiguous()?);
    real::dispatch!(numbers.dtype(), T => {
        let y = {
            let (terms, numbers) = (cpu::read::<T>(&terms)?, cpu::read::<T>(&numbers)?);
            let (terms, numbers) = (&*terms, &*numbers);
            cpu::fill_rows(x.value().dims(), #[inline(always)] |row, y: &mut [T]| {
                let x = &numbers[row * d..(row + 1) * d];
                y.iter_mut().zip(x).zip(terms).for_each(|((y, &x), &bias)| *y = x + bias);
            })?
        };
        Ok(Var::record(y, &[x, bias], |dy, inputs| {
            if let Some(slot) = inputs.slot(0) {
                slot.add(dy.clone())?;
            }
            if let Some(slot) = inputs.slot(1) {
                let dy = cpu::read::<T>(dy)?;
                slot.add_in_place(|d_bias, _| cpu::add_columns(d_bias, &dy))?;
            }
            Ok(())
        }))
    })
}

/// What [`linear`] computes, in plain tensor operations.
///
/// # Errors
/// Where the shapes don't fit.
pub fn reference(x: &Tensor, w: &Tensor, onto: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&w.t()?)?;
    Ok(match onto {
        Some(onto) => y.add(onto)?,
        None => y,
    })
}

#[derive(Clone, Copy)]
struct Dims {
    n: usize,
    d_in: usize,
    d_out: usize,
}

impl Dims {
    fn of(x: &Var, w: Matrix<'_>, onto: Option<&Var>) -> Result<Self> {
        let (d_out, d_in) = w.dims()?;
        let n = match *x.value().dims() {
            [n, d] if d == d_in => n,
            _ => {
                let expected = format!("[n, {d_in}]");
                return Err(shape::wrong("linear", "input", expected, x.value().dims()));
            }
        };
        if let Some(onto) = onto {
            shape::check("linear", "sum", &[n, d_out], onto.value())?;
        }
        Ok(Self { n, d_in, d_out })
    }
}

fn forward(x: &Tensor, w: &Weight, onto: Option<&Tensor>, dims: Dims) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return reference(x, &w.to_tensor(x.dtype(), x.device())?, onto);
    }
    let x = x.contiguous()?;
    real::dispatch!(x.dtype(), T => {
        let (mut y, start) = match onto {
            Some(onto) => (cpu::read::<T>(&onto.contiguous()?)?.to_vec(), Onto::Sum),
            None => (vec![T::ZERO; dims.n * dims.d_out], Onto::Zeros),
        };
        w.apply(&mut y, start, &cpu::read::<T>(&x)?)?;
        Ok(Tensor::from_vec(y, (dims.n, dims.d_out), x.device())?)
    })
}

/// `dx += dy w`.
fn add_input_gradient(slot: &mut Slot, dy: &Tensor, w: &Weight) -> Result<()> {
    if !dy.device().is_cpu() {
        return slot.add_owned(dy.matmul(&w.to_tensor(dy.dtype(), dy.device())?)?);
    }
    real::dispatch!(dy.dtype(), T => {
        let dy = cpu::read::<T>(dy)?;
        let mut done = Ok(());
        slot.add_in_place(|dx, onto| done = w.apply_transposed::<T>(dx, onto, &dy))?;
        done
    })
}

/// `dw += dyᵀ x`.
fn add_weight_gradient(slot: &mut Slot, dy: &Tensor, x: &Tensor, dims: Dims) -> Result<()> {
    if !dy.device().is_cpu() {
        return slot.add(dy.t()?.matmul(x)?);
    }
    let x = x.contiguous()?;
    real::dispatch!(dy.dtype(), T => {
        let (dy, x) = (cpu::read::<T>(dy)?, cpu::read::<T>(&x)?);
        let (dy, x) = (Mat::packed(&dy, dims.d_out), Mat::packed(&x, dims.d_in));
        slot.add_in_place(|dw, onto| {
            matmul::matmul(MatMut::packed(dw, dims.d_in), onto, dy.t(), x, Threads::All);
        })
    })
}
