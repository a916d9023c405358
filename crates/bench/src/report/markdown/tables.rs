//! Leaderboards as tables of Markdown, split by axis where one would be too wide.

use std::fmt::Write;

use super::super::format::unit;
use super::super::protocol::Protocol;
use super::super::table::{Column, Line, Table, Which, tables};
use super::inline;
use crate::results::{Better, Results};

/// Columns of numbers that a table has at most, unless one axis alone has more.
const WIDEST: usize = 4;

/// Each setting, and its tables.
pub(super) fn leaderboard(results: &Results, which: Which<'_>) -> Vec<(String, String)> {
    let show = |table: Table| {
        let parts: Vec<String> = parts(&table.columns)
            .into_iter()
            .map(|(axis, columns)| part(&table, &axis, &columns))
            .collect();
        (table.setting, parts.join("\n"))
    };
    tables(results, which).into_iter().map(show).collect()
}

/// A table a setting, whose columns are metrics by their full names and whose cells are means with
/// their intervals: for a document that explains its few columns itself.
#[must_use]
pub fn compact(results: &Results, which: Which<'_>) -> String {
    let show = |table: Table| {
        let name = |column: &Column| format!("`{}`{}", column.metric, suffix(column));
        let names: Vec<String> = table.columns.iter().map(name).collect();
        let mut head = vec![("method", false), ("cases", false)];
        head.extend(names.iter().map(|name| (name.as_str(), true)));
        let row = |line: &Line| {
            let mut cells = vec![inline(&line.label), cases(line)];
            cells.extend(line.cells.iter().map(|cell| {
                let mark = if cell.best { "**" } else { "" };
                match cell.interval.as_str() {
                    "" => format!("{mark}{}{mark}", cell.mean),
                    interval => format!("{mark}{}{mark} ({interval})", cell.mean),
                }
            }));
            cells
        };
        let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
        format!("### {}\n\n{}", inline(&table.setting), markdown_table(&head, &rows))
    };
    let shown: Vec<String> = tables(results, which).into_iter().map(show).collect();
    shown.join("\n")
}

/// The columns by axis, with its name: one part an axis.
fn parts(columns: &[Column]) -> Vec<(String, Vec<usize>)> {
    let mut parts: Vec<(String, Vec<usize>)> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        match parts.last_mut() {
            Some((axis, columns)) if *axis == column.axis => columns.push(i),
            _ => parts.push((column.axis.clone(), vec![i])),
        }
    }
    // One axis may have many: then its protocols are apart, but for the pair that stands together.
    parts.into_iter().flat_map(|(axis, of)| split(&axis, of, columns)).collect()
}

fn split(axis: &str, of: Vec<usize>, columns: &[Column]) -> Vec<(String, Vec<usize>)> {
    if of.len() <= WIDEST {
        return vec![(axis.to_owned(), of)];
    }
    let is_said = |i: &usize| matches!(columns[*i].protocol, Protocol::Forced | Protocol::Free);
    let (said, compared): (Vec<usize>, Vec<usize>) = of.into_iter().partition(is_said);
    let parts = [(axis.to_owned(), said), (axis.to_owned(), compared)];
    parts.into_iter().filter(|(_, columns)| !columns.is_empty()).collect()
}

fn part(table: &Table, axis: &str, columns: &[usize]) -> String {
    let names: Vec<String> = columns.iter().map(|&i| head(&table.columns[i])).collect();
    let mut head: Vec<(&str, bool)> = vec![("method", false), ("cases", false)];
    head.extend(names.iter().map(|name| (name.as_str(), true)));
    let row = |line: &Line| {
        let mut cells = vec![inline(&line.label), cases(line)];
        cells.extend(columns.iter().map(|&i| {
            let cell = &line.cells[i];
            let whole = cell.whole(table.columns[i].unit);
            match (cell.best, whole.strip_prefix(cell.mean.as_str())) {
                (true, Some(rest)) => format!("**{}**{rest}", cell.mean),
                _ => whole,
            }
        }));
        cells
    };
    let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
    let name = if axis.is_empty() { "Others" } else { axis };
    format!("**{}**\n\n{}", inline(name), markdown_table(&head, &rows))
}

fn head(column: &Column) -> String {
    let name = match column.protocol {
        Protocol::Other => column.measure.clone(),
        protocol if column.measure == protocol.name() => column.measure.clone(),
        protocol => format!("{} {}", protocol.name(), column.measure),
    };
    inline(&(name + &suffix(column)))
}

/// What is behind the name of a column: its unit, and which way is better where that is not upward.
fn suffix(column: &Column) -> String {
    let unit = unit(column.unit);
    let mut suffix = if unit.is_empty() { String::new() } else { format!(", {unit}") };
    if column.better == Better::Lower {
        suffix += ", less is better";
    }
    suffix
}

/// How many cases a row is of, and what is wrong with them.
fn cases(line: &Line) -> String {
    let [n_done, n_planned, n_failed] = line.cases;
    let failed = if n_failed > 0 { format!(", {n_failed} failed") } else { String::new() };
    format!("{n_done} of {n_planned}{failed}")
}

/// A table; each column has a name and whether it is of numbers.
pub(super) fn markdown_table(columns: &[(&str, bool)], rows: &[Vec<String>]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut text = format!("| {} |\n|", names.join(" | "));
    for (_, is_number) in columns {
        text += if *is_number { "---:|" } else { "---|" };
    }
    text.push('\n');
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
