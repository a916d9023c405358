//! Settings for a model that nobody has written any for: a short sweep of trial edits on facts that the
//! model knows.
//!
//! Where a fact can be read best is not where it can be written best (Hase et al. 2023, arXiv
//! 2301.04213), so blocks are tried, from a few depths on; then the numbers that published presets give
//! for other widths. A trial edits one fact, asks for it, for it in other words, and for others of its
//! relation, and is undone. Candidates that do badly are dropped early (successive halving), so the
//! sweep takes a number of edits that is known beforehand, and one seed gives one result.

mod candidates;
mod cases;
mod file;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use retcon_model::{Delta, Model};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use candidates::n_edits;
pub use file::{path, read, write};

use crate::data::Fact;
use crate::edit::lookup::Query;
use crate::edit::scope::Blocks;
use crate::edit::{Ctx, Method, Progress};
use crate::error::{Error, Result};
use crate::eval::accuracy::{said, share};
use crate::eval::metrics::harmonic;
use crate::stats::Once;

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
    /// The settings that did best, where they are other than the method's own.
    pub settings: Map<String, Value>,
    /// All that were tried, the best first.
    pub trials: Vec<Trial>,
    /// Facts that the model knew, of those that were asked.
    pub n_known: usize,
}

/// Some settings, and how well edits with them did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What is other than the method's own settings.
    pub settings: Map<String, Value>,
    /// Edits that were made.
    pub n: usize,
    /// The share whose new object is said.
    pub rewrite: f64,
    /// The share of other wordings in which it is said.
    pub paraphrase: f64,
    /// The share of other facts of the relation that are still said.
    pub locality: f64,
    /// Seconds an edit.
    pub seconds: f64,
}

impl Trial {
    /// The harmonic mean of the three; 0 where one of them is.
    pub fn score(&self) -> f64 {
        harmonic(&[self.rewrite, self.paraphrase, self.locality])
    }
}

/// A fact that the model knows, and what to ask after it was changed.
struct Case {
    fact: Fact,
    edit: Query,
    paraphrases: Vec<Query>,
    neighbors: Vec<Query>,
}

/// A candidate on its way through the rounds.
struct Candidate {
    settings: Map<String, Value>,
    /// For each edit so far: rewrite, paraphrase, locality.
    scores: Vec<[f64; 3]>,
    seconds: f64,
}

/// Facts that all candidates are tried on at first, and that those that are left are tried on then.
const ROUNDS: [usize; 2] = [3, 6];

/// Candidates that are left after the first round.
const LEFT: usize = 2;

/// Chooses settings of `method` for `model`, without its deltas.
///
/// # Errors
/// [`Error::KnowsTooLittle`] where the model knows too few of the facts that come with the library,
/// [`Error::Canceled`], and what the method reports. A trial that diverges is a bad one, no error.
pub fn tune(ctx: &Ctx<'_>, model: &Model, method: &'static Method) -> Result<Tuned> {
    let model = &model.base();
    let (cases, n_known) = cases::cases(model, ROUNDS[1], ctx.seed)?;
    if cases.len() < ROUNDS[0] {
        return Err(Error::KnowsTooLittle { found: n_known, needed: ROUNDS[0] });
    }
    let blocks = candidates::blocks(model, method);
    let statistics = Once::new(ctx.statistics);
    let ctx = &Ctx { statistics: &statistics, ..*ctx };
    get_all(ctx, model, method, &blocks)?;
    let sweep = Sweep { ctx, model, method, cases: &cases };
    let fixed = candidates::fixed(model, method, ctx.seed)?;
    let mut done = 0;
    let mut candidates: Vec<Candidate> = blocks.into_iter().map(Candidate::new).collect();
    for candidate in &mut candidates {
        sweep.run(candidate, &fixed, ROUNDS[0], &mut done)?;
    }
    best_first(&mut candidates);
    for candidate in candidates.iter_mut().take(LEFT) {
        sweep.run(candidate, &fixed, cases.len(), &mut done)?;
    }
    best_first(&mut candidates);
    let mut best = candidates[0].settings.clone();
    let mut top = candidates[0].score();
    for (key, value) in candidates::numbers(model, method) {
        let mut settings = best.clone();
        settings.insert(key, value);
        let mut candidate = Candidate::new(settings);
        sweep.run(&mut candidate, &fixed, cases.len(), &mut done)?;
        if candidate.score() > top {
            top = candidate.score();
            best = candidate.settings.clone();
        }
        candidates.push(candidate);
    }
    best_first(&mut candidates);
    Ok(Tuned {
        method: method.name.to_owned(),
        model: file::fingerprint(model)?,
        seed: ctx.seed,
        settings: best,
        trials: candidates.iter().map(Candidate::trial).collect(),
        n_known,
    })
}

/// Gets the statistics of all blocks that will be tried, in one pass, where the method needs any.
fn get_all(
    ctx: &Ctx<'_>,
    model: &Model,
    method: &Method,
    choices: &[Map<String, Value>],
) -> Result<()> {
    if (method.defaults)().get("metric").is_none_or(|metric| metric == "identity") {
        return Ok(());
    }
    let mut all = BTreeSet::new();
    for choice in choices {
        let blocks: Blocks = choice["blocks"].as_str().unwrap_or_default().parse()?;
        all.extend(blocks.resolve(model.spec().n_blocks)?);
    }
    let all: Vec<usize> = all.into_iter().collect();
    ctx.statistics.statistics(ctx, model, &all).map(|_| ())
}

/// Those that were tried more come first, and of these the better ones.
fn best_first(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| {
        let by_n = b.scores.len().cmp(&a.scores.len());
        by_n.then(b.score().total_cmp(&a.score()))
    });
}

/// What all trials share.
struct Sweep<'a> {
    ctx: &'a Ctx<'a>,
    model: &'a Model,
    method: &'static Method,
    cases: &'a [Case],
}

impl Sweep<'_> {
    /// Tries `candidate` on the first `n` facts, where it hasn't been yet.
    fn run(
        &self,
        candidate: &mut Candidate,
        fixed: &Map<String, Value>,
        n: usize,
        done: &mut usize,
    ) -> Result<()> {
        let mut settings = fixed.clone();
        settings.extend(candidate.settings.clone());
        let editor = (self.method.editor)(settings)?;
        for case in &self.cases[candidate.scores.len()..n.min(self.cases.len())] {
            let total = n_edits(self.model, self.method);
            let stage = "trial edits";
            self.ctx.report(&Progress { stage, done: *done, total, loss: None, said: None })?;
            let quiet = Ctx { progress: &|_| (), ..*self.ctx };
            let clock = Instant::now();
            let made = editor.edit(&quiet, self.model, std::slice::from_ref(&case.fact));
            candidate.seconds += clock.elapsed().as_secs_f64();
            candidate.scores.push(match made {
                Ok(delta) => self.measured(case, delta)?,
                Err(Error::Canceled) => return Err(Error::Canceled),
                Err(error @ (Error::Diverged { .. } | Error::TooLarge { .. })) => {
                    tracing::info!("{:?}: {error}", candidate.settings);
                    [0.0; 3]
                }
                Err(error) => return Err(error),
            });
            *done += 1;
        }
        Ok(())
    }

    fn measured(&self, case: &Case, delta: Delta) -> Result<[f64; 3]> {
        let edited = self.model.with(&Arc::new(delta))?;
        let rewrite = said(&edited, std::slice::from_ref(&case.edit))?;
        Ok([
            share(&rewrite),
            share(&said(&edited, &case.paraphrases)?),
            share(&said(&edited, &case.neighbors)?),
        ])
    }
}

impl Candidate {
    fn new(settings: Map<String, Value>) -> Self {
        Self { settings, scores: Vec::new(), seconds: 0.0 }
    }

    fn score(&self) -> f64 {
        self.trial().score()
    }

    fn trial(&self) -> Trial {
        let n = self.scores.len();
        let mean = |i: usize| self.scores.iter().map(|s| s[i]).sum::<f64>() / n.max(1) as f64;
        Trial {
            settings: self.settings.clone(),
            n,
            rewrite: mean(0),
            paraphrase: mean(1),
            locality: mean(2),
            seconds: self.seconds / n.max(1) as f64,
        }
    }
}
