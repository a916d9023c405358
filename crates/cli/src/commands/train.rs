//! `train`: a model memorizes facts, and goes on where it was interrupted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use retcon::edit::scope::Scope;
use retcon::eval::accuracy::{said, share};
use retcon::experiment::{Material, Use};
use retcon::identity::{model_id, texts_id};
use retcon::model::Container;
use retcon::model::delta::merge::merge;
use retcon::train::{Stream, Trainer};
use retcon::{Ctx, Delta, Model, Update};
use serde_json::json;

use super::Outcome;
use super::merge::is_of_its_kind;
use crate::failure::advised;
use crate::job::Train;
use crate::render::{pairs, percent, plural, progress};
use crate::shell::Shell;

/// Trains, measures and writes the model. The state is kept beside it until that is done.
pub(crate) fn run(shell: &Shell, job: &Train) -> Result<Outcome> {
    let clock = Instant::now();
    let model = job.model.open(shell, &[])?;
    if !is_delta(job) {
        is_of_its_kind(&job.out, &model)?;
    }
    let start = if job.random { model.redrawn(job.seed)? } else { model.clone() };
    let material = Material::read(&job.facts, &model, job.seed)?;
    let set = &material.set;
    let object = |fact: usize| set.triples[fact].object.clone();
    let texts = material.trained(|fact| Some(object(fact)))?;
    let [asked, reworded] = [Use::Measure, Use::Reworded].map(|purpose| {
        let of_fact = |fact| material.texts(fact, &object(fact), purpose);
        let texts = (0..set.triples.len()).map(of_fact).collect::<retcon::Result<Vec<_>>>();
        texts.map(|texts| texts.concat())
    });
    let (asked, reworded) = (asked?, reworded?);
    let (n_facts, n_texts) = (set.triples.len(), texts.len());
    shell.note(format!("{} in {}", plural(n_facts, "fact"), plural(n_texts, "text")))?;

    // A model that is drawn anew is drawn, and so trained, as a whole.
    let ids = if job.random { Scope::all().weights(&model)? } else { job.scope.weights(&model)? };
    let can_be_added = model.source().checkpoint.container == Container::HuggingFace;
    if !is_delta(job)
        && !can_be_added
        && let Some(id) = ids.iter().find(|&&id| model.source().place(id).is_none())
    {
        // Found before the training rather than after it.
        let what = format!("{} has no tensor for {id}, which is drawn and trained", job.model);
        bail!(advised(what, "write a delta instead: an --out that ends in .safetensors"));
    }
    // What is trained and on what, not the names that they go by: what these lead to may change.
    let run = json!({
        "model": model_id(&start)?, "texts": texts_id(&texts), "course": job.course,
        "scope": job.scope, "seed": job.seed,
    });
    let stream = Stream::of(0..texts.len(), job.course.batch, job.seed);
    let mut trainer = Trainer::new(&start, ids, texts, stream, job.course.clone())?;
    let asked_of = |model: &Model, queries| {
        progress::watched(shell, Ctx::new(job.seed), |ctx| said(ctx, model, queries))
    };
    let before = share(&asked_of(&start, &asked)?);
    let state = state_file(job);
    let trained = progress::watched(shell, Ctx::new(job.seed), |ctx| {
        trainer.finish(ctx, Some((&state, &run.to_string())))
    });
    trained.with_context(|| {
        format!("the state, if any, is kept in {}; the same command goes on", state.display())
    })?;

    write(job, &model, &trainer)?;
    // What it was for is written.
    let _ = std::fs::remove_file(&state);
    let after = trainer.model_now()?;
    let asked_in_the_end = |queries| {
        let written = || format!("{} is written, but not asked", job.out.display());
        asked_of(&after, queries).with_context(written)
    };
    let said_after = asked_in_the_end(&asked)?;
    let reworded = share(&asked_in_the_end(&reworded)?);
    let seconds = clock.elapsed().as_secs_f64();
    shell.say(pairs(vec![
        ("facts said before", percent(before)),
        ("facts said now", percent(share(&said_after))),
        ("in other words", percent(reworded)),
        ("time", format!("{seconds:.1} s")),
        ("written", job.out.display().to_string()),
    ]))?;
    shell.emit(&json!({
        "n_facts": n_facts, "n_texts": n_texts, "said_before": before,
        "said": share(&said_after), "said_reworded": reworded, "seconds": seconds,
        "out": job.out,
    }))?;
    Ok(Outcome::Done)
}

/// Where the state is kept while the result is not there yet.
fn state_file(job: &Train) -> PathBuf {
    let mut name = job.out.file_name().map(OsStr::to_os_string).unwrap_or_default();
    name.push(".training");
    job.out.with_file_name(name)
}

/// Whether the result is a delta, not a checkpoint.
fn is_delta(job: &Train) -> bool {
    job.out.extension().is_some_and(|end| end == "safetensors")
}

/// Writes what was trained as a delta, or as a checkpoint that has it in it.
fn write(job: &Train, model: &Model, trainer: &Trainer<'_>) -> Result<()> {
    let mut updates = BTreeMap::new();
    for (id, now) in trainer.weights_now()? {
        let base = model.weight(id)?.to_tensor(model.device())?;
        updates.insert(id, Update::Dense((now - base)?));
    }
    let record = retcon::model::Record {
        method: "train".to_owned(),
        settings: json!({ "course": job.course, "scope": job.scope }),
        seed: job.seed,
        ..Default::default()
    };
    let delta = Delta::new(model, updates, record)?;
    if is_delta(job) {
        return Ok(delta.save(&job.out)?);
    }
    merge(&model.with(delta)?, &job.out)?;
    Ok(())
}
