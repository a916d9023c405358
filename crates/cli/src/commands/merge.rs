//! `merge`: a model with its deltas as a checkpoint of its own, and the proof that it says so too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use retcon::Model;
use retcon::data::Fact;
use retcon::edit::facts_of;
use retcon::eval::report::already_said;
use retcon::model::delta::merge::{Rounding, merge};
use serde_json::json;

use super::Outcome;
use crate::failure::{advised, usage};
use crate::job::Merge;
use crate::render::{bad, good, percent, plural, progress, right, table};
use crate::shell::Shell;

/// Writes the checkpoint, opens it, and asks it about the facts of the deltas.
pub(crate) fn run(shell: &Shell, job: &Merge) -> Result<Outcome> {
    let model = job.model.open(shell, &job.deltas)?;
    if model.deltas().is_empty() {
        bail!(usage(format!(
            "there is nothing to merge: {} has no deltas, and none are given",
            job.model
        )));
    }
    if job.out.symlink_metadata().is_ok() {
        let what = format!("{} exists already", job.out.display());
        bail!(advised(what, "choose another --out, or remove what is there"));
    }
    is_of_its_kind(&job.out, &model)?;
    let facts = holding(&model);
    let held = already_said(&model, &facts)?;
    shell.check()?;
    let spinner = progress::spinner(shell, "merging");
    let roundings = merge(&model, &job.out);
    spinner.finish_and_clear();
    let roundings = roundings?;
    let merged = Model::open(&job.out, &shell.options)?;
    let holds = already_said(&merged, &facts)?;
    let lost: Vec<_> = held.iter().filter(|i| !holds.contains(i)).map(|&i| &facts[i]).collect();

    let keep = lost.is_empty() || job.keep_failed;
    if !keep {
        drop(merged);
        remove(&job.out)?;
    }
    shell.say(rows(&roundings))?;
    let told = format!("{} of {} edited prompts get the new answer", holds.len(), facts.len());
    shell.say(match lost.is_empty() {
        true => format!("\n{} {told}, as before merging", good().apply_to("ok:")),
        false => format!("\n{} {told}; lost by rounding:", bad().apply_to("the edit failed:")),
    })?;
    for fact in &lost {
        shell.say(format!("  {} => {}", fact.prompt.marked(), fact.target_new))?;
    }
    let (out, deltas) = (job.out.display(), plural(model.deltas().len(), "delta"));
    shell.say(match keep {
        true => format!("{out} has the model with {deltas} in it"),
        false => "nothing was written (--keep-failed writes it nevertheless)".to_owned(),
    })?;
    if !lost.is_empty() {
        shell.note(
            "keep the deltas beside the model (retcon apply), \
             or edit and merge a checkpoint of higher precision",
        )?;
    }
    shell.emit(&json!({
        "model": job.model.to_string(),
        "out": keep.then_some(&job.out),
        "tensors": roundings,
        "n_facts": facts.len(),
        "n_held_before": held.len(),
        "n_held": holds.len(),
        "success": lost.is_empty(),
    }))?;
    Ok(if lost.is_empty() { Outcome::Done } else { Outcome::EditFailed })
}

/// Whether a checkpoint of `model` can be found again at `out`: a file by its ending, or a folder.
pub(crate) fn is_of_its_kind(out: &Path, model: &Model) -> Result<()> {
    let names_file = out.extension().is_some_and(|end| end == "gguf");
    let (what, instead) = match (model.source().checkpoint.is_folder(), names_file) {
        (false, false) => ("a GGUF file", "a name that ends in .gguf"),
        (true, true) => ("a folder", "a name that does not end in .gguf"),
        _ => return Ok(()),
    };
    let what = format!("--out: a checkpoint of this model is {what}, found: {}", out.display());
    Err(advised(what, format!("give --out {instead}")))
}

/// Takes away what was just written.
fn remove(out: &Path) -> Result<()> {
    let removed = if out.is_dir() { fs::remove_dir_all(out) } else { fs::remove_file(out) };
    removed.with_context(|| format!("cannot remove {}", out.display()))
}

/// The facts of all deltas; of those with the same prompt the last, which is the one that holds.
fn holding(model: &Model) -> Vec<Fact> {
    let mut all: Vec<Fact> = Vec::new();
    for fact in model.deltas().iter().flat_map(|delta| facts_of(delta)) {
        all.retain(|earlier| earlier.prompt.text() != fact.prompt.text());
        all.push(fact);
    }
    all
}

fn rows(roundings: &[Rounding]) -> String {
    let mut table = table(["tensor", "format", "error of rounding, relative to the change"]);
    for rounding in roundings {
        let error = percent(rounding.error);
        table.add_row([&rounding.tensor, &rounding.format, &error]);
    }
    right(&mut table, &[2]);
    table.trim_fmt()
}
