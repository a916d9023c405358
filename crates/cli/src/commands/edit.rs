//! `edit`: facts become a delta, which is measured before it is written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use retcon::bound::{Trial, within};
use retcon::data::Fact;
use retcon::data::case::Axis;
use retcon::eval::questions::{AXES, Counts};
use retcon::eval::report::already_said;
use retcon::stats::Source;
use retcon::{Ctx, Delta, Editor, Model, Report, compare};
use serde_json::{Map, Value, json};

use super::{Outcome, tune};
use crate::job::Edit;
use crate::render::{bad, bold, bytes, good, pairs, percent, plural, progress, report};
use crate::shell::Shell;

/// A delta, and what it does.
pub(crate) struct Made {
    pub(crate) delta: Arc<Delta>,
    pub(crate) report: Report,
    pub(crate) seconds: f64,
}

/// Makes the delta, measures it, prints what was measured and writes what succeeded.
pub(crate) fn run(shell: &Shell, job: &Edit) -> Result<Outcome> {
    let model = job.model.open(shell, &job.deltas)?;
    let said = already_said(&model, &job.facts)?;
    let (skipped, facts): (Vec<_>, Vec<_>) =
        job.facts.iter().enumerate().partition(|(i, _)| said.contains(i));
    let [skipped, facts] =
        [skipped, facts].map(|of| of.into_iter().map(|(_, f)| f.clone()).collect::<Vec<_>>());
    for fact in &skipped {
        shell.say(format!("skipped, the model says so already: {}", line(fact)))?;
    }
    if facts.is_empty() {
        shell.say("there is nothing to edit; nothing was written")?;
        shell.emit(&nothing(job, &skipped))?;
        return Ok(Outcome::Done);
    }
    let statistics = job.statistics.source(shell)?;
    let settings = match job.may_tune {
        true => tune::settle(shell, &model, job.method, &job.given, statistics.as_ref())?,
        false => job.given.clone(),
    };
    let made = timed(shell, statistics.as_ref(), job.seed, |ctx| match job.max_drift {
        Some(bound) => bounded(shell, ctx, &model, job, &settings, &facts, bound),
        None => Ok(job.method.editor(settings)?.edit(ctx, &model, &facts)?),
    });
    let made = measured(shell, &model, &facts, made, job.seed)?;
    shell.check()?;
    let keep = made.report.success || job.keep_failed;
    if keep {
        made.delta.save(&job.out)?;
    }
    shell.say(report::rows(&made.report))?;
    let mut summary = made.summary()?;
    summary.extend(reach(&model, &made.delta).map(|reach| ("reach", reach)));
    shell.say(format!("\n{}", pairs(summary)))?;
    shell.say(format!("\n{}", verdict(job, &made, keep)?))?;
    if keep {
        shell.note(next(job))?;
    }
    shell.emit(&to_json(job, &skipped, &made, keep)?)?;
    Ok(if made.report.success { Outcome::Done } else { Outcome::EditFailed })
}

/// Lets `editor` make a delta, and measures it.
pub(crate) fn make(
    shell: &Shell,
    model: &Model,
    facts: &[Fact],
    editor: &dyn Editor,
    statistics: &dyn Source,
    seed: u64,
) -> Result<Made> {
    let made = timed(shell, statistics, seed, |ctx| Ok(editor.edit(ctx, model, facts)?));
    measured(shell, model, facts, made, seed)
}

/// What `work` makes, with a bar that tells how far it is, and the seconds that it takes.
fn timed(
    shell: &Shell,
    statistics: &dyn Source,
    seed: u64,
    work: impl FnOnce(&Ctx<'_>) -> Result<Delta>,
) -> Result<(Delta, f64)> {
    let start = Instant::now();
    let delta = progress::watched(shell, Ctx::new(seed).with_statistics(statistics), work);
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!("edited in {seconds:.1} s");
    Ok((delta?, seconds))
}

/// The largest change within a bound on the drift, and what was tried for it.
fn bounded(
    shell: &Shell,
    ctx: &Ctx<'_>,
    model: &Model,
    job: &Edit,
    settings: &Map<String, Value>,
    facts: &[Fact],
    bound: f64,
) -> Result<Delta> {
    let bounded = within(ctx, model, job.method, settings, facts, bound)?;
    for Trial { share, drift } in &bounded.trials {
        let share = percent(*share);
        shell.note(format!("{share} of the change: drift {:.2e} nats", drift.mean_kl))?;
    }
    Ok(bounded.delta)
}

/// A delta with what it does.
fn measured(
    shell: &Shell,
    model: &Model,
    facts: &[Fact],
    made: Result<(Delta, f64)>,
    seed: u64,
) -> Result<Made> {
    let (mut delta, seconds) = made?;
    if delta.updates.is_empty() {
        bail!("the method changed nothing");
    }
    shell.check()?;
    let spinner = progress::spinner(shell, "measuring");
    let after = model.with(delta.clone())?;
    let report = compare(model, &after, facts, Counts::default(), seed);
    spinner.finish_and_clear();
    let report = report?;
    note_scores(&mut delta, &report);
    Ok(Made { delta: Arc::new(delta), report, seconds })
}

/// Adds what was measured to the record of `delta`, beside what its method noted there.
fn note_scores(delta: &mut Delta, report: &Report) {
    if !delta.record.scores.is_object() {
        delta.record.scores = json!({});
    }
    let scores = &mut delta.record.scores;
    scores["success"] = report.success.into();
    for axis in AXES {
        let (ok, n) = report.tally(axis);
        scores[axis.name()] = json!({"ok": ok, "of": n});
    }
    scores["drift"] = json!(report.drift);
}

impl Made {
    /// What was measured, line by line.
    pub(crate) fn summary(&self) -> Result<Vec<(&'static str, String)>> {
        let mut lines = report::summary(&self.report);
        lines.push(("delta", size(&self.delta)?));
        lines.push(("time", format!("{:.1} s to edit", self.seconds)));
        Ok(lines)
    }
}

/// In how many blocks the changed weights run, where that is more than there are of them.
fn reach(model: &Model, delta: &Delta) -> Option<String> {
    let stored: BTreeSet<_> = delta.updates.keys().filter_map(|id| id.block).collect();
    let n_runs = stored.iter().flat_map(|&block| model.spec().runs_of(block)).count();
    (n_runs > stored.len())
        .then(|| format!("{n_runs} blocks run with the changed weights of {}", stored.len()))
}

/// How big a delta is, in words.
pub(crate) fn size(delta: &Delta) -> Result<String> {
    let shapes: Vec<_> = delta.updates.values().map(|update| update.rank()).collect();
    let n_dense = shapes.iter().filter(|rank| rank.is_none()).count();
    let form = match shapes.iter().flatten().max() {
        None => "dense".to_owned(),
        Some(rank) if n_dense == 0 => format!("rank {rank}"),
        Some(rank) => format!("{n_dense} of them dense, the others up to rank {rank}"),
    };
    Ok(format!(
        "{}, {form}, {}, norm {:.4}",
        plural(shapes.len(), "weight"),
        bytes(n_bytes(delta)),
        delta.norm()?
    ))
}

/// The bytes of a delta's numbers.
pub(crate) fn n_bytes(delta: &Delta) -> u64 {
    4 * delta.n_numbers() as u64
}

fn verdict(job: &Edit, made: &Made, written: bool) -> Result<String> {
    let out = job.out.display();
    let id = made.delta.id()?;
    if made.report.success {
        return Ok(format!("{} delta {} is in {out}", good().apply_to("ok:"), bold().apply_to(id)));
    }
    let (ok, n) = made.report.tally(Axis::Rewrite);
    let failed = bad().apply_to("the edit failed:");
    let file = match written {
        true => format!("delta {id} is in {out} nevertheless"),
        false => "nothing was written (--keep-failed writes it nevertheless)".to_owned(),
    };
    let scores = &made.delta.record.scores;
    let held = scores.get("held_back_to").and_then(Value::as_f64).zip(job.max_drift);
    let held = held.map_or(String::new(), |(share, bound)| {
        format!(", held back to {} of the change by --max-drift {bound}", percent(share))
    });
    Ok(format!("{failed} {} of {n} edited prompts do not get the new answer{held}; {file}", n - ok))
}

fn next(job: &Edit) -> String {
    let (model, out) = (&job.model, job.out.display());
    let deltas = job.deltas.iter().map(|delta| format!("{} ", delta.display()));
    let deltas: String = deltas.collect();
    format!("use it: retcon apply {model} {deltas}{out}")
}

fn line(fact: &Fact) -> String {
    format!("{} => {}", fact.prompt.marked(), fact.target_new)
}

fn nothing(job: &Edit, skipped: &[Fact]) -> Value {
    json!({
        "model": job.model.to_string(),
        "method": job.method.name,
        "settings": null,
        "seed": job.seed,
        "success": true,
        "skipped": skipped.iter().map(line).collect::<Vec<_>>(),
        "report": null,
        "delta": null,
        "seconds": null,
    })
}

fn to_json(job: &Edit, skipped: &[Fact], made: &Made, written: bool) -> Result<Value> {
    Ok(json!({
        "model": job.model.to_string(),
        "method": job.method.name,
        "settings": made.delta.record.settings,
        "seed": job.seed,
        "success": made.report.success,
        "skipped": skipped.iter().map(line).collect::<Vec<_>>(),
        "report": made.report,
        "delta": delta_json(&made.delta, written.then(|| job.out.display().to_string()))?,
        "seconds": made.seconds,
    }))
}

/// A delta without its numbers.
pub(crate) fn delta_json(delta: &Delta, file: Option<String>) -> Result<Value> {
    let update = |(id, update): (&retcon::model::WeightId, &retcon::model::Update)| -> Result<_> {
        Ok(json!({
            "weight": id,
            "shape": update.shape(),
            "rank": update.rank(),
            "norm": update.norm()?,
        }))
    };
    Ok(json!({
        "id": delta.id()?,
        "file": file,
        "norm": delta.norm()?,
        "n_numbers": delta.n_numbers(),
        "bytes": n_bytes(delta),
        "updates": delta.updates.iter().map(update).collect::<Result<Vec<_>>>()?,
    }))
}
