//! `stats`: the second moments of keys over a text, into the cache.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result};
use retcon::edit::closed_form::recipe::{Recipe, ValueSite};
use retcon::model::Model;
use retcon::stats::{Kept, Source, Statistics, write};
use retcon::{Ctx, Progress, stats};
use serde_json::{Value, json};

use super::Outcome;
use crate::job::Stats;
use crate::render::{pairs, progress, table};
use crate::shell::Shell;
use crate::statistics;

/// Computes what is not there yet, and tells what there is.
pub(crate) fn run(shell: &Shell, job: &Stats) -> Result<Outcome> {
    let model = job.model.open(shell, &[])?;
    if !job.merge.is_empty() {
        return merge(shell, job, &model);
    }
    let kept = job.text.kept()?;
    let blocks = match &job.blocks {
        Some(blocks) => blocks.resolve(model.spec().n_blocks)?,
        None => usual(&model)?,
    };
    let start = Instant::now();
    let (found, before) = match kept.find(&model, &blocks)? {
        Some(found) => (found.into(), None),
        None => {
            for note in statistics::before(&model, &kept, &blocks, job.text.is_own())? {
                shell.note(note)?;
            }
            let (found, before) = compute(shell, &model, &kept, &blocks)?;
            (found, Some(before))
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    if let Some(out) = &job.out {
        write(&found, out)?;
    }
    let path = job.out.clone().unwrap_or(kept.path(&model)?);
    let time = match before {
        None => "from the cache".to_owned(),
        Some(before) => {
            let speed = (found.about.n_tokens - before) as f64 / seconds;
            let resumed = match before {
                0 => String::new(),
                _ => format!(", after {before} tokens of an earlier run"),
            };
            format!("{seconds:.1} s, {speed:.0} tokens a second{resumed}")
        }
    };
    show(shell, &found, &path, seconds, Some(time))
}

/// Adds up files of one model.
fn merge(shell: &Shell, job: &Stats, model: &Model) -> Result<Outcome> {
    let start = Instant::now();
    let mut all: Option<Statistics> = None;
    for path in &job.merge {
        let part = stats::read(path)?;
        part.check_is_of(model, path)?;
        all = Some(match all {
            None => part,
            Some(all) => {
                all.merge(&part).with_context(|| format!("cannot add {}", path.display()))?
            }
        });
    }
    let (Some(all), Some(out)) = (all, &job.out) else { unreachable!("both are required") };
    write(&all, out)?;
    show(shell, &all, out, start.elapsed().as_secs_f64(), None)
}

/// Tells what statistics are of, and where they are.
fn show(
    shell: &Shell,
    found: &Statistics,
    path: &Path,
    seconds: f64,
    time: Option<String>,
) -> Result<Outcome> {
    let path = path.display().to_string();
    let about = &found.about;
    shell.say(blocks_table(found))?;
    let mut lines = vec![
        ("text", about.corpus.clone()),
        ("tokens", about.n_tokens.to_string()),
        ("estimate", statistics::state(about).to_owned()),
    ];
    lines.extend(time.map(|time| ("time", time)));
    lines.push(("file", path.clone()));
    shell.say(format!("\n{}", pairs(lines)))?;
    shell.emit(&to_json(found, &path, seconds))?;
    Ok(Outcome::Done)
}

/// The statistics, and how many of their tokens an earlier run that was interrupted had done.
fn compute(
    shell: &Shell,
    model: &Model,
    kept: &Kept,
    blocks: &[usize],
) -> Result<(Arc<Statistics>, u64)> {
    let before = OnceLock::new();
    let note = |progress: &Progress| {
        before.get_or_init(|| progress.done as u64);
    };
    let ctx = Ctx::new(0).with_progress(&note);
    let found = progress::watched(shell, ctx, |ctx| kept.statistics(ctx, model, blocks))?;
    let before = before.into_inner().unwrap_or(found.about.n_tokens);
    Ok((found, before))
}

/// The blocks that ROME and MEMIT choose by depth.
fn usual(model: &Model) -> Result<Vec<usize>> {
    let rome = Recipe { site: ValueSite::Mlp, ..Recipe::memit() };
    let blocks: BTreeSet<usize> =
        [rome.blocks(model)?, Recipe::memit().blocks(model)?].into_iter().flatten().collect();
    Ok(blocks.into_iter().collect())
}

fn blocks_table(found: &Statistics) -> String {
    let mut rows = table(["block", "tokens", "surprise"]);
    for (block, moment) in &found.moments {
        let surprise = found.about.surprise.get(block);
        let surprise = surprise.map_or("-".to_owned(), |surprise| format!("{surprise:.3}"));
        rows.add_row([block.to_string(), moment.n_rows().to_string(), surprise]);
    }
    rows.trim_fmt()
}

fn to_json(found: &Statistics, path: &str, seconds: f64) -> Value {
    json!({
        "about": found.about,
        "blocks": found.moments.keys().collect::<Vec<_>>(),
        "file": path,
        "seconds": seconds,
    })
}
