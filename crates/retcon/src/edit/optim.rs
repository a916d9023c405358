//! The one loop: unknowns, an objective in parts, balls that the unknowns stay in, a stop rule; and
//! the same for many objectives that have nothing to do with one another.

use candle_core::{DType, Tensor};
use retcon_kernels::autograd::Var;
use retcon_kernels::trained::{Adam, Ball, Trained};
use retcon_model::random::Random;
use serde_json::{Value, json};

use crate::ctx::{Ctx, Progress};
use crate::error::{Error, Result};

/// An unknown, how fast it moves and where it has to stay.
#[derive(Debug)]
pub struct Unknown {
    /// Its start, its change and the state of its optimizer.
    pub trained: Trained,
    /// Its step size.
    pub learning_rate: f64,
    /// The share of it that a step takes away, times the step size.
    pub weight_decay: f64,
    /// Where it has to stay.
    pub ball: Ball,
}

impl Unknown {
    /// A step along `gradient`.
    fn step(&mut self, gradient: &Tensor) -> Result<()> {
        let adam = Adam { weight_decay: self.weight_decay, ..Adam::new(self.learning_rate) };
        Ok(self.trained.step(&adam, gradient, self.ball)?)
    }
}

/// How the objective is made small.
#[derive(Clone, Debug)]
pub struct Descent {
    /// The name of the work, for progress.
    pub stage: &'static str,
    /// Parts of the objective.
    pub n_parts: usize,
    /// How many parts make one step.
    pub parts_per_step: usize,
    /// Passes over all parts, at most.
    pub n_epochs: usize,
}

/// The objective at some of its parts.
#[derive(Debug)]
pub struct Evaluation {
    /// What is to become small, a scalar.
    pub loss: Var,
    /// Whether these parts need no further step.
    pub satisfied: bool,
}

/// How a descent ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Steps that were taken.
    pub n_steps: usize,
    /// The mean loss over the last pass.
    pub loss: f64,
    /// Whether all parts were satisfied at once.
    pub satisfied: bool,
}

impl Outcome {
    /// For the record of an edit.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"steps": self.n_steps, "loss": self.loss, "satisfied": self.satisfied})
    }
}

/// Changes `unknowns` until all parts of the objective are satisfied at once, or `descent` ends.
///
/// The parts are shuffled and visited breadth first: each pass takes a step for every group of
/// them that is not satisfied yet. A pass without any step is the proof that all are satisfied by
/// the same unknowns, and the end.
///
/// # Errors
/// [`Error::Diverged`] where the loss is no number, [`Error::Canceled`], and what `evaluate`
/// reports.
pub fn minimize(
    ctx: &Ctx<'_>,
    descent: &Descent,
    unknowns: &mut [Unknown],
    mut evaluate: impl FnMut(&[usize], &[Var]) -> Result<Evaluation>,
) -> Result<Outcome> {
    let mut order: Vec<usize> = (0..descent.n_parts).collect();
    let mut random = Random::new(ctx.seed);
    let mut outcome = Outcome { n_steps: 0, loss: f64::NAN, satisfied: false };
    for epoch in 0..=descent.n_epochs {
        if order.len() > descent.parts_per_step {
            random.shuffle(&mut order);
        }
        let (mut losses, mut satisfied) = (Vec::new(), true);
        for parts in order.chunks(descent.parts_per_step.max(1)) {
            let vars: Vec<Var> =
                unknowns.iter().map(|u| Var::unknown(u.trained.theta().clone())).collect();
            let evaluation = evaluate(parts, &vars)?;
            let loss = scalar(&evaluation.loss)?;
            if !loss.is_finite() {
                return Err(Error::Diverged { subject: None, step: outcome.n_steps, loss });
            }
            losses.push(loss);
            let (stage, total) = (descent.stage, descent.n_epochs);
            let loss = Some(loss);
            ctx.report(&Progress { stage, done: epoch, total, loss, said: None })?;
            if evaluation.satisfied {
                continue;
            }
            satisfied = false;
            // The last pass only looks.
            if epoch < descent.n_epochs {
                step(unknowns, &vars, &evaluation.loss)?;
                outcome.n_steps += 1;
            }
        }
        outcome.loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        outcome.satisfied = satisfied;
        if satisfied {
            break;
        }
    }
    Ok(outcome)
}

/// How objectives are made small that have nothing to do with one another.
#[derive(Clone, Debug)]
pub struct Apart<'a> {
    /// What each is called, for errors.
    pub names: Vec<&'a str>,
    /// The name of the work, for progress.
    pub stage: &'static str,
    /// Times that each objective is computed, at most; there is a step between two.
    pub n_looks: usize,
    /// Objectives that are done already, for progress.
    pub before: usize,
    /// Objectives in all, for progress.
    pub of: usize,
}

/// Objectives that have nothing to do with one another.
#[derive(Debug)]
pub struct Evaluations {
    /// Their sum.
    pub loss: Var,
    /// Each of them.
    pub losses: Vec<f64>,
    /// Whether each needs no further step.
    pub satisfied: Vec<bool>,
}

/// Makes each of many objectives small by the unknowns that are its own, all rows `[1, d]`, and all of
/// them at once. One that is satisfied is left alone from then on.
///
/// `evaluate` gets the objectives that are still open, and their unknowns in that order, a row each.
///
/// # Errors
/// [`Error::Diverged`] where a loss is no number, [`Error::Canceled`], and what `evaluate` reports.
pub fn minimize_each(
    ctx: &Ctx<'_>,
    apart: &Apart<'_>,
    unknowns: &mut [Vec<Unknown>],
    mut evaluate: impl FnMut(&[usize], &Var) -> Result<Evaluations>,
) -> Result<Vec<Outcome>> {
    let fresh = Outcome { n_steps: 0, loss: f64::NAN, satisfied: false };
    let mut outcomes = vec![fresh; unknowns.len()];
    let mut open: Vec<usize> = (0..unknowns.len()).collect();
    for look in 0..apart.n_looks {
        let done = apart.before * apart.n_looks + look * unknowns.len();
        let total = apart.of * apart.n_looks;
        let losses = || open.iter().map(|&i| outcomes[i].loss);
        let loss = (look > 0).then(|| losses().sum::<f64>() / open.len() as f64);
        ctx.report(&Progress { stage: apart.stage, done, total, loss, said: None })?;
        let rows: Vec<_> =
            open.iter().flat_map(|&i| &unknowns[i]).map(|u| u.trained.theta()).collect();
        let vars = Var::unknown(Tensor::cat(&rows, 0)?);
        let Evaluations { loss, losses, satisfied } = evaluate(&open, &vars)?;
        for (&i, (&loss, &satisfied)) in open.iter().zip(losses.iter().zip(&satisfied)) {
            if !loss.is_finite() {
                let subject = Some(apart.names[i].to_owned());
                return Err(Error::Diverged { subject, step: look, loss });
            }
            outcomes[i] = Outcome { n_steps: look, loss, satisfied };
        }
        if look + 1 == apart.n_looks || satisfied.iter().all(|&satisfied| satisfied) {
            break;
        }
        let gradients = loss.gradients(&[&vars])?.remove(0);
        let mut row = 0;
        for &i in &open {
            for unknown in &mut unknowns[i] {
                let gradient = gradients.narrow(0, row, 1)?;
                row += 1;
                if !outcomes[i].satisfied {
                    unknown.step(&gradient)?;
                }
            }
        }
        open.retain(|&i| !outcomes[i].satisfied);
    }
    Ok(outcomes)
}

fn step(unknowns: &mut [Unknown], vars: &[Var], loss: &Var) -> Result<()> {
    let gradients = loss.gradients(&vars.iter().collect::<Vec<_>>())?;
    for (unknown, gradient) in unknowns.iter_mut().zip(&gradients) {
        unknown.step(gradient)?;
    }
    Ok(())
}

fn scalar(loss: &Var) -> Result<f64> {
    Ok(loss.value().to_dtype(DType::F64)?.to_scalar::<f64>()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The distance of a number from 3, through an operation that knows its gradient.
    fn evaluate(vars: &[Var]) -> Evaluation {
        let x = vars[0].value().to_vec1::<f32>().unwrap()[0];
        let loss = Tensor::new((x - 3.0).powi(2), &Device::Cpu).unwrap();
        let loss = Var::record(loss, &[&vars[0]], move |dy, inputs| {
            let dy = dy.to_scalar::<f32>()?;
            match inputs.slot(0) {
                Some(slot) => slot.add(Tensor::new(&[2.0 * (x - 3.0) * dy], &Device::Cpu)?),
                None => Ok(()),
            }
        });
        Evaluation { loss, satisfied: (x - 3.0).abs() < 0.1 }
    }

    fn run(ball: Ball, n_epochs: usize) -> (Outcome, f32) {
        let start = Tensor::new(&[0f32], &Device::Cpu).unwrap();
        let trained = Trained::new(start).unwrap();
        let mut unknowns = [Unknown { trained, learning_rate: 0.1, weight_decay: 0.0, ball }];
        let ctx = Ctx::new(0);
        let descent = Descent { stage: "test", n_parts: 1, parts_per_step: 1, n_epochs };
        let outcome =
            minimize(&ctx, &descent, &mut unknowns, |_, vars| Ok(evaluate(vars))).unwrap();
        (outcome, unknowns[0].trained.theta().to_vec1::<f32>().unwrap()[0])
    }

    #[test]
    fn it_stops_where_the_objective_is_satisfied() {
        let (outcome, x) = run(Ball::None, 200);
        assert!(outcome.satisfied && outcome.n_steps < 100 && (x - 3.0).abs() < 0.1, "{x}");
    }

    #[test]
    fn it_stays_in_the_ball_and_says_that_it_failed() {
        let (outcome, x) = run(Ball::Linf(1.0), 50);
        assert_eq!((outcome.satisfied, outcome.n_steps, x), (false, 50, 1.0));
    }

    #[test]
    fn no_steps_change_nothing() {
        let (outcome, x) = run(Ball::None, 0);
        assert_eq!((outcome.n_steps, x), (0, 0.0));
    }
}
