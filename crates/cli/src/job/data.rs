//! Data sets: a format, or a file, and what it is to become.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use retcon::data::datasets::{Beside, Dataset};

use super::out::{has_folder, is_free};
use crate::args;
use crate::failure::{advised, usage};

/// What is asked of data sets.
pub(crate) enum Data {
    /// All formats.
    List,
    /// The keys of one.
    Describe(&'static Dataset),
    /// What a file holds.
    Check(Source),
    /// A file in another format.
    Convert(Source, Target),
}

/// Cases to read.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// The format, where it is said.
    pub(crate) format: Option<&'static Dataset>,
    pub(crate) beside: Beside,
    /// How many of them, drawn.
    pub(crate) count: Option<usize>,
}

/// Cases to write.
pub(crate) struct Target {
    pub(crate) format: &'static Dataset,
    pub(crate) out: PathBuf,
}

pub(super) fn data(args: args::Data) -> Result<Data> {
    let Some(what) = args.what.as_deref() else {
        return match args.to {
            None => Ok(Data::List),
            Some(_) => bail!(usage("--to: name the file of cases that is to be converted")),
        };
    };
    let path = Path::new(what);
    let is_path = path.exists() || what == "world" || args.from.is_some() || args.to.is_some();
    if !is_path {
        return match Dataset::find(what) {
            Ok(format) => Ok(Data::Describe(format)),
            Err(_) => bail!(missing(what)),
        };
    }
    let source = source(&args, path)?;
    match (&args.to, args.out) {
        (Some(to), Some(out)) => Ok(Data::Convert(source, target(to, out, args.force)?)),
        _ => Ok(Data::Check(source)),
    }
}

fn source(args: &args::Data, path: &Path) -> Result<Source> {
    let format = args.from.as_deref().map(Dataset::find).transpose()?;
    let is_own = path == Path::new("world") || format.is_some_and(|format| format.name == "own");
    if !is_own && !path.exists() {
        bail!(missing(&path.display().to_string()));
    }
    are_there(args.patterns.as_deref())?;
    let beside = Beside { patterns: args.patterns.clone(), seed: args.seed };
    let count = args.count.map(std::num::NonZeroUsize::get);
    Ok(Source { path: path.to_owned(), format, beside, count })
}

/// Whether a file of patterns, where one is named, is there.
pub(super) fn are_there(patterns: Option<&Path>) -> Result<()> {
    match patterns.filter(|path| !path.is_file()) {
        Some(missing) => {
            bail!(usage(format!("--patterns: there is no file {}", missing.display())))
        }
        None => Ok(()),
    }
}

fn target(to: &str, out: PathBuf, force: bool) -> Result<Target> {
    let format = Dataset::find(to)?;
    // That it is read alone is told before anything is read.
    format.write(&[])?;
    is_free(&out, force)?;
    has_folder(&out)?;
    Ok(Target { format, out })
}

fn missing(what: &str) -> anyhow::Error {
    advised(format!("there is no file and no format {what}"), "`retcon data` lists the formats")
}
