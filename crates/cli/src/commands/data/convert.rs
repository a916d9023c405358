//! A file of cases in another format, and what that can't hold.

use anyhow::{Result, bail};
use retcon::data::datasets::Written;
use retcon::model::atomic;
use serde_json::{Value, json};

use super::file::{left_out, read};
use crate::failure::advised;
use crate::job::{Source, Target};
use crate::render::{pairs, plural};
use crate::shell::Shell;

/// Reads a file, and writes its cases.
pub(super) fn run(shell: &Shell, source: &Source, target: &Target) -> Result<()> {
    let (format, found) = read(source)?;
    let written = target.format.write(&found.cases)?;
    if let (0, Some((id, reason))) = (written.n_cases, written.left_out.first()) {
        let what = format!("no case can be written as {}: case {id}: {reason}", target.format.name);
        bail!(advised(what, "`cases` holds all that a case has"));
    }
    atomic::write(&target.out, |to| to.write_all(written.text.as_bytes()))?;
    shell.say(pairs([
        ("read", format!("{} as {}", plural(found.cases.len(), "case"), format.name)),
        ("left out", plural(found.left_out.len(), "case")),
        ("written", format!("{} as {}", plural(written.n_cases, "case"), target.format.name)),
        ("file", target.out.display().to_string()),
    ]))?;
    for line in lost(&written) {
        shell.note(line)?;
    }
    shell.emit(&json!({
        "file": source.path,
        "from": format.name,
        "to": target.format.name,
        "out": target.out,
        "cases": written.n_cases,
        "left_out": left_out(&found),
        "not_written": written.left_out.iter().map(entry).collect::<Vec<_>>(),
        "lost": written.lost,
    }))
}

fn entry((id, reason): &(String, String)) -> Value {
    json!({"id": id, "reason": reason})
}

/// What the format can't hold, for people.
fn lost(written: &Written) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((id, reason)) = written.left_out.first() {
        let n = plural(written.left_out.len(), "case");
        lines.push(format!("not written: {n}, the first, {id}, because {reason}"));
    }
    let lost: Vec<_> = written.lost.iter().map(|(what, n)| format!("{what} {n}")).collect();
    if !lost.is_empty() {
        lines.push(format!("the format has no place for: {}", lost.join(", ")));
    }
    lines
}
