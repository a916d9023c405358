//! Activation functions, alone and multiplied by a second input.

use std::fmt;

use candle_core::Tensor;

use crate::autograd::Var;
use crate::composed::composed;
use crate::cpu;
use crate::error::Result;
use crate::real::{self, Real};
use crate::shape;

/// A function applied to every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e^-x)`, also called swish.
    Silu,
    /// `x Φ(x)` with the Gaussian distribution function `Φ`: "gelu" in configurations.
    GeluErf,
    /// The approximation of it by a hyperbolic tangent: "gelu_new" or "gelu_pytorch_tanh".
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silu => "SiLU",
            Self::GeluErf => "GELU",
            Self::GeluTanh => "GELU by tanh",
            Self::Relu => "ReLU",
        })
    }
}

/// `y = act(x)`, elementwise.
///
/// `x` has any shape. Gradient: `dx = act'(x) dy`.
///
/// # Errors
/// Where the device fails.
pub fn activate(x: &Var, act: Activation) -> Result<Var> {
    if !x.value().device().is_cpu() {
        return composed(&[x], move |x| reference::activate(&x[0], act));
    }
    let kept = x.value().contiguous()?;
    real::dispatch!(kept.dtype(), T => {
        let y = map(&kept, #[inline(always)] |x: &[T], y| act.apply(x, y))?;
        Ok(Var::record(y, &[x], move |dy, inputs| {
            let Some(slot) = inputs.slot(0) else { return Ok(()) };
            let (x, dy) = (cpu::read::<T>(&kept)?, cpu::read::<T>(dy)?);
            let (x, dy) = (&*x, &*dy);
            slot.add_in_place(|dx, _| {
                cpu::for_runs(dx, #[inline(always)] |run, dx| act.add_gradient(&x[run.clone()], &dy[run], dx));
            })
        }))
    })
}

/// `y = act(gate) up`, elementwise.
///
/// `gate` and `up` have the same shape. Gradients: `d gate = act'(gate) up dy`, and
/// `d up = act(gate) dy`.
///
/// # Errors
/// Where the shapes differ or the device fails.
pub fn gated(gate: &Var, up: &Var, act: Activation) -> Result<Var> {
    shape::check("gated", "up", gate.value().dims(), up.value())?;
    if !gate.value().device().is_cpu() {
        return composed(&[gate, up], move |x| reference::gated(&x[0], &x[1], act));
    }
    let kept = (gate.value().contiguous()?, up.value().contiguous()?);
    real::dispatch!(kept.0.dtype(), T => {
        let y = {
            let up = cpu::read::<T>(&kept.1)?;
            let up = &*up;
            map_runs(&kept.0, #[inline(always)] |run, gate: &[T], y| act.apply_gated(gate, &up[run], y))?
        };
        Ok(Var::record(y, &[gate, up], move |dy, inputs| {
            let (d_gate, d_up) = gated_gradients::<T>(&kept.0, &kept.1, dy, act)?;
            if let Some(slot) = inputs.slot(0) {
                slot.add_owned(d_gate)?;
            }
            if let Some(slot) = inputs.slot(1) {
                slot.add_owned(d_up)?;
            }
            Ok(())
        }))
    })
}

/// `y = cap tanh(x / cap)`, elementwise: numbers between `-cap` and `cap`.
///
/// `x` has any shape. Gradient: `dx = (1 - (y / cap)²) dy`.
///
/// # Errors
/// Where the device fails.
pub fn soft_cap(x: &Var, cap: f64) -> Result<Var> {
    if !x.value().device().is_cpu() {
        return composed(&[x], move |x| reference::soft_cap(&x[0], cap));
    }
    let value = x.value().contiguous()?;
    real::dispatch!(value.dtype(), T => {
        let y = map(&value, #[inline(always)] |x: &[T], y| {
            y.copy_from_slice(x);
            cap_in_place(y, T::of(cap));
        })?;
        let kept = y.clone();
        Ok(Var::record(y, &[x], move |dy, inputs| {
            let Some(slot) = inputs.slot(0) else { return Ok(()) };
            let (y, dy) = (cpu::read::<T>(&kept)?, cpu::read::<T>(dy)?);
            let (y, dy) = (&*y, &*dy);
            slot.add_in_place(|dx, _| cpu::for_runs(dx, #[inline(always)] |run, dx: &mut [T]| {
                for ((dx, &y), &dy) in dx.iter_mut().zip(&y[run.clone()]).zip(&dy[run]) {
                    *dx += dy * cap_slope(y, T::of(cap));
                }
            }))
        }))
    })
}

/// `x = cap tanh(x / cap)`.
#[inline(always)]
pub(crate) fn cap_in_place<T: Real>(x: &mut [T], cap: T) {
    let inverse = T::ONE / cap;
    for x in x {
        *x = cap * Real::tanh(*x * inverse);
    }
}

/// The slope of the soft cap where its value is `y`.
#[inline(always)]
pub(crate) fn cap_slope<T: Real>(y: T, cap: T) -> T {
    let ratio = y / cap;
    T::ONE - ratio * ratio
}

/// What the operations of this file compute, in plain tensor operations.
pub mod reference {
    use candle_core::Tensor;

    use super::{Activation, GELU_CUBIC, SQRT_2_OVER_PI};
    use crate::error::Result;

    /// What [`activate`](super::activate) computes.
    ///
    /// The Gaussian ones are composed of `erf` and `tanh`: candle's own have gradients with
    /// constants of six digits.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn activate(x: &Tensor, act: Activation) -> Result<Tensor> {
        let half_x_times_one_plus = |y: Tensor| Ok(((x * 0.5)? * y.affine(1.0, 1.0)?)?);
        match act {
            Activation::Silu => Ok(x.silu()?),
            Activation::Relu => Ok(x.relu()?),
            Activation::GeluErf => {
                half_x_times_one_plus((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?)
            }
            Activation::GeluTanh => {
                let inner = (x * x.sqr()?.affine(GELU_CUBIC, 1.0)?)?;
                half_x_times_one_plus((inner * SQRT_2_OVER_PI)?.tanh()?)
            }
        }
    }

    /// What [`gated`](super::gated) computes.
    ///
    /// # Errors
    /// Where the shapes differ.
    pub fn gated(gate: &Tensor, up: &Tensor, act: Activation) -> Result<Tensor> {
        Ok(activate(gate, act)?.mul(up)?)
    }

    /// What [`soft_cap`](super::soft_cap) computes.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn soft_cap(x: &Tensor, cap: f64) -> Result<Tensor> {
        Ok(x.affine(1.0 / cap, 0.0)?.tanh()?.affine(cap, 0.0)?)
    }
}

/// Both constants of the approximation: Hendrycks and Gimpel 2016, section 2.
const GELU_CUBIC: f64 = 0.044_715;
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;

impl Activation {
    /// `y = act(x)`.
    #[inline(always)]
    fn apply<T: Real>(self, x: &[T], y: &mut [T]) {
        self.with_value_and_slope(
            x,
            #[inline(always)]
            |i, value, _| y[i] = value,
        );
    }

    /// `dx += act'(x) dy`.
    #[inline(always)]
    fn add_gradient<T: Real>(self, x: &[T], dy: &[T], dx: &mut [T]) {
        let (dy, dx) = (&dy[..x.len()], &mut dx[..x.len()]);
        self.with_value_and_slope(
            x,
            #[inline(always)]
            |i, _, slope| dx[i] += slope * dy[i],
        );
    }

    /// `y = act(gate) up`.
    #[inline(always)]
    fn apply_gated<T: Real>(self, gate: &[T], up: &[T], y: &mut [T]) {
        let (up, y) = (&up[..gate.len()], &mut y[..gate.len()]);
        self.with_value_and_slope(
            gate,
            #[inline(always)]
            |i, value, _| y[i] = value * up[i],
        );
    }

    /// Calls `each` with every index, `act(x)` and `act'(x)`; of the two, what isn't used isn't
    /// computed. One loop for each function, so that every one vectorizes.
    #[inline(always)]
    fn with_value_and_slope<T: Real>(self, x: &[T], mut each: impl FnMut(usize, T, T)) {
        let half = T::of(0.5);
        match self {
            Self::Silu => {
                for (i, &x) in x.iter().enumerate() {
                    let s = x.sigmoid();
                    let value = x * s;
                    each(i, value, s + value * (T::ONE - s));
                }
            }
            Self::GeluErf => {
                for (i, &x) in x.iter().enumerate() {
                    let phi = half * (T::ONE + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf());
                    let density = T::of(INV_SQRT_2_PI) * Real::exp(-half * x * x);
                    each(i, x * phi, phi + x * density);
                }
            }
            Self::GeluTanh => {
                for (i, &x) in x.iter().enumerate() {
                    let (cubic, outer) = (T::of(GELU_CUBIC), T::of(SQRT_2_OVER_PI));
                    let t = Real::tanh(outer * x * (T::ONE + cubic * x * x));
                    let inner_slope = outer * (T::ONE + T::of(3.0) * cubic * x * x);
                    let share = half * (T::ONE + t);
                    each(i, x * share, share + half * x * (T::ONE - t * t) * inner_slope);
                }
            }
            Self::Relu => {
                for (i, &x) in x.iter().enumerate() {
                    // Written so that NaN passes through.
                    let (value, slope) =
                        if x <= T::ZERO { (T::ZERO, T::ZERO) } else { (x, T::ONE) };
                    each(i, value, slope);
                }
            }
        }
    }
}

/// `1 / sqrt(2 π)`.
const INV_SQRT_2_PI: f64 = 0.398_942_280_401_432_7;

/// `act'(gate) up dy` and `act(gate) dy`.
fn gated_gradients<T: Real>(
    gate: &Tensor,
    up: &Tensor,
    dy: &Tensor,
    act: Activation,
) -> Result<(Tensor, Tensor)> {
    let shape = gate.dims();
    let (gate, up, dy) = (cpu::read::<T>(gate)?, cpu::read::<T>(up)?, cpu::read::<T>(dy)?);
    let (gate, up, dy) = (&*gate, &*up, &*dy);
    let (mut d_gate, mut d_up) = (vec![T::ZERO; gate.len()], vec![T::ZERO; gate.len()]);
    cpu::for_runs_of_two(
        &mut d_gate,
        &mut d_up,
        #[inline(always)]
        |run, d_gate, d_up| {
            let (gate, up, dy) = (&gate[run.clone()], &up[run.clone()], &dy[run]);
            let n = gate.len();
            let (up, dy, d_gate, d_up) = (&up[..n], &dy[..n], &mut d_gate[..n], &mut d_up[..n]);
            act.with_value_and_slope(
                gate,
                #[inline(always)]
                |i, value, slope| {
                    d_gate[i] = slope * up[i] * dy[i];
                    d_up[i] = value * dy[i];
                },
            );
        },
    );
    let tensor = |numbers| Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu);
    Ok((tensor(d_gate)?, tensor(d_up)?))
}

/// A tensor shaped like `x`, written by `f` in runs of numbers.
fn map<T: Real>(x: &Tensor, f: impl Fn(&[T], &mut [T]) + Sync) -> Result<Tensor> {
    map_runs(
        x,
        #[inline(always)]
        |_, x, y| f(x, y),
    )
}

/// As [`map`]; `f` is told which numbers it has.
fn map_runs<T: Real>(
    x: &Tensor,
    f: impl Fn(std::ops::Range<usize>, &[T], &mut [T]) + Sync,
) -> Result<Tensor> {
    let numbers = cpu::read::<T>(x)?;
    let numbers = &*numbers;
    let mut y = vec![T::ZERO; numbers.len()];
    cpu::for_runs(
        &mut y,
        #[inline(always)]
        |run, y| f(run.clone(), &numbers[run], y),
    );
    Ok(Tensor::from_vec(y, x.dims(), x.device())?)
}
