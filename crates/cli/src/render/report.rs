//! The report of an edit, for people.

use comfy_table::ContentArrangement;
use console::measure_text_width;
use retcon::data::case::Axis;
use retcon::eval::questions::AXES;
use retcon::{Report, eval::Row};

use super::{bad, bold, count, dim, good, last_of, one_line, percent, right, short, table, width};

/// Between two columns.
const GAP: usize = 2;

/// Every question before and after, below its axis, one a line.
pub(crate) fn rows(report: &Report) -> String {
    let cells: Vec<_> = report.rows.iter().map(|row| [old(row), new(row), says(row)]).collect();
    let widest = |column: usize, header: &str| {
        let cells = cells.iter().map(|cells| measure_text_width(&cells[column]));
        cells.max().unwrap_or(0).max(header.len())
    };
    // What the numbers and the mark leave is for the prompt and what is said.
    let fixed = widest(0, "p(old)") + widest(1, "p(new)") + "ok".len() + 6 * GAP;
    let room = width().saturating_sub(fixed).max(MIN_ROOM);
    let said = widest(2, "says").min(room * 2 / 5);
    let mut table = table(["prompt", "p(old)", "p(new)", "says", ""]);
    // Cells are cut to fit, since lines that wrap make columns hard to follow.
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (row, [old, new, says]) in report.rows.iter().zip(&cells) {
        let mark = if row.is_as_wanted() { "ok" } else { "✗" };
        let prompt = last_of(&short(&row.prompt), room - said);
        table.add_row([&prompt, old, new, &one_line(says, said), mark]);
    }
    right(&mut table, &[1, 2]);
    let text = table.trim_fmt();
    let mut lines = text.lines();
    let header = lines.next().map(|line| dim().apply_to(line).to_string());
    let mut last = None;
    let with_axes = lines.zip(&report.rows).flat_map(|(line, row)| {
        let axis = row.axis.name();
        let headline =
            (last.replace(axis) != Some(axis)).then(|| bold().apply_to(axis).to_string());
        headline.into_iter().chain([colored(line)])
    });
    header.into_iter().chain(with_axes).collect::<Vec<_>>().join("\n")
}

/// However narrow the terminal.
const MIN_ROOM: usize = 36;

fn old(row: &Row) -> String {
    match (row.before.p_old, row.after.p_old) {
        (Some(before), Some(after)) => change(before, after),
        _ => "-".to_owned(),
    }
}

/// Probabilities of an edit's object say nothing about prompts that have nothing to do with it.
fn new(row: &Row) -> String {
    match row.axis {
        Axis::Unrelated => "-".to_owned(),
        _ => change(row.before.p_new, row.after.p_new),
    }
}

fn change(before: f64, after: f64) -> String {
    format!("{} → {}", percent(before), percent(after))
}

/// The first words of what is said, before and after where they differ.
fn says(row: &Row) -> String {
    let [before, after] = [&row.before, &row.after].map(|belief| first_words(&belief.says));
    match before == after {
        true => before,
        false => format!("{before} → {after}"),
    }
}

/// Up to the end of the first line or sentence, and not all too many.
fn first_words(text: &str) -> String {
    const MOST: usize = 18;
    let text = text.trim();
    let ends = ["\n", ". ", ", ", "; "];
    let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    one_line(text[..end].trim_end_matches('.'), MOST)
}

/// The mark at the end of a line in its color. Cells can't have them, as their escapes would count
/// as width.
fn colored(line: &str) -> String {
    match (line.strip_suffix('✗'), line.strip_suffix(" ok")) {
        (Some(rest), _) => format!("{rest}{}", bad().apply_to('✗')),
        (_, Some(rest)) => format!("{rest} {}", good().apply_to("ok")),
        _ => line.to_owned(),
    }
}

/// One line an axis of questions, and the drift.
pub(crate) fn summary(report: &Report) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for (axis, name) in AXES.into_iter().zip(["edits", "paraphrases", "neighbors", "unrelated"]) {
        let (ok, n) = report.tally(axis);
        let what = if axis.should_change() { "get the new answer" } else { "unchanged" };
        if n > 0 {
            lines.push((name, format!("{ok}/{n} {what}")));
        }
    }
    let drift = &report.drift;
    if drift.n_positions > 0 {
        lines.push((
            "drift",
            format!(
                "KL mean {:.2e}, max {:.2e} nats; same top token at {:.1}% of {} positions",
                drift.mean_kl,
                drift.max_kl,
                100.0 * drift.top1_agreement,
                count(drift.n_positions),
            ),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_where_they_end() {
        for (text, expected) in [
            (" Paris.\n\nThe answer", "Paris"),
            (" London, England.", "London"),
            ("\n\nThe", "The"),
            (" a long answer without any end", "a long answer with…"),
            (" 3.5 percent", "3.5 percent"),
        ] {
            assert_eq!(first_words(text), expected);
        }
    }
}
