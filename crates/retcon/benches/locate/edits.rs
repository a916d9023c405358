//! Edits, batch by batch.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use retcon::data::Fact;
use retcon::eval::accuracy::scores;
use retcon::stats::{Nothing, Source};
use retcon::tokens::query;
use retcon::{Ctx, Delta, Editor, Model, Progress};
use serde_json::{Value, json};

use super::moments;
use super::request::Request;
use crate::measure::Outcome;

/// Seconds of edits, by stage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stages {
    /// Up to the first look at a value's loss: subjects, factors of second moments, decoding, and
    /// the blocks below the value for the first subjects.
    pub(crate) prepare: f64,
    /// From that look to the beginning of the last one: an editor reports where a look begins.
    pub(crate) search: f64,
    /// The last look, keys, the solve, and the delta.
    pub(crate) rest: f64,
}

impl Stages {
    pub(crate) fn sum(self) -> f64 {
        self.prepare + self.search + self.rest
    }

    fn add(&mut self, other: Self) {
        self.prepare += other.prepare;
        self.search += other.search;
        self.rest += other.rest;
    }
}

/// The edits of `request`, each batch checked after it was made.
pub(crate) fn measure(request: &Request, model: &Model) -> Outcome<Value> {
    let editor = request.editor()?;
    let given = match &request.second_moments {
        Some(path) => Some(moments::read(path, model, &request.blocks)?),
        None => None,
    };
    let statistics: &dyn Source = match &given {
        Some(given) => given,
        None => &Nothing,
    };
    let facts = request.edits.iter().map(|edit| edit.fact()).collect::<Outcome<Vec<_>>>()?;
    let (mut current, mut stages, mut check) = (model.clone(), Stages::default(), 0.0);
    let (mut lines, mut settings) = (Vec::new(), Value::Null);
    for batch in facts.chunks(request.batch(facts.len())) {
        let (delta, took) = edit(editor.as_ref(), statistics, &current, batch)?;
        stages.add(took);
        settings = delta.record.settings.clone();
        let found = values(&delta, batch);
        let clock = Instant::now();
        let edited = current.with(delta)?;
        let taught = taught(&edited, batch)?;
        check += clock.elapsed().as_secs_f64();
        lines.extend(found.into_iter().zip(taught).map(|(mut line, taught)| {
            line["taught"] = taught.into();
            line
        }));
        if request.keeps() {
            current = edited;
        }
    }
    let mut line = json!({
        "prepare_seconds": stages.prepare, "edit_seconds": stages.sum(), "check_seconds": check,
        "stages": { "value_search": stages.search, "keys_and_solve": stages.rest },
        "taught": lines.iter().filter(|line| line["taught"] == true).count(),
        "edits": lines, "settings": settings,
    });
    if request.keeps() {
        let taught = taught(&current, &facts)?;
        line["taught_in_the_end"] = taught.into_iter().filter(|&taught| taught).count().into();
    }
    Ok(line)
}

/// Makes one edit of `facts`.
pub(crate) fn edit(
    editor: &dyn Editor,
    statistics: &dyn Source,
    model: &Model,
    facts: &[Fact],
) -> Outcome<(Delta, Stages)> {
    let reports: Mutex<Vec<Instant>> = Mutex::default();
    let progress = |progress: &Progress| {
        if progress.stage == "searching values" {
            reports.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
    };
    let cancel = AtomicBool::new(false);
    let ctx = Ctx::new(0).with_progress(&progress).with_cancel(&cancel).with_statistics(statistics);
    let began = Instant::now();
    let delta = editor.edit(&ctx, model, facts)?;
    let ended = Instant::now();
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (Some(&first), Some(&last)) = (reports.first(), reports.last()) else {
        return Err("the editor reported no search".into());
    };
    let seconds = |from: Instant, to: Instant| (to - from).as_secs_f64();
    let stages = Stages {
        prepare: seconds(began, first),
        search: seconds(first, last),
        rest: seconds(last, ended),
    };
    Ok((delta, stages))
}

/// What each edit came to, in the other side's words.
fn values(delta: &Delta, facts: &[Fact]) -> Vec<Value> {
    let values = delta.record.scores["values"].as_array().cloned().unwrap_or_default();
    let line = |(i, fact): (usize, &Fact)| {
        let of = |value: &&Value| {
            value["facts"].as_array().is_some_and(|facts| facts.contains(&i.into()))
        };
        let value = values.iter().find(of).cloned().unwrap_or_default();
        json!({
            "subject": fact.subject(), "target_new": fact.target_new,
            "updates": value["steps"], "loss": value["loss"],
        })
    };
    facts.iter().enumerate().map(line).collect()
}

/// Whether each token of the new object leads, fed the object so far.
fn taught(model: &Model, facts: &[Fact]) -> Outcome<Vec<bool>> {
    let mut queries = Vec::new();
    for fact in facts {
        queries.push(query(model, &fact.prompt, &fact.target_new)?);
    }
    Ok(scores(&Ctx::new(0), model, &queries)?.iter().map(|score| score.leads).collect())
}
