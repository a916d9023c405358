//! Settings for a model that nobody has written any for: a short sweep of trial edits on facts that the
//! model knows.
//!
//! Where a fact can be read best is not where it can be written best (Hase et al. 2023, arXiv
//! 2301.04213), so blocks are tried: those that the method has itself, those of a few depths, and those
//! where causal tracing finds the facts; then the numbers that published presets give for other widths.
//! A trial edits one fact, asks for it, for it in other words, and for others of its relation, and is
//! undone; it counts how likely each object is, since a handful of facts tells too little by which of
//! them are said. It also counts what a batch of such edits would leave of all other text: settings that
//! look alike on one fact can be far apart on a hundred. All candidates meet the same facts, so the
//! number of edits is bounded and known beforehand but for what tracing adds, and one seed gives one
//! result, where the time is enough: once that is over no candidate is begun, the likeliest ones come
//! first, and what was left out is counted.

mod candidates;
mod cases;
mod file;
mod traced;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use retcon_model::{Delta, Model};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use candidates::n_edits;
pub use file::{path, read, write};

use crate::data::Fact;
use crate::edit::lookup::Query;
use crate::edit::{Ctx, Method, Progress};
use crate::error::{Error, Result};
use crate::eval::belief::scores;
use crate::eval::drift::{Drift, as_held, unrelated_prompts};
use crate::eval::held::Held;
use crate::eval::metrics::harmonic;
use crate::eval::unbounded;
use crate::interval::mean;
use crate::stats::{About, Once};

/// What was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The method.
    pub method: String,
    /// The model, by the fingerprint of all of its weights that may matter.
    pub model: String,
    /// The seed of everything random.
    pub seed: u64,
    /// The settings that did best, where they are other than the method's own and clearly better.
    pub settings: Map<String, Value>,
    /// All that were tried, the best first.
    pub trials: Vec<Trial>,
    /// Facts that the model knew, of those that were asked.
    pub n_known: usize,
    /// The block where restored MLPs bring back most of an answer whose subject was hidden.
    #[serde(deserialize_with = "Option::deserialize")]
    pub traced: Option<usize>,
    /// Candidates that were not tried, as the time was over.
    #[serde(default)]
    pub n_left_out: usize,
    /// The statistics of keys that the trials were solved with, where the method needs any.
    #[serde(default)]
    pub statistics: Option<About>,
}

/// Some settings, and how well edits with them did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What is other than the method's own settings.
    pub settings: Map<String, Value>,
    /// Edits that were made.
    pub n: usize,
    /// How likely the new object is after the edited prompt: the mean of its probabilities.
    pub rewrite: f64,
    /// The same after other wordings.
    pub paraphrase: f64,
    /// What is left of how likely the old objects of other facts of the relation were, at most all.
    pub locality: f64,
    /// How far texts that have nothing to do with the fact have moved: the mean over their positions of
    /// KL(before ‖ after) of the next token, in nats.
    #[serde(with = "unbounded")]
    pub kl: f64,
    /// Seconds an edit.
    pub seconds: f64,
}

impl Trial {
    /// What a batch of such edits leaves of how likely other texts are: edits of different facts move
    /// them each its own way, so that their divergences add up.
    pub fn rest(&self) -> f64 {
        (-N_IN_BATCH * self.kl).exp()
    }

    /// The harmonic mean of the four; 0 where one of them is.
    pub fn score(&self) -> f64 {
        harmonic(&[self.rewrite, self.paraphrase, self.locality, self.rest()])
    }
}

/// A fact that the model knows, and what to ask after it was changed.
struct Case {
    fact: Fact,
    edit: Query,
    paraphrases: Vec<Query>,
    neighbors: Vec<Query>,
    /// How likely the object of each neighbor is before any edit.
    before: Vec<f64>,
}

/// Facts that each candidate is tried on. With three, the better of two blocks was lost to chance.
const N_FACTS: usize = 6;

/// Edits in the batch that a trial is to speak for.
const N_IN_BATCH: f64 = 100.0;

/// Texts that have nothing to do with the facts.
const N_TEXTS: usize = 16;

/// A later candidate takes the place of the best so far where its score is higher by more than this:
/// less is chance.
const MARGIN: f64 = 0.02;

/// Facts that the model must know for a choice to mean anything.
const N_FACTS_MIN: usize = 3;

/// Chooses settings of `method` for `model`, without its deltas, in about the time that is given: the
/// first candidate is tried in any case, and a trial that was begun ends.
///
/// # Errors
/// [`Error::KnowsTooLittle`] where the model knows too few of the facts that come with the library,
/// [`Error::Canceled`], and what the method reports. A trial that diverges, or solves what can't be
/// solved, is a bad one and no error.
pub fn tune(
    ctx: &Ctx<'_>,
    model: &Model,
    method: &'static Method,
    limit: Option<Duration>,
) -> Result<Tuned> {
    let until = limit.map(|limit| Instant::now() + limit);
    let model = &model.base();
    let (cases, n_known) = cases::cases(model, N_FACTS, ctx.seed)?;
    if cases.len() < N_FACTS_MIN {
        return Err(Error::KnowsTooLittle { found: n_known, needed: N_FACTS_MIN });
    }
    // What is missing is told before facts are traced.
    if let Some(all) = solved_in(model, method, &candidates::blocks(model, method, None))? {
        ctx.statistics.check(model, &all)?;
    }
    let traced = traced::block(ctx, model, &cases)?;
    let blocks = candidates::blocks(model, method, traced);
    let source = Once::new(ctx.statistics);
    let ctx = &Ctx { statistics: &source, ..*ctx };
    // All in one pass.
    let statistics = match solved_in(model, method, &blocks)? {
        Some(all) => Some(ctx.statistics.statistics(ctx, model, &all)?.about.clone()),
        None => None,
    };
    let fixed = candidates::fixed(model, method, ctx.seed)?;
    let facts: Vec<Fact> = cases.iter().map(|case| case.fact.clone()).collect();
    let texts = unrelated_prompts(&facts, N_TEXTS, ctx.seed)?;
    let rest = Held::new(model, &as_held(&texts))?;
    let mut sweep = Sweep {
        ctx,
        model,
        method,
        cases: &cases,
        rest: &rest,
        fixed,
        until,
        trials: Vec::new(),
        best: 0,
        n_left_out: 0,
    };
    for settings in blocks {
        sweep.run(settings)?;
    }
    for (key, value) in candidates::numbers(model, method) {
        let mut settings = sweep.trials[sweep.best].settings.clone();
        settings.insert(key, value);
        sweep.run(settings)?;
    }
    let (mut trials, n_left_out) = (sweep.trials, sweep.n_left_out);
    let settings = trials[sweep.best].settings.clone();
    trials.sort_by(|a, b| b.score().total_cmp(&a.score()));
    Ok(Tuned {
        method: method.name.to_owned(),
        model: file::fingerprint(model)?,
        seed: ctx.seed,
        settings,
        trials,
        n_known,
        traced,
        n_left_out,
        statistics,
    })
}

/// The blocks of all `choices`, where the method needs statistics of them.
fn solved_in(
    model: &Model,
    method: &Method,
    choices: &[Map<String, Value>],
) -> Result<Option<Vec<usize>>> {
    let Some(own) = candidates::recipe(method) else { return Ok(None) };
    if !method.needs_statistics(&Map::new()) {
        return Ok(None);
    }
    let mut all = BTreeSet::new();
    for choice in choices {
        all.extend(own.clone().given(method.name, choice.clone())?.blocks(model)?);
    }
    Ok(Some(all.into_iter().collect()))
}

/// What all trials share, and those that were made.
struct Sweep<'a> {
    ctx: &'a Ctx<'a>,
    model: &'a Model,
    method: &'static Method,
    cases: &'a [Case],
    /// Texts that have nothing to do with them.
    rest: &'a Held,
    fixed: Map<String, Value>,
    /// When the time is over.
    until: Option<Instant>,
    trials: Vec<Trial>,
    /// The index of the one that is best by more than chance.
    best: usize,
    n_left_out: usize,
}

impl Sweep<'_> {
    /// Tries settings on all facts, unless the time is over.
    fn run(&mut self, settings: Map<String, Value>) -> Result<()> {
        if !self.trials.is_empty() && self.until.is_some_and(|until| Instant::now() > until) {
            self.n_left_out += 1;
            return Ok(());
        }
        let mut given = self.fixed.clone();
        given.extend(settings.clone());
        let editor = (self.method.editor)(given)?;
        let n = self.cases.len();
        let total = n_edits(self.model, self.method);
        let mut seconds = 0.0;
        let mut sums = [0.0; 4];
        for (i, case) in self.cases.iter().enumerate() {
            let done = (self.trials.len() * n + i).min(total);
            let stage = "trial edits";
            self.ctx.report(&Progress { stage, done, total, loss: None, said: None })?;
            let quiet = Ctx { progress: &|_| (), ..*self.ctx };
            let clock = Instant::now();
            let made = editor.edit(&quiet, self.model, std::slice::from_ref(&case.fact));
            seconds += clock.elapsed().as_secs_f64();
            match made {
                Ok(delta) => {
                    let scores = self.measured(case, delta)?;
                    sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
                }
                Err(error) if is_of_settings(&error) => {
                    tracing::info!("{settings:?}: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        let [rewrite, paraphrase, locality, kl] = sums.map(|sum| sum / n as f64);
        let seconds = seconds / n as f64;
        let trial = Trial { settings, n, rewrite, paraphrase, locality, kl, seconds };
        let best = self.trials.get(self.best);
        if best.is_some_and(|best| trial.score() > best.score() + MARGIN) {
            self.best = self.trials.len();
        }
        self.trials.push(trial);
        Ok(())
    }

    /// What a trial counts of one edit.
    fn measured(&self, case: &Case, delta: Delta) -> Result<[f64; 4]> {
        let edited = self.model.with(&Arc::new(delta))?;
        let neighbors = likely(&edited, &case.neighbors)?.into_iter().zip(&case.before);
        Ok([
            mean(&likely(&edited, std::slice::from_ref(&case.edit))?),
            mean(&likely(&edited, &case.paraphrases)?),
            mean(&neighbors.map(|(after, before)| (after / before).min(1.0)).collect::<Vec<_>>()),
            Drift::of(&self.rest.moved(self.model, &edited)?).mean_kl,
        ])
    }
}

/// Whether other settings may well do: a trial that ends so is a bad one.
fn is_of_settings(error: &Error) -> bool {
    use Error as E;
    matches!(
        error,
        E::Diverged { .. }
            | E::TooLarge { .. }
            | E::Singular { .. }
            | E::NotFinite { .. }
            | E::Model(retcon_model::Error::NotFinite { .. })
            | E::NoNullSpace { .. }
            | E::NothingReads { .. }
    )
}

/// How likely the object of each query is.
fn likely(model: &Model, queries: &[Query]) -> Result<Vec<f64>> {
    Ok(scores(model, queries)?.iter().map(|score| score.log_prob.exp()).collect())
}
