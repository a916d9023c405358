//! What a file of cases holds: how many of what, what is left out and why, and the first of them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use retcon::data::datasets::{Cases, Dataset, detect};
use retcon::data::{Axis, Case, Origin, Question};
use serde_json::{Map, Value, json};

use crate::job::Source;
use crate::render::{bold, count, dim, one_line, pairs, plural, right, table};
use crate::shell::Shell;

/// So many groups, and so many cases that are left out, are shown to people.
const SHOWN: usize = 10;

/// Reads a file, and describes it.
pub(super) fn run(shell: &Shell, source: &Source) -> Result<()> {
    let (format, found) = read(source)?;
    let first = found.cases.first().context("a file that is read has a case")?;
    shell.say(pairs([
        ("file", source.path.display().to_string()),
        ("format", format.name.to_owned()),
        ("cases", count(found.cases.len())),
        ("left out", count(found.left_out.len())),
    ]))?;
    shell.say(format!("\n{}", counts("questions", &by_axis(&found))))?;
    let groups = by_group(&found);
    if !groups.is_empty() {
        shell.say(format!("\n{}", shown("group", &groups)))?;
    }
    if !found.left_out.is_empty() {
        shell.say(format!("\n{}", reasons(&found.left_out)))?;
    }
    shell.say(format!("\n{}", case(first)))?;
    shell.emit(&to_json(source, format, &found)?)
}

/// The cases of a file in the format that was said, or that it has.
pub(super) fn read(source: &Source) -> Result<(&'static Dataset, Cases)> {
    let format = source.format.map_or_else(|| detect(&source.path), Ok)?;
    let mut found = format.read(&source.path, &source.beside)?;
    if let Some(count) = source.count {
        found.draw(count, source.beside.seed);
    }
    Ok((format, found))
}

/// The cases that were left out, for programs.
pub(super) fn left_out(found: &Cases) -> Vec<Value> {
    let entry =
        |(origin, reason): &(Origin, String)| json!({"line": origin.line, "reason": reason});
    found.left_out.iter().map(entry).collect()
}

/// How many questions there are of each axis, in the order of reports.
fn by_axis(found: &Cases) -> Vec<(String, usize)> {
    let n = |axis| {
        let questions = found.cases.iter().flat_map(|case| &case.questions);
        questions.filter(|question| question.axis == axis).count()
    };
    let counts = Axis::ALL.into_iter().map(|axis| (axis.name().to_owned(), n(axis)));
    counts.filter(|(_, n)| *n > 0).collect()
}

/// How many cases there are of each group, the most first.
fn by_group(found: &Cases) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<_, usize>::new();
    for group in found.cases.iter().filter_map(|case| case.group.clone()) {
        *counts.entry(group).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}

fn counts(what: &str, rows: &[(String, usize)]) -> String {
    let mut counts = table([what, "n"]);
    for (name, n) in rows {
        counts.add_row([name.clone(), count(*n)]);
    }
    right(&mut counts, &[1]);
    counts.trim_fmt()
}

/// The first of many rows, and how many there are more.
fn shown(what: &str, rows: &[(String, usize)]) -> String {
    let shown = counts(what, &rows[..rows.len().min(SHOWN)]);
    match rows.len().saturating_sub(SHOWN) {
        0 => shown,
        more => {
            format!("{shown}\n{}", dim().apply_to(format!("and {}", plural(more, "more group"))))
        }
    }
}

fn reasons(left_out: &[(Origin, String)]) -> String {
    let mut lines = vec![bold().apply_to("left out").to_string()];
    for (origin, reason) in left_out.iter().take(SHOWN) {
        lines.push(format!("{origin}: {}", one_line(reason, 160)));
    }
    if left_out.len() > SHOWN {
        let more = format!("and {} more; --json has all", count(left_out.len() - SHOWN));
        lines.push(dim().apply_to(more).to_string());
    }
    lines.join("\n")
}

/// A case, for people.
fn case(case: &Case) -> String {
    let mut lines = vec![bold().apply_to(format!("case {}", case.id)).to_string()];
    for edit in &case.edits {
        lines.push(format!("{} => {}", one_line(&edit.prompt.marked(), 100), edit.target_new));
    }
    let mut rows = table(["axis", "prompt", "answer"]);
    for question in &case.questions {
        let prompt = one_line(&question.prompt.marked(), 70);
        rows.add_row([question.axis.name(), &prompt, &answer(question)]);
    }
    format!("{}\n\n{}", lines.join("\n"), rows.trim_fmt())
}

fn answer(question: &Question) -> String {
    let answers: Vec<_> = question.answers.iter().filter_map(|names| names.first()).collect();
    let answers = answers.into_iter().map(|name| one_line(name, 30)).collect::<Vec<_>>();
    answers.join(", ")
}

fn to_json(source: &Source, format: &Dataset, found: &Cases) -> Result<Value> {
    let object = |rows: Vec<(String, usize)>| {
        rows.into_iter().map(|(name, n)| (name, n.into())).collect::<Map<_, _>>()
    };
    let first = Dataset::find("cases")?.write(&found.cases[..1])?.text;
    Ok(json!({
        "file": source.path,
        "format": format.name,
        "cases": found.cases.len(),
        "questions": object(by_axis(found)),
        "groups": object(by_group(found)),
        "left_out": left_out(found),
        "first": serde_json::from_str::<Value>(&first)?,
    }))
}
