//! Locate, then edit: one algebra, of which a published method is a row of settings.
//!
//! Changes: the down-projections of the chosen blocks' MLPs, each by a matrix of low rank.
//! Equation: for every subject a key `k` (the mean of its situations) and a value (what the model
//! would have to read there), then block by block `W <- W + R S`, which maps the keys to the values and
//! moves other keys as little as the metric allows (see `solve.rs`).
//! Source: Meng et al. 2022 (ROME, arXiv 2202.05262), Meng et al. 2023 (MEMIT, arXiv 2210.07229), and
//! those that each method names.
//! Deviations from the published code hold for all of them: keys, prefixes and statistics belong to
//! the edit and its record, not to the process; solves are in `f64` and form no inverse; subjects are
//! found by character offsets; edits of one subject share a value.

mod anchor;
mod changes;
mod metrics;
mod past;
pub mod prefixes;
pub mod recipe;
mod regularize;
pub mod solve;
pub mod subject;
pub mod value;
pub mod walk;

use std::collections::BTreeMap;
use std::time::Instant;

use retcon_model::{Delta, Model, Update, WeightId};
use serde_json::{Map, Value, json};

use self::changes::{Change, Numerics, Written, down};
use self::metrics::Metrics;
use self::prefixes::Words;
use self::recipe::Recipe;
use self::subject::Subject;
use self::value::search;
use self::walk::Walk;
use super::optim::Outcome;
use super::scope::Blocks;
use super::{Editor, record, scaled, size};
use crate::ctx::Ctx;
use crate::data::Fact;
use crate::error::{Error, Result};

/// A recipe under the name of a method.
#[derive(Clone, Debug)]
pub struct ClosedForm {
    /// The method.
    pub name: &'static str,
    /// Its settings.
    pub recipe: Recipe,
    /// What models wrote before prompts.
    pub words: Words,
}

impl Editor for ClosedForm {
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta> {
        let clock = Instant::now();
        let stage = |name: &str| tracing::debug!("{name}: {:.3} s", clock.elapsed().as_secs_f64());
        let mut recipe = self.recipe.clone();
        let blocks = recipe.blocks(model)?;
        if blocks.is_empty() {
            return Err(Error::NoFacts);
        }
        recipe.blocks = Blocks::These(blocks.iter().map(|&block| block as isize).collect());
        let words = match recipe.prefixes.take() {
            Some(given) => given,
            None => self.words.of(model, &recipe.prefix_tokens, ctx.seed)?,
        };
        stage("prefixes");
        let subjects = Subject::of(model, facts, recipe.merge_subjects, &words)?;
        recipe.check_subjects(subjects.len())?;
        recipe.prefixes = Some(words);
        let metrics = Metrics::new(ctx, model, &recipe, &blocks)?;
        stage("statistics");
        let found = search(ctx, model, &subjects, &recipe.search(model, &blocks))?;
        stage("values");
        let written =
            Written { model, recipe: &recipe, blocks: &blocks, subjects: &subjects, found: &found };
        let (offsets, anchor) = written.offsets(ctx)?;
        let changes = written.changes(&metrics, &offsets)?;
        stage("solved");
        self.delta(ctx, &written, facts, changes, anchor)
    }

    /// What later edits get is keys of the edited model, so a weaker change needs its own.
    fn held_back(
        &self,
        _: &Ctx<'_>,
        model: &Model,
        facts: &[Fact],
        whole: &Delta,
        share: f64,
    ) -> Result<Delta> {
        let mut delta = scaled(whole, share)?;
        for of in delta.record.scores["blocks"].as_array_mut().into_iter().flatten() {
            let norm = of["relative_norm"].as_f64();
            of["relative_norm"] = norm.map(|norm| share * norm).into();
        }
        // With the blocks and the prefixes that were taken.
        let recipe: Recipe = serde_json::from_value(whole.record.settings.clone())
            .map_err(|error| Error::BadSettings { method: self.name, what: error.to_string() })?;
        if recipe.past {
            let blocks = recipe.blocks(model)?;
            let words = recipe.prefixes.unwrap_or_default();
            let subjects = Subject::of(model, facts, recipe.merge_subjects, &words)?;
            let weights: Vec<_> = subjects.iter().map(|of| of.weights(recipe.average)).collect();
            let walk = Walk::of(model, &subjects, blocks[0])?;
            let edited = model.with_updates(&delta.updates)?;
            delta.state.extend(past::left(&edited, walk, &weights, &blocks)?);
        }
        Ok(delta)
    }
}

impl ClosedForm {
    fn delta(
        &self,
        ctx: &Ctx<'_>,
        written: &Written<'_>,
        facts: &[Fact],
        changes: Vec<Change>,
        anchor: Option<f64>,
    ) -> Result<Delta> {
        let subject = |(subject, outcome): (&Subject, &Outcome)| {
            json!({
                "subject": facts[subject.facts[0]].subject(),
                "facts": subject.facts,
                "steps": outcome.n_steps,
                "loss": outcome.loss,
                "satisfied": outcome.satisfied,
            })
        };
        let block = |(block, change): (&usize, &Change)| {
            let Numerics { mu, condition, ridge, n_free } = change.solved;
            let mut of = json!({
                "block": block,
                "relative_norm": change.relative,
                "mu": mu,
                "condition": condition,
                "ridge": ridge,
            });
            if let Some(n_free) = n_free {
                of["directions"] = n_free.into();
            }
            of
        };
        let scores = json!({
            "values": written.subjects.iter().zip(&written.found.outcomes).map(subject).collect::<Vec<_>>(),
            "blocks": written.blocks.iter().zip(&changes).map(block).collect::<Vec<_>>(),
            "anchor": anchor,
        });
        for (&block, change) in written.blocks.iter().zip(&changes) {
            size::within(down(block), change.relative, facts)?;
        }
        let record = record(ctx, self.name, written.recipe, facts, scores);
        let updates: BTreeMap<WeightId, Update> = written
            .blocks
            .iter()
            .zip(changes)
            .map(|(&block, change)| (down(block), change.update))
            .collect();
        let state = written.state(&updates, anchor)?;
        let mut delta = Delta::new(written.model, updates, record)?;
        delta.state = state;
        Ok(delta)
    }
}

/// The entry of a method whose settings are a recipe.
pub(super) fn make(
    name: &'static str,
    recipe: Recipe,
    given: Map<String, Value>,
) -> Result<Box<dyn Editor>> {
    let (recipe, words) = (recipe.given(name, given)?, Words::default());
    Ok(Box::new(ClosedForm { name, recipe, words }))
}
