//! `report`: what a store has come to, as tables in the terminal and as files.

use std::fs;

use anyhow::{Context, Result};
use retcon_bench::report::{Cell, Column, Line, Protocol, Table, Which, compact, tables, write};
use retcon_bench::results::{About, Results, Unit};
use retcon_bench::{Store, summarize};

use super::Outcome;
use crate::job::Report;
use crate::render::{bold, count, dim, plural, right, table_of, width};
use crate::shell::Shell;

/// Columns that a name of a metric and a method's numbers take.
const NAME: usize = 40;
const NUMBERS: usize = 20;

/// Shows what a store has come to, and writes it where that is asked for.
pub(crate) fn run(shell: &Shell, job: &Report) -> Result<Outcome> {
    let store = Store::open_to_read(&job.store)?;
    let results = summarize(&store)?;
    let which = match (job.all, job.metrics.as_slice()) {
        (true, _) => Which::All,
        (false, []) => Which::Headline,
        (false, named) => Which::Named(named),
    };
    let is_there = |name: &&String| results.metrics.iter().any(|metric| metric.name == **name);
    for name in job.metrics.iter().filter(|name| !is_there(name)) {
        shell.note(format!("{name} was not measured"))?;
    }
    if job.markdown {
        shell.say(compact(&results, which).trim_end())?;
    } else {
        show_tables(shell, &results, which)?;
    }
    if let Some(folder) = &job.out {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for path in write(&results, folder)? {
            shell.note(format!("wrote {}", path.display()))?;
        }
    }
    shell.emit(&results)?;
    Ok(Outcome::Done)
}

/// Shows what `store` has come to.
pub(crate) fn show(shell: &Shell, store: &Store) -> Result<Outcome> {
    let results = summarize(store)?;
    show_tables(shell, &results, Which::Headline)?;
    shell.emit(&results)?;
    Ok(Outcome::Done)
}

fn show_tables(shell: &Shell, results: &Results, which: Which<'_>) -> Result<()> {
    shell.say(about(results))?;
    for table in tables(results, which) {
        shell.say(format!("\n{}", bold().apply_to(&table.setting)))?;
        // As many methods side by side as the terminal has room for.
        let n = (width().saturating_sub(NAME) / NUMBERS).max(1);
        for lines in table.rows.chunks(n) {
            shell.say(side_by_side(&table, lines))?;
        }
    }
    Ok(())
}

fn about(results: &Results) -> String {
    let About { model, data, dataset, jobs: [n, done], .. } = &results.about;
    let failed = match results.rows.iter().map(|row| row.n_failed).sum() {
        0 => String::new(),
        n => format!(", {} whose edit failed", plural(n, "case")),
    };
    format!("{model} on {data} ({dataset}): {} of {} jobs{failed}", count(*done), count(*n))
}

/// Metrics below each other, methods side by side: means with 95% intervals, the best of each marked.
fn side_by_side(table: &Table, lines: &[Line]) -> String {
    let mut header = vec!["metric".to_owned(), "asked".to_owned()];
    header.extend(lines.iter().map(|line| line.label.clone()));
    let mut rows = table_of(header);
    for (i, column) in table.columns.iter().enumerate() {
        let mut cells = vec![name(column), asked(column)];
        cells.extend(lines.iter().map(|line| cell(&line.cells[i])));
        rows.add_row(cells);
    }
    let mut cases = vec!["cases".to_owned(), String::new()];
    cases.extend(lines.iter().map(of));
    rows.add_row(cases);
    right(&mut rows, &(2..2 + lines.len()).collect::<Vec<_>>());
    rows.trim_fmt()
}

fn name(column: &Column) -> String {
    let unit = match column.unit {
        Unit::Share => " %",
        Unit::Seconds => " s",
        Unit::Number => "",
    };
    format!("{}{unit}", column.metric)
}

fn asked(column: &Column) -> String {
    match column.protocol {
        Protocol::Other => String::new(),
        protocol => protocol.name().to_owned(),
    }
}

fn cell(cell: &Cell) -> String {
    let mark = if cell.best { "*" } else { "" };
    let interval = dim().apply_to(&cell.interval);
    format!("{mark}{} {interval}", cell.mean).trim_end().to_owned()
}

/// How many cases a row is of: those measured, of those planned, and those whose edit failed.
fn of(line: &Line) -> String {
    let [done, planned, failed] = line.cases;
    let failed = if failed > 0 { format!(" ({failed} failed)") } else { String::new() };
    if done == planned { format!("{done}{failed}") } else { format!("{done}/{planned}{failed}") }
}
