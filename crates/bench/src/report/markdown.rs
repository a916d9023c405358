//! The results as Markdown: what was run, a leaderboard a setting, differences, failures, definitions.

mod tables;

use std::collections::BTreeMap;
use std::fmt::Write;

pub use self::tables::compact;
use self::tables::{leaderboard, markdown_table};
use super::format::{count, number, p_value, unit};
use super::names::{labels, settings};
use super::protocol::Protocol;
use super::table::{Which, chosen};
use crate::results::{About, Better, MetricInfo, Results};

/// Cases of a failure that are named.
const NAMED: usize = 5;

/// All of `results` but the single answers, as Markdown.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut text = format!("# {}\n\n", title(&results.about));
    text += &about(results);
    text += "\n## Leaderboard\n\n";
    text += &reading();
    for (setting, table) in leaderboard(results, Which::Headline) {
        let _ = write!(text, "\n### {}\n\n{table}", inline(&setting));
    }
    if chosen(results, Which::Headline).len() < results.metrics.len() {
        text += "\n## All metrics\n";
        for (setting, table) in leaderboard(results, Which::All) {
            let _ = write!(text, "\n### All metrics, {}\n\n{table}", inline(&setting));
        }
    }
    text += &differences(results);
    text += &failures(results);
    text + &definitions(results)
}

/// What a report is called.
pub(super) fn title(about: &About) -> String {
    match about.model.as_str() {
        "" => "Benchmark".to_owned(),
        model => format!("{model}, edited"),
    }
}

/// `text` on one line, with what Markdown reads as markup escaped.
fn inline(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped += "\\\\n",
            '\r' => escaped += "\\\\r",
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '&' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

fn about(results: &Results) -> String {
    let About { version, model, fingerprint, data, dataset, seeds, jobs } = &results.about;
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let [n_jobs, n_done] = *jobs;
    let rows = [
        ("model", inline(model)),
        ("fingerprint", inline(fingerprint)),
        ("data", inline(data)),
        ("format of the data", inline(dataset)),
        ("cases", results.cases.len().to_string()),
        ("seeds", seeds.join(", ")),
        ("jobs", format!("{n_done} of {n_jobs} done")),
        ("version of retcon", inline(version)),
    ];
    let said = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<Vec<String>> = said.map(|(name, value)| vec![name.to_owned(), value]).collect();
    markdown_table(&[("what", false), ("", false)], &rows)
}

/// How the tables are read.
fn reading() -> String {
    let mut text =
        "Each number is a mean, with its 95% interval and n, the number of cases, or of \
        texts where it is of the whole model; seeds don't make these more.\n\
        The best of a column is bold, among edited models.\n\
        The second word of a metric's name is its protocol, and numbers of different protocols \
        are not comparable:\n\n"
            .to_owned();
    for protocol in Protocol::ALL {
        let _ = writeln!(text, "- **{}**: {}", protocol.name(), protocol.summary());
    }
    text
}

fn differences(results: &Results) -> String {
    let mut text = String::new();
    let labels = labels(results);
    for setting in settings(results) {
        let mut rows = Vec::new();
        for metric in &results.metrics {
            for (i, row) in results.rows.iter().enumerate().filter(|(_, r)| r.setting == setting) {
                for versus in row.versus.iter().filter(|versus| versus.metric == metric.name) {
                    let Some(other) = labels.get(versus.row) else { continue };
                    let score = versus.difference.score;
                    let show = |value| number(value, metric.unit);
                    rows.push(vec![
                        named(metric),
                        inline(&labels[i]),
                        inline(other),
                        format!("{} [{}, {}]", show(score.mean), show(score.low), show(score.high)),
                        score.n.to_string(),
                        p_value(versus.difference.p),
                    ]);
                }
            }
        }
        if !rows.is_empty() {
            let columns = ["metric", "a", "b", "a − b", "n", "p"];
            let columns: Vec<_> =
                columns.iter().enumerate().map(|(i, name)| (*name, i > 2)).collect();
            let table = markdown_table(&columns, &rows);
            let _ = write!(text, "\n### Differences, {}\n\n{table}", inline(setting));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\n## Differences\n\nOf two methods on the same cases: the mean of a − b with its 95% \
         interval, shares in points of a percent, and how often a difference as large arises \
         where its signs are drawn at random (p).\n\
         No p is corrected for the number of comparisons.\n{text}"
    )
}

fn failures(results: &Results) -> String {
    let labels = labels(results);
    let mut found: BTreeMap<(usize, &str), Vec<&str>> = BTreeMap::new();
    for result in &results.results {
        let id = results.cases.get(result.case).map_or("", |case| case.id.as_str());
        if let Some(error) = &result.error {
            found.entry((result.row, error)).or_default().push(id);
        }
    }
    let row = |((row, error), cases): (&(usize, &str), &Vec<&str>)| {
        let named: Vec<String> = cases.iter().take(NAMED).map(|id| inline(id)).collect();
        let more = if cases.len() > NAMED { ", …" } else { "" };
        vec![
            labels.get(*row).map_or_else(String::new, |label| inline(label)),
            results.rows.get(*row).map_or_else(String::new, |row| inline(&row.setting)),
            inline(error),
            cases.len().to_string(),
            format!("{}{more}", named.join(", ")),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    let missing = results.rows.iter().map(|row| row.n_planned.saturating_sub(row.n_done)).sum();
    let mut text = "\n## Failures\n\n".to_owned();
    if missing > 0 {
        let missing = count(missing, "planned measurement");
        let _ = writeln!(text, "Not there yet: {missing} of a case under a method.\n");
    }
    if rows.is_empty() {
        return text + "No edit ended in an error.\n";
    }
    let columns = [
        ("method", false),
        ("setting", false),
        ("error", false),
        ("cases", true),
        ("such as", false),
    ];
    text += "The numbers of these cases are those of the model without the edit.\n\n";
    text + &markdown_table(&columns, &rows)
}

fn definitions(results: &Results) -> String {
    let row = |metric: &MetricInfo| {
        let better = match metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        vec![
            format!("`{}`", metric.name),
            inline(&metric.also),
            inline(&metric.summary),
            better.to_owned(),
            inline(&metric.source),
        ]
    };
    let columns = ["metric", "also called", "what it is", "better", "source"];
    let columns: Vec<_> = columns.iter().map(|name| (*name, false)).collect();
    let rows: Vec<_> = results.metrics.iter().map(row).collect();
    format!("\n## Metrics\n\n{}", markdown_table(&columns, &rows))
}

/// A metric with its unit.
fn named(metric: &MetricInfo) -> String {
    match unit(metric.unit) {
        "" => format!("`{}`", metric.name),
        unit => format!("`{}`, {unit}", metric.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_leaderboard_has_numbers_with_intervals_and_both_protocols() {
        let text = markdown(&sample::results());
        for piece in [
            "# SmolLM2, edited\n",
            "| jobs | 3 of 4 done |\n",
            "### sequential 1 x 20\n",
            "| method | cases | prefer, % | teacher-forced token, % | free exact, % |\n",
            "| rome | 20 of 20, 1 failed | 90.0 [80.0, 95.0], n 20 |",
            "| `neighbor.same.free`, % | rome | memit | −20.0 [−35.0, −5.0] | 20 | 0.012 |\n",
            "| rome | sequential 1 x 20 | no \\| tokens | 1 | a\\<b |\n",
            "| `rewrite.free.exact` | A\\_M | the object is said |",
            "Not there yet: 2 planned measurements",
        ] {
            assert!(text.contains(piece), "{piece}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_compact_table_has_the_metrics_that_are_named() {
        let names = ["rewrite.free.exact", "drift.kl"].map(str::to_owned);
        let text = compact(&sample::results(), Which::Named(&names));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "### sequential 1 x 20");
        assert_eq!(
            lines[2],
            "| method | cases | `rewrite.free.exact`, % | `drift.kl`, less is better |"
        );
        assert_eq!(lines[3], "|---|---|---:|---:|");
        assert!(lines[5].starts_with("| rome | 20 of 20, 1 failed | 95.0 (90.0–"), "{text}");
        assert_eq!(lines.len(), 7, "{text}");
    }

    #[test]
    fn empty_results_are_a_report_too() {
        let text = markdown(&sample::empty());
        assert!(text.starts_with("# Benchmark\n") && text.contains("No edit ended in an error."));
        assert!(!text.contains("## Differences"));
    }

    #[test]
    fn markup_in_names_stays_text() {
        assert_eq!(inline("a|b\n*c*_<d>"), "a\\|b\\\\n\\*c\\*\\_\\<d\\>");
    }
}
