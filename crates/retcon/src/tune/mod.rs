//! Settings for a model that nobody has written any for: a short sweep of trial edits on facts that the
//! model knows.
//!
//! Where a fact can be read best is not where it can be written best (Hase et al. 2023, arXiv
//! 2301.04213), so blocks are tried: those that the method has itself, those of a few depths, and those
//! where causal tracing finds the facts; then the numbers that published presets give for other widths.
//! A trial edits one fact, asks for it, for it in other words, and for others of its relation, and is
//! undone; it counts how likely each object is, since a handful of facts tells too little by which of
//! them are said. It also counts what a batch of such edits would leave of all other text. What edits do
//! to one another no single one shows, so the few that do best, of blocks and then of numbers, are tried
//! once more on many facts at once, and that decides.
//!
//! All candidates meet the same facts, so the number of edits is bounded and known beforehand but for
//! what tracing adds, and one seed gives one result, where the time is enough: once that is over no trial
//! is begun, the likeliest candidates come first, and what was left out is counted.

mod candidates;
mod cases;
mod file;
mod sweep;
mod traced;
mod trial;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use retcon_model::Model;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use candidates::n_edits;
pub use file::{path, read, write};
pub use trial::Trial;

use candidates::Start;
use cases::Cases;
use sweep::Sweep;

use crate::ctx::Ctx;
use crate::data::Fact;
use crate::edit::Method;
use crate::error::{Error, Result};
use crate::eval::drift::{as_held, unrelated_prompts};
use crate::eval::held::Held;
use crate::identity::checkpoint_id;
use crate::stats::{About, Once};

/// What was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The method.
    pub method: String,
    /// What was given in the place of its own settings.
    #[serde(default)]
    pub given: Map<String, Value>,
    /// What tells the model apart (see [`checkpoint_id`]).
    pub model: String,
    /// Seed of all random choices.
    pub seed: u64,
    /// The settings that did best, where they are other than the method's own and clearly better: on
    /// facts at once, where any were tried so.
    pub settings: Map<String, Value>,
    /// All that were tried on one fact after the other, the best first.
    pub alone: Vec<Trial>,
    /// The best of these, tried on many facts at once, the best first; none where the time was over, or
    /// the model knows too few.
    pub together: Vec<Trial>,
    /// Facts that the model knew, of those that were asked.
    pub n_known: usize,
    /// The block where restored MLPs bring back most of an answer whose subject was hidden.
    #[serde(deserialize_with = "Option::deserialize")]
    pub traced: Option<usize>,
    /// Trials that were not made, as the time was over.
    #[serde(default)]
    pub n_left_out: usize,
    /// The statistics of keys that the trials were solved with, where the method needs any.
    #[serde(default)]
    pub statistics: Option<About>,
}

/// Facts that each candidate is tried on alone. With three, the better of two blocks was lost to chance.
const N_FACTS: usize = 6;

/// Facts that the best candidates are tried on at once.
const N_AT_ONCE: usize = 30;

/// How many choices of blocks, and then of numbers, are tried on facts at once. Of those for ROME on
/// Gemma 3 270M the second of six single edits was the best of thirty at once, and the first lost a sixth
/// of its edits.
const N_BEST: [usize; 2] = [3, 2];

/// Texts that have nothing to do with the facts.
const N_TEXTS: usize = 16;

/// Facts that the model must know for a choice to mean anything.
const N_FACTS_MIN: usize = 3;

/// Chooses settings of `method`, beside those that are `given`, for `model`, without its deltas, in about
/// as much time as there is: the first candidate is tried in any case, and a trial that was begun ends.
///
/// # Errors
/// [`Error::KnowsTooLittle`] where the model knows too few of the facts that come with the library,
/// [`Error::Canceled`], and what the method reports. A trial that diverges, or solves what can't be
/// solved, is a bad one and no error.
pub fn tune(
    ctx: &Ctx<'_>,
    model: &Model,
    method: &'static Method,
    given: &Map<String, Value>,
    limit: Option<Duration>,
) -> Result<Tuned> {
    let until = limit.map(|limit| Instant::now() + limit);
    let model = &model.base();
    let start = &Start::new(method, given);
    let cases = Cases::of(ctx, model)?;
    if cases.alone.len() < N_FACTS_MIN {
        return Err(Error::KnowsTooLittle { found: cases.n_known, needed: N_FACTS_MIN });
    }
    // What is missing is told before facts are traced.
    if let Some(all) = solved_in(model, start, &candidates::blocks(model, start, None))? {
        ctx.statistics.check(model, &all)?;
    }
    let traced = traced::block(ctx, model, &cases.alone)?;
    let blocks = candidates::blocks(model, start, traced);
    let source = Once::new(ctx.statistics);
    let ctx = &ctx.with_statistics(&source);
    // All in one pass.
    let statistics = match solved_in(model, start, &blocks)? {
        Some(all) => Some(ctx.statistics.statistics(ctx, model, &all)?.about.clone()),
        None => None,
    };
    let fixed = start.fixed(model, ctx.seed)?;
    let facts: Vec<Fact> =
        cases.alone.iter().chain(&cases.together).map(|case| case.fact.clone()).collect();
    let texts = unrelated_prompts(&facts, N_TEXTS, ctx.seed)?;
    let rest = Held::new(model, &as_held(&texts))?;
    let mut sweep = Sweep {
        ctx,
        model,
        start,
        cases: &cases,
        rest: &rest,
        fixed,
        until,
        alone: Vec::new(),
        together: Vec::new(),
        n_left_out: 0,
    };
    let [n_blocks, n_numbers] = N_BEST;
    for settings in blocks {
        sweep.try_alone(settings)?;
    }
    sweep.try_together(0, n_blocks)?;
    let (of_blocks, best) = (sweep.alone.len(), sweep.best().clone());
    for (key, value) in candidates::numbers(model, start) {
        let mut settings = best.clone();
        settings.insert(key, value);
        sweep.try_alone(settings)?;
    }
    sweep.try_together(of_blocks, n_numbers)?;
    let settings = sweep.best().clone();
    let Sweep { mut alone, mut together, n_left_out, .. } = sweep;
    alone.sort_by(Trial::best_first);
    together.sort_by(Trial::best_first);
    Ok(Tuned {
        method: method.name.to_owned(),
        given: given.clone(),
        model: checkpoint_id(model)?,
        seed: ctx.seed,
        settings,
        alone,
        together,
        n_known: cases.n_known,
        traced,
        n_left_out,
        statistics,
    })
}

/// The blocks of all `choices`, where the method needs statistics of them.
fn solved_in(
    model: &Model,
    start: &Start<'_>,
    choices: &[Map<String, Value>],
) -> Result<Option<Vec<usize>>> {
    let Some(own) = start.recipe() else { return Ok(None) };
    if !start.method.needs_statistics(start.given) {
        return Ok(None);
    }
    let mut all = BTreeSet::new();
    for choice in choices {
        all.extend(own.clone().given(start.method.name, choice.clone())?.blocks(model)?);
    }
    Ok(Some(all.into_iter().collect()))
}
