//! A weight while it is trained: Adam's steps, and a ball around the start that it never leaves.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::cpu::{self, vectorized};
use crate::error::Result;
use crate::real::{self, Real};
use crate::squares::sum_of_squares;

/// Adam (Kingma and Ba 2015, algorithm 1), with decoupled weight decay (AdamW: Loshchilov and Hutter
/// 2019, algorithm 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The step size, in units of the weight.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// The share of the weight, times the step size, that every step takes away.
    pub weight_decay: f64,
}

impl Adam {
    /// The paper's defaults with another step size, and without weight decay.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The set around the original weight in which a weight has to stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ball {
    /// Anywhere.
    None,
    /// `‖change‖₂ <= radius`, over the tensor.
    L2(f64),
    /// `|change| <= radius`, for each number.
    Linf(f64),
}

/// A weight `theta = base + change`, where only the change is trained, in `f32` or `f64`.
#[derive(Debug)]
pub struct Trained {
    base: Tensor,
    change: Tensor,
    theta: Tensor,
    mean: Tensor,
    square: Tensor,
    n_steps: i32,
}

impl Trained {
    /// A weight that starts as `base`, contiguous.
    ///
    /// # Errors
    /// Where memory or the device fails.
    pub fn new(base: Tensor) -> Result<Self> {
        let zeros = || base.zeros_like();
        let (change, mean, square) = (zeros()?, zeros()?, zeros()?);
        let theta = base.copy()?;
        Ok(Self { base, change, theta, mean, square, n_steps: 0 })
    }

    /// The weight as it is now. It changes in place with the next step: make no use of it across
    /// one.
    #[must_use]
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// The change so far; as [`Trained::theta`], changed in place.
    #[must_use]
    pub fn change(&self) -> &Tensor {
        &self.change
    }

    /// One step of `adam` along `gradient`, then the nearest point of `ball`.
    ///
    /// # Errors
    /// Where shapes differ or the device fails.
    pub fn step(&mut self, adam: &Adam, gradient: &Tensor, ball: Ball) -> Result<()> {
        self.n_steps += 1;
        if self.base.device().is_cpu() {
            real::dispatch!(self.base.dtype(), T => self.step_on_cpu::<T>(adam, gradient, ball))?;
        } else {
            self.step_composed(adam, gradient, ball)?;
        }
        match ball {
            Ball::L2(radius) => self.shrink(radius),
            Ball::None | Ball::Linf(_) => Ok(()),
        }
    }

    /// Adam's step size for this step, with both of its bias corrections in it.
    fn rates<T: Real>(&self, adam: &Adam) -> (T, T) {
        let rate = adam.learning_rate / (1.0 - adam.beta1.powi(self.n_steps));
        let root = (1.0 - adam.beta2.powi(self.n_steps)).sqrt().recip();
        (T::of(rate), T::of(root))
    }

    fn step_on_cpu<T: Real>(&mut self, adam: &Adam, gradient: &Tensor, ball: Ball) -> Result<()> {
        let (rate, root) = self.rates::<T>(adam);
        let [beta1, beta2, eps] = [adam.beta1, adam.beta2, adam.eps].map(T::of);
        let decay = T::of(adam.learning_rate * adam.weight_decay);
        let limit = match ball {
            Ball::Linf(radius) => Some(T::not_above(radius)),
            Ball::None | Ball::L2(_) => None,
        };
        let gradient = gradient.contiguous()?;
        let (gradient, base) = (cpu::read::<T>(&gradient)?, cpu::read::<T>(&self.base)?);
        let (gradient, base) = (&*gradient, &*base);
        let n = cpu::rows_per_task(1);
        let work = |theta: &mut [T], change: &mut [T], mean: &mut [T], square: &mut [T]| {
            let state = (theta.par_chunks_mut(n), change.par_chunks_mut(n));
            let moments = (mean.par_chunks_mut(n), square.par_chunks_mut(n));
            let given = (gradient.par_chunks(n), base.par_chunks(n));
            (state, moments, given).into_par_iter().for_each(|(state, moments, given)| {
                let ((theta, change), (mean, square), (gradient, base)) = (state, moments, given);
                vectorized(
                    #[inline(always)]
                    || {
                        let n = theta.len();
                        let (change, base, gradient) =
                            (&mut change[..n], &base[..n], &gradient[..n]);
                        let (mean, square) = (&mut mean[..n], &mut square[..n]);
                        for i in 0..n {
                            let g = gradient[i];
                            mean[i] = beta1 * mean[i] + (T::ONE - beta1) * g;
                            square[i] = beta2 * square[i] + (T::ONE - beta2) * g * g;
                            let step = rate * mean[i] / (square[i].sqrt() * root + eps);
                            let mut moved = change[i] - step - decay * theta[i];
                            if let Some(limit) = limit {
                                moved = if moved > limit { limit } else { moved };
                                moved = if moved < -limit { -limit } else { moved };
                            }
                            change[i] = moved;
                            theta[i] = base[i] + moved;
                        }
                    },
                );
            });
        };
        let (theta, change) = (&self.theta, &self.change);
        let (mean, square) = (&self.mean, &self.square);
        let mut done = Ok(());
        cpu::write_two(theta, change, |theta, change| {
            done = cpu::write_two(mean, square, |mean, square| work(theta, change, mean, square));
        })?;
        done
    }

    fn step_composed(&mut self, adam: &Adam, gradient: &Tensor, ball: Ball) -> Result<()> {
        let (rate, root) = self.rates::<f64>(adam);
        self.mean = ((&self.mean * adam.beta1)? + (gradient * (1.0 - adam.beta1))?)?;
        self.square = ((&self.square * adam.beta2)? + (gradient.sqr()? * (1.0 - adam.beta2))?)?;
        let step = (&self.mean * rate)?.div(&((self.square.sqrt()? * root)? + adam.eps)?)?;
        let decayed = (&self.theta * (adam.learning_rate * adam.weight_decay))?;
        self.change = ((&self.change - step)? - decayed)?;
        if let Ball::Linf(radius) = ball {
            let radius = f64::from(f32::not_above(radius));
            self.change = self.change.clamp(-radius, radius)?;
        }
        self.theta = (&self.base + &self.change)?;
        Ok(())
    }

    /// Scales the change so that its norm is at most `radius`, in numbers as they are stored.
    fn shrink(&mut self, radius: f64) -> Result<()> {
        shrink_together(&mut [self], radius)
    }

    /// Scales the change by `factor`.
    fn scale(&mut self, factor: f64) -> Result<()> {
        self.change = (&self.change * factor)?;
        self.theta = (&self.base + &self.change)?;
        Ok(())
    }

    /// Begins the optimizer anew, at the weight as it is.
    ///
    /// # Errors
    /// Where memory or the device fails.
    pub fn restart(&mut self) -> Result<()> {
        (self.mean, self.square) = (self.mean.zeros_like()?, self.square.zeros_like()?);
        self.n_steps = 0;
        Ok(())
    }

    /// Its state by name, all of the weight's shape: what [`Trained::resume`] takes.
    #[must_use]
    pub fn state(&self) -> [(&'static str, &Tensor); 3] {
        [("change", &self.change), ("mean", &self.mean), ("square", &self.square)]
    }

    /// Goes on from a [`Trained::state`] after `n_steps` steps.
    ///
    /// # Errors
    /// Where shapes differ or the device fails.
    pub fn resume(&mut self, state: [Tensor; 3], n_steps: usize) -> Result<()> {
        let [change, mean, square] = state;
        self.theta = (&self.base + &change)?;
        // Each in memory of its own: they change in place.
        (self.change, self.mean, self.square) = (change.copy()?, mean.copy()?, square.copy()?);
        self.n_steps = i32::try_from(n_steps).unwrap_or(i32::MAX);
        Ok(())
    }
}

/// Scales the changes of several weights so that their norm, taken over all of them, is at most
/// `radius`, in numbers as they are stored.
///
/// # Errors
/// Where the device fails.
pub fn shrink_together(weights: &mut [&mut Trained], radius: f64) -> Result<()> {
    loop {
        let mut squares = 0.0;
        for weight in &*weights {
            squares += sum_of_squares(&weight.change)?;
        }
        let norm = squares.sqrt();
        if norm <= radius || norm.is_nan() {
            return Ok(());
        }
        // Rounding may leave the norm a hair too long, which the next turn sees.
        const HAIR: f64 = 1.0 - 1e-7;
        for weight in &mut *weights {
            weight.scale(radius / norm * HAIR)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(numbers: &[f32]) -> Tensor {
        Tensor::new(numbers, &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn the_first_step_is_the_learning_rate_against_the_gradients_sign() {
        let mut weight = Trained::new(tensor(&[1.0, 1.0, 1.0])).unwrap();
        weight.step(&Adam::new(0.1), &tensor(&[5.0, -0.01, 0.0]), Ball::None).unwrap();
        let change = numbers(weight.change());
        // Adam's first step is lr * g / (|g| + eps).
        for (change, expected) in change.iter().zip([-0.1, 0.1, 0.0]) {
            assert!((change - expected).abs() < 1e-5, "{change}");
        }
        assert_eq!(numbers(weight.theta())[1], 1.0 + change[1]);
    }

    #[test]
    fn both_ways_of_stepping_agree() {
        let start: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        for ball in [Ball::None, Ball::L2(0.3), Ball::Linf(0.05)] {
            let mut fused = Trained::new(tensor(&start)).unwrap();
            let mut composed = Trained::new(tensor(&start)).unwrap();
            for step in 0..5 {
                let gradient: Vec<f32> = (0..100).map(|i| ((i * step) as f32).cos()).collect();
                let (adam, gradient) = (Adam::new(0.02), tensor(&gradient));
                fused.step(&adam, &gradient, ball).unwrap();
                composed.n_steps += 1;
                composed.step_composed(&adam, &gradient, ball).unwrap();
                if let Ball::L2(radius) = ball {
                    composed.shrink(radius).unwrap();
                }
            }
            for (a, b) in numbers(fused.theta()).iter().zip(numbers(composed.theta())) {
                // A few roundings of numbers near 1.
                assert!((a - b).abs() < 1e-6, "{a} {b} {ball:?}");
            }
        }
    }

    #[test]
    fn weight_decay_takes_its_share_whatever_the_gradient() {
        let adam = Adam { weight_decay: 0.5, ..Adam::new(0.1) };
        let mut weight = Trained::new(tensor(&[1.0, -2.0])).unwrap();
        weight.step(&adam, &tensor(&[0.0, 0.0]), Ball::None).unwrap();
        assert_eq!(numbers(weight.theta()), [0.95, -1.9]);
    }

    #[test]
    fn a_state_that_is_resumed_goes_on_as_if_nothing_had_happened() {
        let adam = Adam::new(0.02);
        let gradient = |step: usize| tensor(&[0.3 - step as f32, 0.7]);
        let mut whole = Trained::new(tensor(&[1.0, 2.0])).unwrap();
        (0..3).for_each(|step| whole.step(&adam, &gradient(step), Ball::None).unwrap());
        let mut resumed = Trained::new(tensor(&[1.0, 2.0])).unwrap();
        resumed.resume(whole.state().map(|(_, tensor)| tensor.clone()), 3).unwrap();
        for weight in [&mut whole, &mut resumed] {
            (3..6).for_each(|step| weight.step(&adam, &gradient(step), Ball::None).unwrap());
        }
        assert_eq!(numbers(whole.theta()), numbers(resumed.theta()));
    }

    #[test]
    fn several_weights_share_a_ball() {
        let mut weights = [(); 2].map(|()| Trained::new(tensor(&[1.0; 50])).unwrap());
        for weight in &mut weights {
            weight.step(&Adam::new(0.1), &tensor(&[1.0; 50]), Ball::None).unwrap();
        }
        let [a, b] = &mut weights;
        shrink_together(&mut [a, b], 0.4).unwrap();
        let squares: f64 = weights.iter().map(|w| sum_of_squares(w.change()).unwrap()).sum();
        assert!(squares.sqrt() <= 0.4 && squares.sqrt() > 0.39999);
    }

    #[test]
    fn no_step_leaves_the_ball() {
        let start: Vec<f32> = (0..1000).map(|i| (i as f32).sin()).collect();
        for ball in [Ball::L2(0.1), Ball::Linf(1e-3), Ball::Linf(0.1)] {
            let mut weight = Trained::new(tensor(&start)).unwrap();
            for step in 0..20 {
                let gradient: Vec<f32> = (0..1000).map(|i| ((i + step) as f32).cos()).collect();
                weight.step(&Adam::new(0.05), &tensor(&gradient), ball).unwrap();
                let change = numbers(weight.change());
                let norm = change.iter().map(|&c| f64::from(c).powi(2)).sum::<f64>().sqrt();
                let most = change.iter().map(|&c| f64::from(c.abs())).fold(0.0, f64::max);
                match ball {
                    Ball::L2(radius) => assert!(norm <= radius && norm > 0.99 * radius),
                    Ball::Linf(radius) => assert!(most <= radius),
                    Ball::None => unreachable!(),
                }
            }
        }
    }
}
