//! `data`: which formats of benchmarks there are, what a file holds, and a file in another format.

mod convert;
mod file;

use anyhow::Result;
use retcon::data::datasets::{DATASETS, Dataset};
use serde_json::{Value, json};

use super::Outcome;
use crate::job::Data;
use crate::render::{bold, dim, table};
use crate::shell::Shell;

/// Lists formats, describes one, or reads a file.
pub(crate) fn run(shell: &Shell, job: &Data) -> Result<Outcome> {
    match job {
        Data::List => list(shell)?,
        Data::Describe(format) => {
            shell.say(describe(format))?;
            shell.emit(&to_json(format))?;
        }
        Data::Check(source) => file::run(shell, source)?,
        Data::Convert(source, target) => convert::run(shell, source, target)?,
    }
    Ok(Outcome::Done)
}

fn list(shell: &Shell) -> Result<()> {
    let mut rows = table(["format", "written", "what"]);
    for format in DATASETS {
        rows.add_row([format.name, written(format), format.summary]);
    }
    shell.say(rows.trim_fmt())?;
    shell.note("\n`retcon data FORMAT` describes one, `retcon data FILE` what a file holds")?;
    shell.emit(&DATASETS.iter().map(to_json).collect::<Vec<_>>())
}

fn describe(format: &Dataset) -> String {
    let mut keys = table(["key", "what it becomes"]);
    for &(key, meaning) in format.keys {
        keys.add_row([key, meaning]);
    }
    let name = bold().apply_to(format.name);
    let source = dim().apply_to(format!("source: {}", format.source));
    format!("{name}: {}\n{source}\n\n{}", format.summary, keys.trim_fmt())
}

fn written(format: &Dataset) -> &'static str {
    if format.is_written() { "yes" } else { "no" }
}

fn to_json(format: &Dataset) -> Value {
    let key = |&(key, meaning): &(&str, &str)| json!({"key": key, "meaning": meaning});
    json!({
        "name": format.name,
        "summary": format.summary,
        "source": format.source,
        "written": format.is_written(),
        "keys": format.keys.iter().map(key).collect::<Vec<_>>(),
    })
}
