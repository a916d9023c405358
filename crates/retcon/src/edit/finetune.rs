//! Fine-tuning of chosen weights on new facts, inside a ball around the old weights: what `ft` and its
//! published relatives have in common.
//!
//! The loss is on the object's tokens only. Everything below the first block that changes is run once;
//! the last block runs only where the object is read.

use std::collections::BTreeMap;

use candle_core::DType;
use retcon_kernels::loss::Scored;
use retcon_kernels::squares::{largest, sum_of_squares};
use retcon_kernels::trained::{Ball, Trained};
use retcon_model::{Delta, Model, Update, WeightId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compact::compact;
use super::fixed::Fixed;
use super::optim::{Descent, Evaluation, Outcome, Unknown, minimize};
use super::scope::{Blocks, Scope, Target};
use super::{Editor, at_least_one, delta, positive, record, scaled, settings};
use crate::ctx::Ctx;
use crate::data::{Fact, contexts};
use crate::error::{Error, Result};
use crate::tokens::{Query, query};

/// The editor `name` with `given` settings over its `defaults`.
///
/// # Errors
/// [`Error::BadSettings`] or [`Error::BadSetting`].
pub(super) fn make(
    name: &'static str,
    defaults: &Settings,
    given: Map<String, Value>,
) -> Result<Box<dyn Editor>> {
    let settings = settings(name, defaults, given)?;
    settings.check()?;
    Ok(Box::new(FineTuning { name, settings }))
}

/// The radius of the ball where none is set, in the unit; of `l2` times the root of the size.
const RADIUS: f64 = 0.03;

/// Each setting, and what it means.
pub const SETTINGS: &[(&str, &str)] = &[
    ("blocks", "blocks that may change: auto (two thirds of the depth), all, or 3 or 4-7 or -1"),
    (
        "components",
        "what of them: attention, attention-qv, mlp, mlp-up, mlp-down, norms, embeddings, head, all",
    ),
    ("constraint", "the ball around each old tensor: none, l2 or linf"),
    ("radius", "its radius, in the unit; null: 0.03 (of l2 times the root of the size)"),
    ("learning_rate", "Adam's step size, in the unit"),
    ("unit", "rms: each tensor's root mean square; absolute: 1, as papers give them"),
    ("steps", "passes over all facts, at most"),
    (
        "margin",
        "how much more likely than any other token each token of an object has to be, in nats",
    ),
    ("batch", "facts per step"),
    ("contexts", "neutral words before a prompt, with each of which it is trained too"),
    ("storage_error", "relative error within which a change is stored as factors, where smaller"),
    (
        "objective",
        "sequence: each token after those before it; bag: all of them right after the prompt",
    ),
    ("eos", "whether the object is to be followed by the end of the text"),
    ("order", "breadth: a step for every batch in turn; depth: one fact after another, to its end"),
    (
        "stop_loss",
        "the mean loss at which facts are done; null: where all tokens lead by the margin",
    ),
    ("weight_decay", "the share of each weight, times the step size, that a step takes away"),
    ("weight_decay_power", "what power of the number of facts that is multiplied with"),
];

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Blocks that may change.
    pub blocks: Blocks,
    /// What of them may change.
    pub components: Vec<Target>,
    /// The shape of the ball.
    pub constraint: Constraint,
    /// Its radius.
    pub radius: Option<f64>,
    /// Adam's step size.
    pub learning_rate: f64,
    /// What radius and step size are measured in.
    pub unit: Unit,
    /// Passes over all facts, at most.
    pub steps: usize,
    /// By how many nats each token of an object has to lead.
    pub margin: f64,
    /// Facts per step.
    pub batch: usize,
    /// Contexts to train each prompt in, beside the bare one.
    pub contexts: usize,
    /// Within which a change is stored as factors.
    pub storage_error: f64,
    /// What is made likely.
    pub objective: Objective,
    /// Whether the object ends the text.
    pub eos: bool,
    /// In which order facts are trained.
    pub order: Order,
    /// The mean loss at which facts are done.
    pub stop_loss: Option<f64>,
    /// Adam's weight decay.
    pub weight_decay: f64,
    /// What power of the number of facts it is multiplied with.
    pub weight_decay_power: f64,
}

/// What is made likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Each token of the object after those before it.
    Sequence,
    /// Each token of the object right after the prompt.
    Bag,
}

/// In which order facts are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// A step for every batch in turn.
    Breadth,
    /// One fact after another.
    Depth,
}

/// The shape of a ball around the old weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Constraint {
    /// No ball.
    None,
    /// The Euclidean norm of a tensor's change is bounded.
    L2,
    /// Every number's change is bounded.
    Linf,
}

/// What a step size or a radius is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The root mean square of the tensor's numbers, which makes one default fit all models.
    Rms,
    /// One.
    Absolute,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            blocks: Blocks::Auto,
            components: vec![Target::MlpDown],
            constraint: Constraint::Linf,
            radius: None,
            learning_rate: 0.01,
            unit: Unit::Rms,
            steps: 50,
            margin: 1.0,
            batch: 32,
            contexts: 0,
            storage_error: 1e-3,
            objective: Objective::Sequence,
            eos: false,
            order: Order::Breadth,
            stop_loss: None,
            weight_decay: 0.0,
            weight_decay_power: 0.0,
        }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        positive("learning_rate", self.learning_rate)?;
        positive("radius", self.radius.unwrap_or(1.0))?;
        positive("storage_error", self.storage_error)?;
        positive("stop_loss", self.stop_loss.unwrap_or(1.0))?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::bad_setting("weight_decay", "0 or more", self.weight_decay));
        }
        at_least_one("batch", self.batch)
    }

    fn scope(&self) -> Scope {
        Scope { blocks: self.blocks.clone(), components: self.components.clone() }
    }

    /// The weight `start` as an unknown, for `n_facts` facts.
    fn unknown(&self, start: candle_core::Tensor, n_facts: usize) -> Result<Unknown> {
        let n = start.elem_count() as f64;
        let squares = sum_of_squares(&start)?;
        // Biases may be all zero, and have to be able to move.
        const LEAST: f64 = 1e-3;
        let unit = match self.unit {
            Unit::Rms => (squares / n).sqrt().max(LEAST),
            Unit::Absolute => 1.0,
        };
        let ball = match self.constraint {
            Constraint::None => Ball::None,
            Constraint::Linf => Ball::Linf(unit * self.radius.unwrap_or(RADIUS)),
            Constraint::L2 => match (self.radius, self.unit) {
                (Some(radius), Unit::Absolute) => Ball::L2(radius),
                (radius, _) => Ball::L2(unit * n.sqrt() * radius.unwrap_or(RADIUS)),
            },
        };
        let learning_rate = self.learning_rate * unit;
        let weight_decay = self.weight_decay * (n_facts as f64).powf(self.weight_decay_power);
        Ok(Unknown { trained: Trained::new(start)?, learning_rate, weight_decay, ball })
    }
}

/// The editor.
#[derive(Clone, Debug)]
pub struct FineTuning {
    /// The method.
    pub name: &'static str,
    /// Its settings.
    pub settings: Settings,
}

impl Editor for FineTuning {
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta> {
        if facts.is_empty() {
            return Err(Error::NoFacts);
        }
        let ids = self.settings.scope().weights(model)?;
        let (mut queries, mut of_fact) = (Vec::new(), Vec::new());
        for of_one in self.queries(model, facts)? {
            of_fact.push(queries.len()..queries.len() + of_one.len());
            queries.extend(of_one);
        }
        let fixed = Fixed::new(model, &ids, queries)?;
        let mut unknowns = Vec::new();
        for &id in &ids {
            let start = model.weight(id)?.to_tensor(model.device())?;
            unknowns.push(self.settings.unknown(start, facts.len())?);
        }
        let runs: Vec<Vec<usize>> = match self.settings.order {
            Order::Breadth => vec![(0..facts.len()).collect()],
            Order::Depth => (0..facts.len()).map(|fact| vec![fact]).collect(),
        };
        let mut outcome = Outcome { n_steps: 0, loss: 0.0, satisfied: true };
        for run in &runs {
            let descent = Descent {
                stage: "fine-tuning",
                n_parts: run.len(),
                parts_per_step: self.settings.batch,
                n_epochs: self.settings.steps,
            };
            let ended = minimize(ctx, &descent, &mut unknowns, |parts, vars| {
                let (mut chosen, mut weights) = (Vec::new(), Vec::new());
                for of_one in parts.iter().map(|&part| of_fact[run[part]].clone()) {
                    // Facts count alike, however many tokens their objects have.
                    weights
                        .extend(of_one.clone().map(|_| 1.0 / (parts.len() * of_one.len()) as f64));
                    chosen.extend(of_one);
                }
                let (_, scored) = fixed.scored(&ids, vars, &chosen, &weights)?;
                let satisfied = self.settings.is_done(&scored)?;
                Ok(Evaluation { loss: scored.loss, satisfied })
            })?;
            outcome.n_steps += ended.n_steps;
            outcome.loss += ended.loss / runs.len() as f64;
            outcome.satisfied &= ended.satisfied;
            if runs.len() > 1 {
                unknowns.iter_mut().try_for_each(|unknown| unknown.trained.restart())?;
            }
        }
        self.delta(ctx, model, facts, &ids, &unknowns, outcome)
    }

    /// In a ball of one radius, the edit is made again with `share` of that radius; otherwise its change
    /// is scaled.
    fn held_back(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        facts: &[Fact],
        whole: &Delta,
        share: f64,
    ) -> Result<Delta> {
        let Settings { constraint, radius, unit, .. } = &self.settings;
        let radius = match (constraint, radius, unit) {
            (Constraint::None, ..) | (Constraint::L2, None, Unit::Absolute) => {
                return scaled(whole, share);
            }
            (_, radius, _) => Some(share * radius.unwrap_or(RADIUS)),
        };
        let settings = Settings { radius, ..self.settings.clone() };
        Self { name: self.name, settings }.edit(ctx, model, facts)
    }
}

impl Settings {
    /// Whether facts that are scored so need no further step.
    fn is_done(&self, scored: &Scored) -> Result<bool> {
        match self.stop_loss {
            Some(most) => Ok(scored.loss.value().to_dtype(DType::F64)?.to_scalar::<f64>()? < most),
            None => Ok(scored.margin.iter().all(|&lead| lead >= self.margin)),
        }
    }
}

impl FineTuning {
    /// What each fact is trained on: its prompt bare, and after some neutral words.
    fn queries(&self, model: &Model, facts: &[Fact]) -> Result<Vec<Vec<Query>>> {
        let of_fact = |fact: &Fact| {
            let mut prompts = vec![fact.prompt.clone()];
            prompts.extend(contexts(&fact.prompt).into_iter().take(self.settings.contexts));
            let queries = prompts.iter().map(|prompt| query(model, prompt, &fact.target_new));
            let queries = queries.collect::<Result<Vec<_>>>()?;
            let ended = queries.into_iter().map(|query| self.settings.ended(model, query));
            Ok(match self.settings.objective {
                Objective::Sequence => ended.collect(),
                Objective::Bag => ended.flat_map(bag).collect(),
            })
        };
        facts.iter().map(of_fact).collect()
    }

    fn delta(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        facts: &[Fact],
        ids: &[WeightId],
        unknowns: &[Unknown],
        outcome: Outcome,
    ) -> Result<Delta> {
        let mut updates = BTreeMap::new();
        for (&id, unknown) in ids.iter().zip(unknowns) {
            let change = unknown.trained.change();
            let update = match unknown.ball {
                // Factors of a change inside of this ball need not lie inside of it.
                Ball::Linf(radius) => {
                    let stored = compact(change, self.settings.storage_error, ctx.seed)?;
                    let outside = stored.rank().is_some() && largest(&stored.to_dense()?)? > radius;
                    if outside { Update::Dense(change.clone()) } else { stored }
                }
                Ball::None | Ball::L2(_) => compact(change, self.settings.storage_error, ctx.seed)?,
            };
            updates.insert(id, update);
        }
        let record = record(ctx, self.name, &self.settings, facts, outcome.to_value());
        delta(model, updates, facts, record)
    }
}

impl Settings {
    /// `query` with the end of the text behind its object, where a decoder has one and it is wanted.
    fn ended(&self, model: &Model, mut query: Query) -> Query {
        let eos = model.tokenizer().eos().first().filter(|_| self.eos && model.spec().is_causal());
        if let (Some(&eos), Some(&last)) = (eos, query.object.last()) {
            query.ids.push(last);
            query.at.push(query.ids.len() as u32 - 1);
            query.object.push(eos);
        }
        query
    }
}

/// A query for each token of the object, all of them where the first is said.
fn bag(query: Query) -> Vec<Query> {
    let first = query.at[0];
    let of_token = |&token: &u32| Query {
        // All but the object's tokens; a mask that hides one of an encoder's stays.
        ids: query.ids.clone(),
        at: vec![first],
        object: vec![token],
        ..query.clone()
    };
    query.object.iter().map(of_token).collect()
}
