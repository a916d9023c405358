//! Steps of training, one after the other, of some weights of a model.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::trained::{Adam, Ball, Trained, shrink_together};
use retcon_model::{Model, WeightId};

use super::course::{Constraint, Course};
use super::stream::Stream;
use crate::ctx::{Ctx, Progress};
use crate::edit::fixed::Fixed;
use crate::error::{Error, Result};
use crate::interval::mean;
use crate::tokens::Query;

/// Some weights of a model in training on some texts.
#[derive(Debug)]
pub struct Trainer<'a> {
    model: &'a Model,
    pub(super) ids: Vec<WeightId>,
    pub(super) trained: Vec<Trained>,
    fixed: Fixed<'a>,
    stream: Stream,
    course: Course,
    pub(super) n_steps: usize,
    pub(super) multiplier: f64,
    /// The loss of the texts that are to stay, before the first step.
    pub(super) loss_at_start: Option<f64>,
}

/// What a step has seen, before it moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The mean loss on the first pool of texts.
    pub loss: f64,
    /// The share of it whose object was said.
    pub said: f64,
    /// The mean loss on the second pool, where there is one.
    pub loss_of_others: Option<f64>,
}

impl Step {
    /// What there is to tell of it.
    #[must_use]
    pub fn progress(&self, stage: &'static str, done: usize, total: usize) -> Progress {
        Progress { stage, done, total, loss: Some(self.loss), said: Some(self.said) }
    }
}

impl<'a> Trainer<'a> {
    /// The weights `ids` of `model`, to be trained on the texts of `stream` among `queries`.
    ///
    /// Under [`Constraint::Loss`] the first pool is learned and the second one watched; otherwise
    /// all texts of a step count alike.
    ///
    /// # Errors
    /// [`Error::BadSetting`], and what the model reports.
    pub fn new(
        model: &'a Model,
        ids: Vec<WeightId>,
        queries: Vec<Query>,
        stream: Stream,
        course: Course,
    ) -> Result<Self> {
        course.check()?;
        if matches!(course.constraint, Constraint::Loss { .. }) && stream.n_pools() < 2 {
            // It would hold nothing back, without a word.
            let expected = "none, l2 or linf, as there are no other texts to watch";
            let found = course.constraint.name();
            return Err(Error::bad_setting("course.constraint", expected, found));
        }
        let start = |&id: &WeightId| {
            Ok(Trained::new(model.weight(id)?.to_tensor(model.device())?.contiguous()?)?)
        };
        Ok(Self {
            model,
            trained: ids.iter().map(start).collect::<Result<_>>()?,
            fixed: Fixed::new(model, &ids, queries)?,
            ids,
            stream,
            course,
            n_steps: 0,
            multiplier: 0.0,
            loss_at_start: None,
        })
    }

    /// How many steps have been taken.
    #[must_use]
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Takes the steps that are left, and keeps the state at `save`, a file and what is being
    /// trained (see [`Trainer::save`]), from where it also goes on.
    ///
    /// # Errors
    /// [`Error::Canceled`], and as [`Trainer::step`] and [`Trainer::resume`].
    pub fn finish(&mut self, ctx: &Ctx<'_>, save: Option<(&Path, &str)>) -> Result<()> {
        /// Between savings, which take as long as some steps.
        const STEPS: usize = 100;
        if let Some((path, run)) = save.filter(|(path, _)| path.exists()) {
            self.resume(path, run)?;
        }
        while self.n_steps < self.course.steps {
            let step = self.step()?;
            let (done, total) = (self.n_steps, self.course.steps);
            let told = ctx.report(&step.progress("training", done, total));
            if let Some((path, run)) = save
                && (done.is_multiple_of(STEPS) || done == total || told.is_err())
            {
                if told.is_err() {
                    // A large state takes a while, and whoever stopped it waits for it.
                    (ctx.progress)(&step.progress("writing the state", done, total));
                }
                self.save(path, run)?;
            }
            told?;
        }
        Ok(())
    }

    /// Takes a step.
    ///
    /// # Errors
    /// [`Error::Diverged`] where the loss is no number; nothing has moved then.
    pub fn step(&mut self) -> Result<Step> {
        let pools = self.stream.step(self.n_steps);
        let weights = self.weights(&pools);
        let texts: Vec<(usize, f64)> = pools.concat().into_iter().zip(weights).collect();
        let vars = self.thetas(Var::unknown);
        let mut gradients: Option<Vec<Tensor>> = None;
        let (mut losses, mut said) = (Vec::new(), Vec::new());
        for part in texts.chunks(texts.len().div_ceil(self.course.accumulate).max(1)) {
            let (chosen, weights): (Vec<usize>, Vec<f64>) = part.iter().copied().unzip();
            let (packed, scored) = self.fixed.scored(&self.ids, &vars, &chosen, &weights)?;
            let of_text = |rows: &std::ops::Range<usize>| {
                -scored.log_prob[rows.clone()].iter().sum::<f64>() / rows.len() as f64
            };
            losses.extend(packed.of_query.iter().map(of_text));
            said.extend(packed.leads(&scored).into_iter().map(|leads| f64::from(u8::from(leads))));
            let found = scored.loss.gradients(&vars.iter().collect::<Vec<_>>())?;
            gradients = Some(match gradients {
                None => found,
                Some(sums) => {
                    let sums = sums.iter().zip(&found).map(|(sum, found)| Ok((sum + found)?));
                    sums.collect::<Result<_>>()?
                }
            });
        }
        drop(vars);
        let n_first = pools.first().map_or(0, Vec::len);
        let seen = Step {
            loss: mean(&losses[..n_first]),
            said: mean(&said[..n_first]),
            loss_of_others: (losses.len() > n_first).then(|| mean(&losses[n_first..])),
        };
        if !losses.iter().sum::<f64>().is_finite() {
            return Err(Error::Diverged { subject: None, step: self.n_steps, loss: seen.loss });
        }
        self.move_along(&gradients.unwrap_or_default())?;
        self.raise_multiplier(&seen);
        self.n_steps += 1;
        Ok(seen)
    }

    /// What each text of a step counts.
    fn weights(&self, pools: &[Vec<usize>]) -> Vec<f64> {
        let n: usize = pools.iter().map(Vec::len).sum();
        let of_pool = |(i, pool): (usize, &Vec<usize>)| {
            let weight = match (self.course.constraint, i) {
                // The Lagrangian, over one plus the multiplier to keep steps of one size.
                (Constraint::Loss { .. }, 0) => 1.0 / (pool.len() as f64 * (1.0 + self.multiplier)),
                (Constraint::Loss { .. }, _) => {
                    self.multiplier / (pool.len() as f64 * (1.0 + self.multiplier))
                }
                _ => 1.0 / n as f64,
            };
            std::iter::repeat_n(weight, pool.len())
        };
        pools.iter().enumerate().flat_map(of_pool).collect()
    }

    fn move_along(&mut self, gradients: &[Tensor]) -> Result<()> {
        let adam = Adam {
            weight_decay: self.course.weight_decay,
            ..Adam::new(self.course.rate(self.n_steps))
        };
        let ball = match self.course.constraint {
            Constraint::Linf { radius } => Ball::Linf(radius),
            _ => Ball::None,
        };
        for (trained, gradient) in self.trained.iter_mut().zip(gradients) {
            trained.step(&adam, gradient, ball)?;
        }
        if let Constraint::L2 { radius } = self.course.constraint {
            shrink_together(&mut self.trained.iter_mut().collect::<Vec<_>>(), radius)?;
        }
        Ok(())
    }

    fn raise_multiplier(&mut self, seen: &Step) {
        let Constraint::Loss { rise, rate } = self.course.constraint else { return };
        let Some(loss) = seen.loss_of_others else { return };
        let at_start = *self.loss_at_start.get_or_insert(loss);
        self.multiplier = (self.multiplier + rate * (loss - at_start - rise)).max(0.0);
    }

    /// The weights as they are now.
    ///
    /// # Errors
    /// Where memory fails.
    pub fn weights_now(&self) -> Result<BTreeMap<WeightId, Tensor>> {
        // Each in memory of its own: they change in place with the next step.
        let now = |(&id, trained): (&WeightId, &Trained)| Ok((id, trained.theta().copy()?));
        self.ids.iter().zip(&self.trained).map(now).collect()
    }

    /// The weights as they are now, in order, for looking at before the next step.
    pub fn thetas(&self, variable: fn(Tensor) -> Var) -> Vec<Var> {
        self.trained.iter().map(|trained| variable(trained.theta().clone())).collect()
    }

    /// How far each weight is from where it started.
    pub fn changes(&self) -> impl Iterator<Item = (WeightId, &Tensor)> {
        self.ids.iter().copied().zip(self.trained.iter().map(Trained::change))
    }

    /// The model with the weights as they are now, for looking at before the next step.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn model_now(&self) -> Result<Model> {
        let now = self.ids.iter().zip(&self.trained);
        let now = now.map(|(&id, trained)| (id, trained.theta().clone())).collect();
        Ok(self.model.replaced(&now)?)
    }
}
