//! Statistics and sweeps: which text, which blocks, which method.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use retcon::edit::scope::Blocks;
use retcon::{Method, stats};

use super::{has_folder, out};
use crate::args;
use crate::failure::{advised, usage};
use crate::model_ref::ModelRef;

/// Where statistics come from.
pub(crate) enum Statistics {
    /// A file.
    File(PathBuf),
    /// The cache, or a text.
    Text(Text),
}

/// A text, and how statistics are computed over it.
pub(crate) struct Text {
    /// A file, `-` or `own`.
    pub(crate) corpus: String,
    pub(crate) limits: stats::Limits,
}

/// Chooses settings.
pub(crate) struct Tune {
    pub(crate) model: ModelRef,
    pub(crate) method: &'static Method,
    pub(crate) again: bool,
    pub(crate) limit: Option<Duration>,
    pub(crate) statistics: Statistics,
    pub(crate) seed: u64,
}

/// Computes statistics.
pub(crate) struct Stats {
    pub(crate) model: ModelRef,
    pub(crate) blocks: Option<Blocks>,
    pub(crate) text: Text,
    /// Files that are added up in place of computing.
    pub(crate) merge: Vec<PathBuf>,
    pub(crate) out: Option<PathBuf>,
}

pub(super) fn stats(args: args::Stats) -> Result<Stats> {
    if let Some(out) = &args.out {
        has_folder(out)?;
        out::replaces(out, "statistics", |path| stats::read(path).is_ok())?;
    }
    Ok(Stats {
        model: ModelRef::parse(&args.model)?,
        blocks: args.blocks.as_deref().map(str::parse).transpose()?,
        text: text(args.text)?,
        merge: args.merge,
        out: args.out,
    })
}

pub(super) fn tune(args: args::Tune) -> Result<Tune> {
    let limit = args.minutes.map(|minutes| Duration::try_from_secs_f64(60.0 * minutes));
    let limit = limit.transpose().map_err(|_| usage("--minutes: expected 0 or more"))?;
    Ok(Tune {
        limit,
        model: ModelRef::parse(&args.model)?,
        method: Method::find(&args.method)?,
        again: args.again,
        statistics: statistics(args.statistics)?,
        seed: args.seed,
    })
}

pub(super) fn statistics(args: args::Statistics) -> Result<Statistics> {
    Ok(match args.stats {
        Some(file) => Statistics::File(file),
        None => Statistics::Text(text(args.text)?),
    })
}

fn text(args: args::Text) -> Result<Text> {
    let args::Text { corpus, window, tokens: most_tokens, tolerance } = args;
    if window == 0 {
        bail!(usage("--window: expected at least 1, found: 0"));
    }
    if most_tokens == Some(0) {
        bail!(usage("--tokens: expected at least 1, found: 0"));
    }
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        bail!(usage(format!("--tolerance: expected 0 or more, found: {tolerance}")));
    }
    if !matches!(corpus.as_str(), "own" | "-") && !Path::new(&corpus).is_file() {
        bail!(advised(
            format!("--corpus: there is no file {corpus}"),
            "give a text file, one text a line, or a .jsonl file with the key `text`"
        ));
    }
    Ok(Text { corpus, limits: stats::Limits { window, most_tokens, tolerance } })
}
