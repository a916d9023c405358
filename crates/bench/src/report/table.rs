//! The leaderboard as plain cells, for whoever prints a table.

use super::format::number;
use super::names::{labels, settings};
use super::protocol::{Parts, Protocol};
use crate::results::{Better, MetricInfo, Results, Row, UNEDITED, Unit};
use retcon::eval::bootstrap::Estimate;

/// Which metrics a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// Those at the head of a report. Where an axis has a teacher-forced one among them and no free
    /// one, or the other way round, its first metric of the missing protocol is beside it: the one
    /// number is never shown without the other.
    Headline,
    /// All.
    All,
    /// Those of these names, in this order.
    Named(&'a [String]),
}

/// The leaderboard of a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// How edits were made.
    pub setting: String,
    /// A metric each, those of an axis beside each other unless they were named.
    pub columns: Vec<Column>,
    /// A method each, the unedited model first.
    pub rows: Vec<Line>,
}

/// A column: a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name of the metric.
    pub metric: String,
    /// Which questions.
    pub axis: String,
    /// How they are asked.
    pub protocol: Protocol,
    /// What is compared.
    pub measure: String,
    /// How its numbers are shown.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
}

/// A row: a method.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The row of the results, by index.
    pub row: usize,
    /// The method, with the settings that tell it from others of its name.
    pub label: String,
    /// Whether it is the model without an edit, which competes with none.
    pub is_unedited: bool,
    /// Cases that have been measured, that should be, and whose edit failed.
    pub cases: [usize; 3],
    /// One a column.
    pub cells: Vec<Cell>,
}

/// A number, and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The mean, its interval, and of how many; `None` where it was not measured.
    pub score: Option<Estimate>,
    /// The mean, as tables show it; `–` for none.
    pub mean: String,
    /// The interval, such as `88.1–97.4`; empty for none.
    pub interval: String,
    /// Whether it is the best of its column among at least two edited rows.
    pub best: bool,
}

impl Cell {
    /// The mean with its interval and of how many, such as `93.3 [88.1, 97.4], n 60`.
    #[must_use]
    pub fn whole(&self, unit: Unit) -> String {
        match self.score {
            None => self.mean.clone(),
            Some(Estimate { low, high, n, .. }) => {
                let (low, high) = (number(low, unit), number(high, unit));
                format!("{} [{low}, {high}], n {n}", self.mean)
            }
        }
    }
}

/// One table a setting, in the order of the rows.
#[must_use]
pub fn tables(results: &Results, which: Which<'_>) -> Vec<Table> {
    let metrics = chosen(results, which);
    let labels = labels(results);
    let table = |setting: &str| {
        let of_setting = results.rows.iter().enumerate().filter(|(_, row)| row.setting == setting);
        let mut rows: Vec<Line> =
            of_setting.map(|(i, row)| line(i, &labels[i], row, &metrics)).collect();
        for (column, metric) in metrics.iter().enumerate() {
            mark_best(&mut rows, column, metric.better);
        }
        let columns = metrics.iter().map(|metric| Column::of(metric)).collect();
        Table { setting: setting.to_owned(), columns, rows }
    };
    settings(results).into_iter().map(table).collect()
}

impl Column {
    fn of(metric: &MetricInfo) -> Self {
        let Parts { axis, protocol, measure } = Parts::of(&metric.name);
        Self {
            metric: metric.name.clone(),
            axis: axis.to_owned(),
            protocol,
            measure: measure.to_owned(),
            unit: metric.unit,
            better: metric.better,
        }
    }
}

/// The metrics of a table, those of an axis beside each other unless they are named.
pub(super) fn chosen<'a>(results: &'a Results, which: Which<'_>) -> Vec<&'a MetricInfo> {
    let mut chosen: Vec<&MetricInfo> = match which {
        Which::Named(names) => {
            let named = |name: &String| results.metrics.iter().find(|metric| metric.name == *name);
            return names.iter().filter_map(named).collect();
        }
        Which::All => results.metrics.iter().collect(),
        Which::Headline => {
            let is_shown =
                |metric: &&MetricInfo| metric.headline || completes(metric, &results.metrics);
            results.metrics.iter().filter(is_shown).collect()
        }
    };
    let mut axes: Vec<&str> = Vec::new();
    for metric in &results.metrics {
        let axis = Parts::of(&metric.name).axis;
        if !axes.contains(&axis) {
            axes.push(axis);
        }
    }
    chosen.sort_by_key(|metric| {
        let parts = Parts::of(&metric.name);
        (axes.iter().position(|axis| *axis == parts.axis), parts.protocol)
    });
    chosen
}

/// Whether the headlines of the metric's axis have the other one of the protocols `tf` and `free`
/// alone, and it is the first that could stand beside it.
fn completes(metric: &MetricInfo, all: &[MetricInfo]) -> bool {
    let Parts { axis, protocol, .. } = Parts::of(&metric.name);
    let other = match protocol {
        Protocol::Forced => Protocol::Free,
        Protocol::Free => Protocol::Forced,
        _ => return false,
    };
    let of = |wanted: Protocol| {
        all.iter().filter(move |metric| {
            let parts = Parts::of(&metric.name);
            parts.axis == axis && parts.protocol == wanted
        })
    };
    let has_headline = |wanted| of(wanted).any(|metric| metric.headline);
    has_headline(other)
        && !has_headline(protocol)
        && of(protocol).next().is_some_and(|first| first.name == metric.name)
}

fn line(i: usize, label: &str, row: &Row, metrics: &[&MetricInfo]) -> Line {
    let cell = |metric: &&MetricInfo| {
        let score = row.scores.get(&metric.name).copied();
        let show = |value: f64| number(value, metric.unit);
        Cell {
            score,
            mean: score.map_or_else(|| "–".to_owned(), |score| show(score.mean)),
            // One number has none.
            interval: score.filter(|score| score.n > 1).map_or_else(String::new, |score| {
                let between = if score.low < 0.0 { " to " } else { "–" };
                format!("{}{between}{}", show(score.low), show(score.high))
            }),
            best: false,
        }
    };
    Line {
        row: i,
        label: label.to_owned(),
        is_unedited: row.method == UNEDITED,
        cases: [row.n_done, row.n_planned, row.n_failed],
        cells: metrics.iter().map(cell).collect(),
    }
}

/// Marks the best of a column, of the methods whose edits all succeeded; all that are shown as the same
/// number.
fn mark_best(rows: &mut [Line], column: usize, better: Better) {
    let mean = |line: &Line| line.cells[column].score.map(|score| score.mean);
    // Where edits failed, the numbers are those of the model without them, which changes nothing else.
    let competes = |line: &Line| {
        let [_, _, n_failed] = line.cases;
        !line.is_unedited && n_failed == 0 && mean(line).is_some_and(f64::is_finite)
    };
    let rows: Vec<&mut Line> = rows.iter_mut().filter(|line| competes(line)).collect();
    let ahead = |a: &f64, b: &f64| match better {
        Better::Higher => a.total_cmp(b),
        Better::Lower => b.total_cmp(a),
    };
    let best = rows.iter().filter_map(|line| mean(line).map(|m| (m, &line.cells[column].mean)));
    let Some((_, best)) = best.max_by(|(a, _), (b, _)| ahead(a, b)) else { return };
    let best = best.clone();
    if rows.len() > 1 {
        for line in rows {
            line.cells[column].best = line.cells[column].mean == best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_teacher_forced_number_never_stands_alone() {
        let mut results = sample::results();
        for metric in &mut results.metrics {
            metric.headline = metric.name == "rewrite.tf.token";
        }
        let names: Vec<_> =
            chosen(&results, Which::Headline).iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["rewrite.tf.token", "rewrite.free.exact"]);
        let n = results.metrics.len();
        assert_eq!(chosen(&results, Which::All).len(), n);
        let wanted = ["drift.kl", "rewrite.free.exact"].map(str::to_owned);
        let names: Vec<_> =
            chosen(&results, Which::Named(&wanted)).into_iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, wanted);
    }

    #[test]
    fn the_best_is_marked_among_edited_rows() {
        let mut results = sample::results();
        let is_marked = |results: &Results| {
            tables(results, Which::All)[0].rows.iter().any(|row| row.cells.iter().any(|c| c.best))
        };
        // With a failed edit, rome does not compete, and the other has nobody to be better than.
        assert!(!is_marked(&results));
        results.rows[1].n_failed = 0;
        let tables = tables(&results, Which::All);
        assert_eq!(tables.len(), 1);
        let table = &tables[0];
        let column = |name: &str| table.columns.iter().position(|c| c.metric == name).unwrap();
        let best = |name: &str| {
            let marked = table.rows.iter().filter(|line| line.cells[column(name)].best);
            marked.map(|line| line.label.as_str()).collect::<Vec<_>>()
        };
        // The unedited model has all of its locality, and does not compete.
        assert_eq!(best("neighbor.same.free"), ["memit"]);
        assert_eq!(best("rewrite.free.exact"), ["rome"]);
        assert_eq!(best("drift.kl"), ["memit"]);
        assert!(
            table.rows[0].is_unedited && table.rows[0].cells[column("drift.kl")].score.is_none()
        );
    }

    #[test]
    fn a_cell_says_its_interval_and_of_how_many() {
        let results = sample::results();
        let table = &tables(&results, Which::All)[0];
        let cell = &table.rows[1].cells[0];
        assert_eq!(cell.whole(Unit::Share), "90.0 [80.0, 95.0], n 20");
        assert_eq!(cell.interval, "80.0–95.0");
    }
}
