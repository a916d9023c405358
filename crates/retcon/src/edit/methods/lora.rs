//! `lora`: factors of low rank beside chosen matrices, trained on the new facts.
//!
//! Changes: what is added to the chosen matrices, `y = W x + (alpha / rank) B A x`; `W` stays.
//! Equation: the objective of `ft`, over `A` (drawn) and `B` (zero at first), by Adam.
//! Source: Hu et al. 2022, "LoRA" (arXiv 2106.09685), equation 3; numbers of EasyEdit's presets.
//! Deviations: no dropout, so that one seed gives one change; it stops where every token leads by a
//! margin; a later edit lays another pair of factors beside the first instead of training on.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use retcon_kernels::trained::{Ball, Trained};
use retcon_model::random::Random;
use retcon_model::{Delta, Model, Update, WeightId};
use serde::{Deserialize, Serialize};

use crate::ctx::Ctx;
use crate::data::Fact;
use crate::edit::fixed::Fixed;
use crate::edit::optim::{Descent, Evaluation, Unknown, minimize};
use crate::edit::scope::{Blocks, Scope, Target};
use crate::edit::{Editor, Method, at_least_one, delta, positive, record, settings, to_value};
use crate::error::{Error, Result};
use crate::tokens::query;

/// The entry in [`crate::edit::METHODS`].
pub const METHOD: Method = Method {
    name: "lora",
    summary: "factors of low rank beside the queries and values, trained on the new facts",
    source: "Hu et al. 2022, arXiv 2106.09685",
    settings: &[
        ("blocks", "blocks that get factors: all, auto (two thirds of the depth), 3, 4-7, -1"),
        ("components", "which of their matrices: attention, attention-qv, mlp, mlp-up, mlp-down"),
        ("rank", "the rank of the factors"),
        ("alpha", "what their product is multiplied with, times the rank"),
        ("learning_rate", "Adam's step size"),
        ("steps", "passes over all facts, at most"),
        (
            "margin",
            "how much more likely than any other token each token of an object has to be, in nats",
        ),
        ("batch", "facts per step"),
    ],
    defaults: || to_value(&Settings::default()),
    swept: false,
    make: |given| {
        let settings: Settings = settings("lora", &Settings::default(), given)?;
        settings.check()?;
        Ok(Box::new(Lora(settings)))
    },
};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Blocks that get factors.
    pub blocks: Blocks,
    /// Which of their matrices.
    pub components: Vec<Target>,
    /// The rank of the factors.
    pub rank: usize,
    /// What their product is multiplied with, times the rank.
    pub alpha: f64,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Passes over all facts, at most.
    pub steps: usize,
    /// By how many nats each token of an object has to lead.
    pub margin: f64,
    /// Facts per step.
    pub batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            blocks: Blocks::All,
            components: vec![Target::AttentionQv],
            rank: 8,
            alpha: 32.0,
            learning_rate: 5e-3,
            steps: 60,
            margin: 1.0,
            batch: 32,
        }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        positive("learning_rate", self.learning_rate)?;
        positive("alpha", self.alpha)?;
        at_least_one("rank", self.rank)?;
        at_least_one("batch", self.batch)
    }
}

/// The editor.
#[derive(Clone, Debug)]
pub struct Lora(pub Settings);

impl Editor for Lora {
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta> {
        if facts.is_empty() {
            return Err(Error::NoFacts);
        }
        let ids = self.matrices(model)?;
        let queries = facts.iter().map(|fact| query(model, &fact.prompt, &fact.target_new));
        let fixed = Fixed::new(model, &ids, queries.collect::<Result<_>>()?)?;
        let mut unknowns = self.unknowns(ctx, model, &ids)?;
        let scale = self.0.alpha / self.0.rank as f64;
        let descent = Descent {
            stage: "training factors",
            n_parts: facts.len(),
            parts_per_step: self.0.batch,
            n_epochs: self.0.steps,
        };
        let outcome = minimize(ctx, &descent, &mut unknowns, |parts, vars| {
            let mut beside = BTreeMap::new();
            for (&id, pair) in ids.iter().zip(vars.chunks(2)) {
                let left = retcon_kernels::rows::scale(&pair[0], scale)?;
                beside.insert(id, (left, pair[1].clone()));
            }
            let open = model.with_unknown_factors(&beside)?;
            let weights = vec![1.0 / parts.len() as f64; parts.len()];
            let (_, scored) = fixed.scored_by(&open, parts, &weights)?;
            let satisfied = scored.margin.iter().all(|&lead| lead >= self.0.margin);
            Ok(Evaluation { loss: scored.loss, satisfied })
        })?;
        let mut updates = BTreeMap::new();
        for (&id, pair) in ids.iter().zip(unknowns.chunks(2)) {
            let left = (pair[0].trained.theta() * scale)?;
            updates.insert(id, Update::LowRank { left, right: pair[1].trained.theta().clone() });
        }
        let record = record(ctx, METHOD.name, &self.0, facts, outcome.to_value());
        delta(model, updates, facts, record)
    }
}

impl Lora {
    /// The matrices that get factors.
    fn matrices(&self, model: &Model) -> Result<Vec<WeightId>> {
        let scope = Scope { blocks: self.0.blocks.clone(), components: self.0.components.clone() };
        let ids = scope.weights(model)?;
        let ids = ids.into_iter().filter(|id| id.block.is_some() && id.part.is_linear());
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            let expected = "something with matrices in the blocks";
            return Err(Error::bad_setting("components", expected, scope));
        }
        Ok(ids)
    }

    /// `B` and `A` of each matrix: zeros, and numbers drawn as for a linear map (He et al. 2015).
    fn unknowns(&self, ctx: &Ctx<'_>, model: &Model, ids: &[WeightId]) -> Result<Vec<Unknown>> {
        let mut random = Random::new(ctx.seed);
        let mut unknowns = Vec::new();
        for &id in ids {
            let shape = id.part.shape(model.spec());
            let (d_out, d_in, rank) = (shape[0], shape[1], self.0.rank);
            if rank > d_out.min(d_in) {
                let expected = format!("at most {}, as {id} is {d_out} x {d_in}", d_out.min(d_in));
                return Err(Error::bad_setting("rank", expected, rank));
            }
            let bound = (d_in as f64).sqrt().recip();
            let draw = (0..rank * d_in).map(|_| ((2.0 * random.uniform() - 1.0) * bound) as f32);
            let right = Tensor::from_vec(draw.collect(), (rank, d_in), model.device())?;
            let left = Tensor::zeros((d_out, rank), DType::F32, model.device())?;
            for start in [left, right] {
                let (learning_rate, trained) = (self.0.learning_rate, Trained::new(start)?);
                let ball = Ball::None;
                unknowns.push(Unknown { trained, learning_rate, weight_decay: 0.0, ball });
            }
        }
        Ok(unknowns)
    }
}
