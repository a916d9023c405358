//! Normalization of rows: by their root mean square, or by mean and variance.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use crate::autograd::Var;
use crate::composed::composed;
use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};
use crate::shape;

/// `y = x / sqrt(mean(x²) + eps) * weight`, for every row (Zhang and Sennrich 2019).
///
/// `x` is `[n, d]`, `weight` `[d]`, the result `[n, d]`. Gradients: for `x`, and for `weight` (the
/// sum over the rows, in an order that doesn't depend on the number of threads).
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn rms_norm(x: &Var, weight: &Var, eps: f64) -> Result<Var> {
    norm(Kind::Rms, x, weight, None, eps)
}

/// `y = (x - mean(x)) / sqrt(variance(x) + eps) * weight`, and `+ bias` where given, for every row
/// (Ba et al. 2016); the variance is the mean squared deviation.
///
/// `x` is `[n, d]`, `weight` and `bias` are `[d]`, the result is `[n, d]`. Gradients: for `x`, and
/// for `weight` and `bias` (the sum over the rows, in an order that doesn't depend on the number
/// of threads).
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn layer_norm(x: &Var, weight: &Var, bias: Option<&Var>, eps: f64) -> Result<Var> {
    norm(Kind::Layer, x, weight, bias, eps)
}

/// What the operations of this file compute, in plain tensor operations.
pub mod reference {
    use candle_core::{D, Tensor};

    use super::wide;
    use crate::error::Result;

    /// What [`rms_norm`](super::rms_norm) computes; half precision is widened in between.
    ///
    /// # Errors
    /// Where the shapes don't fit.
    pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
        scaled(&x.to_dtype(wide(x.dtype()))?, weight, eps, x)
    }

    /// What [`layer_norm`](super::layer_norm) computes; half precision is widened in between.
    ///
    /// # Errors
    /// Where the shapes don't fit.
    pub fn layer_norm(
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<Tensor> {
        let centered = x.to_dtype(wide(x.dtype()))?;
        let centered = centered.broadcast_sub(&centered.mean_keepdim(D::Minus1)?)?;
        let y = scaled(&centered, weight, eps, x)?;
        Ok(match bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }

    /// `x` over its root mean square, times `weight`, in the type of `like`.
    fn scaled(x: &Tensor, weight: &Tensor, eps: f64, like: &Tensor) -> Result<Tensor> {
        let root = x.sqr()?.mean_keepdim(D::Minus1)?.affine(1.0, eps)?.sqrt()?;
        Ok(x.broadcast_div(&root)?.to_dtype(like.dtype())?.broadcast_mul(weight)?)
    }
}

/// The type to sum squares in.
fn wide(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rms,
    Layer,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Rms => "rms_norm",
            Self::Layer => "layer_norm",
        }
    }

    /// What is subtracted from a row, and what the rest is multiplied by.
    #[inline(always)]
    fn moments<T: Real>(self, x: &[T], eps: T) -> (T, T) {
        let n = T::of(x.len() as f64);
        let mean = match self {
            Self::Rms => T::ZERO,
            Self::Layer => cpu::sum(x) / n,
        };
        (mean, T::ONE / (square_sum(x, mean) / n + eps).sqrt())
    }
}

fn norm(kind: Kind, x: &Var, weight: &Var, bias: Option<&Var>, eps: f64) -> Result<Var> {
    let (n, d) = shape::matrix(kind.name(), "input", "[n, d]", x.value())?;
    shape::check(kind.name(), "weight", &[d], weight.value())?;
    if let Some(bias) = bias {
        shape::check(kind.name(), "bias", &[d], bias.value())?;
    }
    if !x.value().device().is_cpu() {
        return on_device(kind, x, weight, bias, eps);
    }
    let contiguous = x.value().contiguous()?;
    let weights = weight.value().contiguous()?;
    real::dispatch!(contiguous.dtype(), T => {
        let y = forward::<T>(kind, &contiguous, &weights, bias, eps)?;
        let absent = Var::constant(y.clone());
        Ok(Var::record(y, &[x, weight, bias.unwrap_or(&absent)], move |dy, inputs| {
            let (x, weight) = (cpu::read::<T>(&contiguous)?, cpu::read::<T>(&weights)?);
            let dy = cpu::read::<T>(dy)?;
            let rows = Rows { kind, x: &x, dy: &dy, n, d, eps: T::of(eps) };
            if let Some(slot) = inputs.slot(0) {
                slot.add_in_place(|dx, _| rows.add_input_gradient(dx, &weight))?;
            }
            if let Some(slot) = inputs.slot(1) {
                slot.add_in_place(|dw, _| rows.add_weight_gradient(dw))?;
            }
            if let Some(slot) = inputs.slot(2) {
                slot.add_in_place(|db, _| cpu::add_columns(db, &dy))?;
            }
            Ok(())
        }))
    })
}

fn on_device(kind: Kind, x: &Var, weight: &Var, bias: Option<&Var>, eps: f64) -> Result<Var> {
    let inputs: Vec<&Var> = [x, weight].into_iter().chain(bias).collect();
    composed(&inputs, move |x| match kind {
        Kind::Rms => reference::rms_norm(&x[0], &x[1], eps),
        Kind::Layer => reference::layer_norm(&x[0], &x[1], x.get(2), eps),
    })
}

fn forward<T: Real>(
    kind: Kind,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Var>,
    eps: f64,
) -> Result<Tensor> {
    let bias = bias.map(|bias| bias.value().contiguous()).transpose()?;
    let bias = bias.as_ref().map(cpu::read::<T>).transpose()?;
    let (numbers, weight) = (cpu::read::<T>(x)?, cpu::read::<T>(weight)?);
    let (numbers, weight, bias) = (&*numbers, &*weight, bias.as_deref());
    cpu::fill_rows(
        x.dims(),
        #[inline(always)]
        |row, y: &mut [T]| {
            let d = y.len();
            let x = &numbers[row * d..(row + 1) * d];
            let (mean, factor) = kind.moments(x, T::of(eps));
            for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                *y = (x - mean) * factor * w;
            }
            if let Some(bias) = bias {
                y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
            }
        },
    )
}

/// What the gradients are computed from; the moments of a row are cheaper to find again than to
/// keep.
struct Rows<'a, T> {
    kind: Kind,
    x: &'a [T],
    dy: &'a [T],
    n: usize,
    d: usize,
    eps: T,
}

impl<'a, T: Real> Rows<'a, T> {
    /// A row of `x` and of `dy`.
    #[inline(always)]
    fn row(&self, row: usize) -> (&'a [T], &'a [T]) {
        let row = row * self.d..(row + 1) * self.d;
        (&self.x[row.clone()], &self.dy[row])
    }

    /// With `g = weight dy` and `u = (x - mean) factor`:
    /// `dx += factor (g - mean(g) - u mean(g u))`, where RMS norm has no `mean(g)`.
    fn add_input_gradient(&self, dx: &mut [T], weight: &[T]) {
        let n = T::of(self.d as f64);
        cpu::for_rows(
            dx,
            self.d,
            #[inline(always)]
            |row, dx| {
                let (x, dy) = self.row(row);
                let (mean, factor) = self.kind.moments(x, self.eps);
                let (total, along) = sums(x, dy, weight, mean);
                let center = match self.kind {
                    Kind::Rms => T::ZERO,
                    Kind::Layer => total / n,
                };
                let slope = along * factor * factor / n;
                for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                    *dx += factor * (w * dy - center - (x - mean) * slope);
                }
            },
        );
    }

    /// `dw += sum over rows of dy (x - mean) factor`.
    fn add_weight_gradient(&self, dw: &mut [T]) {
        let rows_per_task = cpu::rows_per_task(self.d);
        let partial = |from: usize| {
            let mut sum = vec![T::ZERO; self.d];
            cpu::vectorized(
                #[inline(always)]
                || {
                    for row in from..(from + rows_per_task).min(self.n) {
                        let (x, dy) = self.row(row);
                        let (mean, factor) = self.kind.moments(x, self.eps);
                        for ((sum, &x), &dy) in sum.iter_mut().zip(x).zip(dy) {
                            *sum += dy * (x - mean) * factor;
                        }
                    }
                },
            );
            sum
        };
        let starts: Vec<usize> = (0..self.n).step_by(rows_per_task).collect();
        let partials: Vec<Vec<T>> = starts.into_par_iter().map(partial).collect();
        for partial in partials {
            dw.iter_mut().zip(partial).for_each(|(dw, partial)| *dw += partial);
        }
    }
}

/// `sum (x - mean)²`.
#[inline(always)]
fn square_sum<T: Real>(x: &[T], mean: T) -> T {
    cpu::reduce(
        [x],
        #[inline(always)]
        |[x]| (x - mean) * (x - mean),
    )
}

/// `sum w dy`, and `sum w dy (x - mean)`.
#[inline(always)]
fn sums<T: Real>(x: &[T], dy: &[T], w: &[T], mean: T) -> (T, T) {
    let along = cpu::reduce(
        [x, dy, w],
        #[inline(always)]
        |[x, dy, w]| w * dy * (x - mean),
    );
    (cpu::dot(w, dy), along)
}
