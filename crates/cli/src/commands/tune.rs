//! `tune`: a sweep of trial edits, kept for the edits that follow.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use retcon::stats::{About, Source};
use retcon::tune::{self, Trial, Tuned, n_edits};
use retcon::{Ctx, Error, Method, Model};
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::cache;
use crate::job::Tune;
use crate::render::{count, pairs, percent, plural, progress, table};
use crate::shell::Shell;
use crate::statistics::state;

/// How long a sweep goes on that nobody asked for.
const MOST: Duration = Duration::from_secs(30 * 60);

/// Chooses settings, or tells what was chosen before.
pub(crate) fn run(shell: &Shell, job: &Tune) -> Result<Outcome> {
    let model = job.model.open(shell, &[])?;
    let nothing = Map::new();
    let path = path(&model, job.method, &nothing)?;
    let kept = if job.again { None } else { tune::read(&path, &model)? };
    let tuned = match kept {
        Some(kept) => kept,
        None => {
            let statistics = job.statistics.source(shell)?;
            sweep(shell, &model, job.method, &nothing, statistics.as_ref(), job.seed, job.limit)?
        }
    };
    shell.say(evidence(&tuned))?;
    if tuned.n_left_out > 0 {
        let n = plural(tuned.n_left_out, "trial");
        shell.note(format!("the time was over before {n} could be made: --again --minutes N"))?;
    }
    let traced = match tuned.traced {
        Some(block) => format!("restored MLPs bring back most around block {block}"),
        None => "restored MLPs bring back nothing".to_owned(),
    };
    let mut lines = vec![
        ("chosen", plain(&tuned.settings)),
        ("facts", format!("{} of those asked are known to the model", tuned.n_known)),
        ("traced", traced),
    ];
    lines.extend(tuned.statistics.as_ref().map(|about| ("statistics", of(about))));
    lines.push(("file", path.display().to_string()));
    shell.say(format!("\n{}", pairs(lines)))?;
    shell.emit(&json!({"tuned": tuned, "file": path}))?;
    Ok(Outcome::Done)
}

/// The settings of a method: those that were given, and where no blocks are, those that a sweep chose.
pub(crate) fn settle(
    shell: &Shell,
    model: &Model,
    method: &'static Method,
    given: &Map<String, Value>,
    statistics: &dyn Source,
) -> Result<Map<String, Value>> {
    if !is_swept(method) || given.contains_key("blocks") {
        return Ok(given.clone());
    }
    // What it is solved with decides whether it can be swept at all, and what does best.
    let mut of_sweep = given.clone();
    of_sweep.retain(|key, _| key == "metric");
    let path = path(model, method, &of_sweep)?;
    let tuned = match tune::read(&path, model)? {
        Some(kept) => kept,
        None => {
            let n = n_edits(model, method, &of_sweep);
            shell.note(format!(
                "choosing blocks and numbers of {} for this model by up to {n} trial edits, once, \
                 within about {} minutes (--no-tune takes them by depth)",
                method.name,
                MOST.as_secs() / 60
            ))?;
            match sweep(shell, model, method, &of_sweep, statistics, 0, Some(MOST)) {
                Ok(tuned) => tuned,
                Err(error) if knows_too_little(&error) => {
                    shell.note(format!("{error}: blocks are taken by depth"))?;
                    return Ok(given.clone());
                }
                Err(error) => return Err(error),
            }
        }
    };
    shell.note(format!("{} is tuned for this model: {}", method.name, plain(&tuned.settings)))?;
    let mut settings = tuned.settings;
    settings.extend(given.clone());
    Ok(settings)
}

/// Whether a method has numbers that don't carry over from one model to another.
fn is_swept(method: &Method) -> bool {
    let defaults = (method.defaults)();
    ["prefixes", "rate"].iter().any(|key| defaults.get(key).is_some())
}

fn knows_too_little(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::KnowsTooLittle { .. }))
}

fn path(model: &Model, method: &Method, given: &Map<String, Value>) -> Result<PathBuf> {
    Ok(tune::path(&cache::folder()?.join("tuned"), model, method.name, given)?)
}

fn sweep(
    shell: &Shell,
    model: &Model,
    method: &'static Method,
    given: &Map<String, Value>,
    statistics: &dyn Source,
    seed: u64,
    limit: Option<Duration>,
) -> Result<Tuned> {
    let bar = progress::steps(shell);
    let report = |p: &_| progress::step(&bar, p);
    let ctx = Ctx { seed, progress: &report, cancel: shell.cancel, statistics };
    let tuned = tune::tune(&ctx, model, method, given, limit);
    bar.finish_and_clear();
    let tuned = tuned?;
    let path = path(model, method, given)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    tune::write(&tuned, &path)?;
    Ok(tuned)
}

/// The trials as tables.
fn evidence(tuned: &Tuned) -> String {
    let alone = format!("one fact at a time\n\n{}", trials(&tuned.alone));
    match tuned.together.first() {
        Some(Trial { at_once, .. }) => {
            format!("{alone}\n\n{at_once} facts at once\n\n{}", trials(&tuned.together))
        }
        None => alone,
    }
}

fn trials(trials: &[Trial]) -> String {
    let mut rows = table([
        "settings",
        "edits",
        "rewrite",
        "paraphrase",
        "locality",
        "rest",
        "score",
        "s/edit",
    ]);
    for trial in trials {
        let Trial { settings, n, rewrite, paraphrase, locality, seconds, .. } = trial;
        rows.add_row([
            plain(settings),
            n.to_string(),
            percent(*rewrite),
            percent(*paraphrase),
            percent(*locality),
            percent(trial.rest()),
            percent(trial.score()),
            format!("{seconds:.1}"),
        ]);
    }
    rows.trim_fmt()
}

/// What statistics are of.
fn of(about: &About) -> String {
    let n_tokens = count(about.n_tokens as usize);
    format!("{}, {n_tokens} tokens: {}", about.corpus, state(about))
}

fn plain(settings: &Map<String, Value>) -> String {
    if settings.is_empty() {
        return "as the method has them".to_owned();
    }
    let pair = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    settings.iter().map(pair).collect::<Vec<_>>().join(" ")
}
