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

/// What columns of the tables are.
const LEGEND: &str = "\
locality: what is left of how likely answers about other subjects are
rest: what would be left of how likely any other text is, after a hundred such edits
score: the harmonic mean of rewrite, paraphrase, locality and rest";

/// How long a sweep goes on that nobody asked for.
const MOST: Duration = Duration::from_secs(30 * 60);

/// Chooses settings, or tells what was chosen before.
pub(crate) fn run(shell: &Shell, job: &Tune) -> Result<Outcome> {
    let model = job.model.open(shell, &[])?;
    let nothing = Map::new();
    let path = path(&model, job.method, &nothing)?;
    let kept = if job.again { None } else { tune::read(&path, &model)? };
    let tuned = match kept {
        Some(kept) => {
            let others = differences(&kept, job)?;
            if !others.is_empty() {
                let others = others.join(" and ");
                shell.note(format!("this choice is kept, of {others}: --again makes it anew"))?;
            }
            kept
        }
        None => {
            let statistics = job.statistics.source(shell)?;
            sweep(shell, &model, job.method, &nothing, statistics.as_ref(), job.seed, job.limit)?
        }
    };
    shell.say(evidence(&tuned))?;
    if let Some(cut_short) = cut_short(&tuned) {
        shell.note(format!("{cut_short}: --again makes all, or --again --minutes N more"))?;
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

/// In what a choice that is kept is other than the one that is asked for.
fn differences(kept: &Tuned, job: &Tune) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    if kept.seed != job.seed {
        differences.push(format!("seed {}", kept.seed));
    }
    if let Some(about) = &kept.statistics
        && !job.statistics.are(about)?
    {
        differences.push(format!("statistics of {}", about.corpus));
    }
    Ok(differences)
}

/// How much of a sweep there was no time for, if any.
fn cut_short(tuned: &Tuned) -> Option<String> {
    let n = Some(tuned.n_left_out).filter(|&n| n > 0)?;
    Some(format!("the time was over before {} could be made", plural(n, "trial")))
}

/// The settings of a method: those that were given, and where no blocks are, those that a sweep chose.
/// A method that does without one is not swept by itself, and takes what `retcon tune` chose.
pub(crate) fn settle(
    shell: &Shell,
    model: &Model,
    method: &'static Method,
    given: &Map<String, Value>,
    statistics: &dyn Source,
) -> Result<Map<String, Value>> {
    if given.contains_key("blocks") || !(method.swept || is_kept_of_some_model(method)) {
        return Ok(given.clone());
    }
    // What it is solved with decides whether it can be swept at all, and what does best.
    let mut of_sweep = given.clone();
    of_sweep.retain(|key, _| key == "metric");
    let path = path(model, method, &of_sweep)?;
    let tuned = match tune::read(&path, model)? {
        Some(kept) => kept,
        None if !method.swept => return Ok(given.clone()),
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
    let (name, chosen) = (method.name, plain(&tuned.settings));
    shell.note(format!("{name} is tuned for this model: {chosen}"))?;
    if let Some(cut_short) = cut_short(&tuned) {
        shell
            .note(format!("{cut_short}: `retcon tune MODEL --method {name} --again` makes all"))?;
    }
    let mut settings = tuned.settings;
    settings.extend(given.clone());
    Ok(settings)
}

/// Whether there is a choice at all. What tells models apart is found by reading a good part of one, and
/// most have none.
fn is_kept_of_some_model(method: &Method) -> bool {
    let Ok(folder) = folder() else { return false };
    let beginning = format!("{}-", method.name);
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.any(|file| file.file_name().to_string_lossy().starts_with(&beginning))
}

fn knows_too_little(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::KnowsTooLittle { .. }))
}

fn path(model: &Model, method: &Method, given: &Map<String, Value>) -> Result<PathBuf> {
    Ok(tune::path(&folder()?, model, method.name, given)?)
}

fn folder() -> Result<PathBuf> {
    Ok(cache::folder()?.join("tuned"))
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
    let ctx = Ctx::new(seed).with_statistics(statistics);
    let tuned = progress::watched(shell, ctx, |ctx| tune::tune(ctx, model, method, given, limit))?;
    let path = path(model, method, given)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    tune::write(&tuned, &path)?;
    Ok(tuned)
}

/// The trials as tables.
fn evidence(tuned: &Tuned) -> String {
    let mut tables = vec![format!("one fact at a time\n\n{}", trials(&tuned.alone))];
    if let Some(Trial { at_once, .. }) = tuned.together.first() {
        tables.push(format!("{at_once} facts at once\n\n{}", trials(&tuned.together)));
    }
    format!("{}\n\n{LEGEND}", tables.join("\n\n"))
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
