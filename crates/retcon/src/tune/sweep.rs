//! Trials: settings that are tried on one fact after the other, and the few that do best on many at once.

use std::time::Instant;

use retcon_model::{Delta, Model};
use serde_json::{Map, Value};

use super::Trial;
use super::candidates::{Start, of_start};
use super::cases::{Case, Cases, likely};
use crate::ctx::{Ctx, Progress};
use crate::data::Fact;
use crate::error::{Fault, Result};
use crate::eval::drift::Drift;
use crate::eval::held::Held;
use crate::interval::mean;

/// What all trials share, and those that were made.
pub(super) struct Sweep<'a> {
    pub(super) ctx: &'a Ctx<'a>,
    pub(super) model: &'a Model,
    pub(super) start: &'a Start<'a>,
    pub(super) cases: &'a Cases,
    /// Texts that have nothing to do with the facts.
    pub(super) rest: &'a Held,
    /// Settings that belong to every trial.
    pub(super) fixed: Map<String, Value>,
    /// When the time is over.
    pub(super) until: Option<Instant>,
    /// Trials of one fact at a time.
    pub(super) alone: Vec<Trial>,
    /// Trials of all facts at once.
    pub(super) together: Vec<Trial>,
    /// Trials that were not made, as the time was over.
    pub(super) n_left_out: usize,
}

impl Sweep<'_> {
    /// Tries settings on one fact after the other, unless the time is over.
    pub(super) fn try_alone(&mut self, settings: Map<String, Value>) -> Result<()> {
        if !self.alone.is_empty() && self.is_over() {
            self.n_left_out += 1;
            return Ok(());
        }
        let trial = self.trial(settings, &self.cases.alone, 1)?;
        self.alone.push(trial);
        Ok(())
    }

    /// Tries the best `n` of the settings that were tried alone since the first `since`, the best first,
    /// on all facts at once, unless the time is over.
    pub(super) fn try_together(&mut self, since: usize, n: usize) -> Result<()> {
        let facts = &self.cases.together;
        if facts.len() < 2 {
            return Ok(());
        }
        let mut tried: Vec<&Trial> =
            self.alone[since..].iter().filter(|trial| trial.score() > 0.0).collect();
        tried.sort_by(|a, b| a.best_first(b));
        let best: Vec<_> = tried.into_iter().take(n).map(|trial| trial.settings.clone()).collect();
        for settings in best {
            if self.is_over() {
                self.n_left_out += 1;
                continue;
            }
            let trial = self.trial(settings, facts, facts.len())?;
            self.together.push(trial);
        }
        Ok(())
    }

    /// The settings that did best so far.
    pub(super) fn best(&self) -> &Map<String, Value> {
        &Trial::best(&self.alone, &self.together).settings
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() > until)
    }

    /// What comes of settings where `at_once` facts are edited at a time.
    fn trial(&self, settings: Map<String, Value>, cases: &[Case], at_once: usize) -> Result<Trial> {
        let mut given = self.fixed.clone();
        given.extend(settings.clone());
        let editor = self.start.method.editor(given)?;
        let total = of_start(self.model, self.start);
        let before: usize = self.alone.iter().chain(&self.together).map(|trial| trial.n).sum();
        let mut seconds = 0.0;
        let mut sums = [0.0; 4];
        for (i, batch) in cases.chunks(at_once).enumerate() {
            let done = (before + i * at_once).min(total);
            let stage = "trial edits";
            self.ctx.report(&Progress::new(stage, done, total))?;
            let quiet = self.ctx.quiet();
            let facts: Vec<Fact> = batch.iter().map(|case| case.fact.clone()).collect();
            let clock = Instant::now();
            let made = editor.edit(&quiet, self.model, &facts);
            seconds += clock.elapsed().as_secs_f64();
            match made {
                Ok(delta) => {
                    let scores = self.measured(batch, delta)?;
                    sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
                }
                // A bad trial.
                Err(error) if error.fault() == Fault::Numbers => {
                    tracing::info!("{settings:?}: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        let n = cases.len();
        let n_batches = cases.chunks(at_once).len() as f64;
        let [rewrite, paraphrase, locality, kl] = sums.map(|sum| sum / n_batches);
        let seconds = seconds / n as f64;
        Ok(Trial { settings, n, at_once, rewrite, paraphrase, locality, kl, seconds })
    }

    /// What a trial counts of the edits of one batch, as means over its facts.
    fn measured(&self, batch: &[Case], delta: Delta) -> Result<[f64; 4]> {
        let edited = self.model.with(delta)?;
        let mut of_facts = [const { Vec::new() }; 3];
        for case in batch {
            let neighbors =
                likely(self.ctx, &edited, &case.neighbors)?.into_iter().zip(&case.before);
            let kept: Vec<_> = neighbors.map(|(after, before)| (after / before).min(1.0)).collect();
            of_facts[0].push(mean(&likely(self.ctx, &edited, std::slice::from_ref(&case.edit))?));
            of_facts[1].push(mean(&likely(self.ctx, &edited, &case.paraphrases)?));
            of_facts[2].push(mean(&kept));
        }
        let [rewrite, paraphrase, locality] = of_facts.map(|of| mean(&of));
        let kl = Drift::of(&self.rest.moved(self.model, &edited)?).mean_kl;
        Ok([rewrite, paraphrase, locality, kl])
    }
}
