//! How steps are taken: their size over time, and what they may not violate.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How steps are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Course {
    /// Steps in all.
    pub steps: usize,
    /// Texts in a step.
    pub batch: usize,
    /// Into how many parts a step's texts are split, whose gradients are added: less memory for
    /// the same step.
    pub accumulate: usize,
    /// The largest step size of Adam.
    pub learning_rate: f64,
    /// The share of the steps over which the step size rises to the largest.
    pub warmup: f64,
    /// Whether it falls to zero from there, along a line.
    pub decay: bool,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// What every step keeps to.
    pub constraint: Constraint,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            steps: 400,
            batch: 64,
            accumulate: 1,
            learning_rate: 5e-4,
            warmup: 0.1,
            decay: true,
            weight_decay: 0.0,
            constraint: Constraint::None,
        }
    }
}

/// What training may not violate; distances are between all trained weights and where they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "kind")]
pub enum Constraint {
    /// Nothing.
    #[default]
    None,
    /// Their Euclidean distance is at most `radius`, over all of them together.
    L2 {
        /// The radius.
        radius: f64,
    },
    /// No number moves by more than `radius`.
    Linf {
        /// The radius.
        radius: f64,
    },
    /// The loss on texts of facts that are to stay rises by at most `rise`, in nats: the
    /// constraint that the balls stand in for (Zhu et al. 2020, equation 2).
    ///
    /// By gradient descent on the weights and ascent on the multiplier of the constraint (Arrow,
    /// Hurwicz and Uzawa 1958; for networks, Nandwani et al. 2019).
    Loss {
        /// How much it may rise.
        rise: f64,
        /// The step size of the multiplier.
        rate: f64,
    },
}

impl Constraint {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::L2 { .. } => "l2",
            Self::Linf { .. } => "linf",
            Self::Loss { .. } => "loss",
        }
    }

    /// What bounds it, where anything does.
    #[must_use]
    pub fn bound(&self) -> Option<f64> {
        match *self {
            Self::None => None,
            Self::L2 { radius } | Self::Linf { radius } => Some(radius),
            Self::Loss { rise, .. } => Some(rise),
        }
    }

    /// # Errors
    /// [`Error::BadSetting`] of the key `key` for what makes no sense.
    pub(crate) fn check(&self, key: &'static str) -> Result<()> {
        let positive = |expected: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::bad_setting(key, expected, value)),
        };
        positive("a positive bound", self.bound().unwrap_or(1.0))?;
        match *self {
            // Against the multiplier's gradient, or not at all, nothing would be held back.
            Self::Loss { rate, .. } => positive("a positive `rate`", rate),
            _ => Ok(()),
        }
    }
}

impl Course {
    /// The step size of the step `step`, from 0.
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        let done = (step + 1) as f64 / self.steps.max(1) as f64;
        let rising = if self.warmup > 0.0 { done / self.warmup } else { 1.0 };
        let falling = if self.decay && self.warmup < 1.0 {
            // The last step still moves.
            let step = 1.0 / self.steps.max(1) as f64;
            (1.0 - done + step) / (1.0 - self.warmup)
        } else {
            1.0
        };
        self.learning_rate * rising.min(falling).clamp(0.0, 1.0)
    }

    /// # Errors
    /// [`Error::BadSetting`] for what makes no sense.
    pub fn check(&self) -> Result<()> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !positive(self.learning_rate) {
            return Err(Error::bad_setting(
                "learning_rate",
                "a positive number",
                self.learning_rate,
            ));
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return Err(Error::bad_setting("warmup", "a share from 0 to 1", self.warmup));
        }
        if self.batch == 0 || self.accumulate == 0 {
            return Err(Error::bad_setting("batch", "at least 1, and so `accumulate`", 0));
        }
        // A negative share would let the weights grow without end.
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::bad_setting("weight_decay", "0 or more", self.weight_decay));
        }
        self.constraint.check("constraint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_size_rises_and_falls() {
        let course = Course { steps: 10, warmup: 0.2, learning_rate: 1.0, ..Course::default() };
        let rates: Vec<f64> = (0..10).map(|step| course.rate(step)).collect();
        assert!((rates[0] - 0.5).abs() < 1e-9 && (rates[1] - 1.0).abs() < 1e-9, "{rates:?}");
        assert!(rates[2..].windows(2).all(|pair| pair[1] < pair[0]) && rates[9] > 0.0);
        let flat = Course { decay: false, warmup: 0.0, ..course };
        assert!((0..10).all(|step| flat.rate(step) == 1.0));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad = [
            Course { learning_rate: 0.0, ..Course::default() },
            Course { warmup: 2.0, ..Course::default() },
            Course { batch: 0, ..Course::default() },
            Course { constraint: Constraint::Linf { radius: -1.0 }, ..Course::default() },
            Course { weight_decay: -3.0, ..Course::default() },
            Course { weight_decay: f64::NAN, ..Course::default() },
            Course { constraint: Constraint::Loss { rise: 0.1, rate: -1.0 }, ..Course::default() },
            Course { constraint: Constraint::Loss { rise: 0.0, rate: 1.0 }, ..Course::default() },
        ];
        assert!(bad.iter().all(|course| course.check().is_err()));
        Course::default().check().unwrap();
    }
}
