//! The leaderboard as plain tables, for those who run no scripts.

use super::super::format::unit;
use super::super::table::{Column, Line, Table, Which, tables};
use crate::results::Results;
use retcon::html::escape;

/// One table a setting, in HTML.
pub(super) fn plain(results: &Results) -> String {
    tables(results, Which::Headline).iter().map(table).collect()
}

fn table(table: &Table) -> String {
    let head: String = table.columns.iter().map(head).collect();
    let rows: String = table.rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table class=\"plain\"><caption>{}</caption>\n\
         <thead><tr><th scope=\"col\">method</th><th scope=\"col\">cases</th>{head}</tr></thead>\n\
         <tbody>{rows}</tbody></table></div>\n",
        escape(&table.setting)
    )
}

fn head(column: &Column) -> String {
    let unit = unit(column.unit);
    let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
    format!("<th scope=\"col\">{}{unit}</th>", escape(&column.metric))
}

fn row(line: &Line) -> String {
    let [n_done, n_planned, n_failed] = line.cases;
    let cells = line.cells.iter().map(|cell| {
        let mean = if cell.best { format!("<b>{}</b>", cell.mean) } else { cell.mean.clone() };
        let n = cell.score.map_or_else(String::new, |score| format!(", n {}", score.n));
        format!("<td>{mean}<br><small>{}{n}</small></td>", cell.interval)
    });
    let cells: String = cells.collect();
    let label = escape(&line.label);
    let failed = if n_failed > 0 { format!(", {n_failed} failed") } else { String::new() };
    format!(
        "<tr><th scope=\"row\">{label}</th><td>{n_done} of {n_planned}{failed}</td>{cells}</tr>\n"
    )
}
