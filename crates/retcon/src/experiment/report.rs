//! How people see the results: a table in Markdown, pictures, and a page that holds them all, as files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use retcon_model::atomic;

use super::cell::Record;
use super::chart::{heat_map, trade_off};
use super::choice::{Data, From, Memory};
use super::page::page;
use super::plan::Plan;
use super::summary::{Line, Summary};
use crate::draw::png;
use crate::error::Result;
use crate::interval::mean_and_interval;

/// Writes the table, the pictures and the page of `records` into `out`; gives their paths, the
/// table first.
///
/// # Errors
/// Where a file can't be written.
pub fn report(plan: &Plan, records: &[Record], out: &Path) -> Result<Vec<PathBuf>> {
    let summary = Summary::new(records);
    let table = table(plan, &summary);
    let pictures = pictures(&summary)?;
    let head = format!("# {}\n\n{}\n\n{table}", plan.name, plan.about);
    let mut files = vec![("table.md".to_owned(), head.into_bytes())];
    for (name, svg) in &pictures {
        files.push((format!("{name}.svg"), svg.clone().into_bytes()));
        files.push((format!("{name}.png"), png(svg)?));
    }
    files.push(("index.html".to_owned(), page(plan, &summary, &pictures).into_bytes()));
    let mut paths = Vec::new();
    for (name, bytes) in files {
        let path = out.join(name);
        atomic::write(&path, |file| file.write_all(&bytes))?;
        paths.push(path);
    }
    Ok(paths)
}

/// The columns, and what they hold of a line.
pub(super) fn columns(line: &Line) -> Vec<(&'static str, String)> {
    let of = |f: fn(&super::Point) -> f64| {
        percent(&line.best.iter().map(|(point, _)| f(point)).collect::<Vec<_>>())
    };
    let steps = line.best.iter().map(|(point, _)| point.step as f64).collect();
    let drops: Vec<f64> =
        line.best.iter().zip(&line.kept_before).map(|((p, _), before)| before - p.kept).collect();
    let bounds: Vec<f64> = line.best.iter().filter_map(|(_, bound)| *bound).collect();
    let within = |i: usize| percent(&line.within.iter().map(|w| w[i]).collect::<Vec<_>>());
    // What is trained anew has nothing to lose, and where nothing is modified nothing is reached.
    let from_nothing = line.cell.data == Data::Retrain;
    let or = |absent: bool, value: String| if absent { "-".to_owned() } else { value };
    let none_modified = line.cell.size == 0;
    vec![
        ("A_M", or(none_modified, of(|point| point.modified))),
        ("A_F\\S", of(|point| point.kept)),
        ("mean", or(none_modified, of(super::Point::mean))),
        ("drop of A_F\\S", or(from_nothing, percent(&drops))),
        ("A_M in other words", or(none_modified, of(|point| point.reworded))),
        ("A_F\\S in other words", of(|point| point.kept_reworded)),
        ("A_M at a drop <= 1", or(from_nothing, within(0))),
        ("<= 5", or(from_nothing, within(1))),
        ("area", or(none_modified, percent(&line.area))),
        ("bound", if bounds.is_empty() { "-".to_owned() } else { distinct(bounds) }),
        ("step", distinct(steps)),
        ("seconds", format!("{:.0}", line.seconds)),
    ]
}

/// Each number once, the smallest first.
fn distinct(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}

fn percent(shares: &[f64]) -> String {
    let shares: Vec<f64> = shares.iter().map(|share| 100.0 * share).collect();
    match mean_and_interval(&shares) {
        (mean, Some(half)) => format!("{mean:.1} ± {half:.1}"),
        (mean, None) => format!("{mean:.1}"),
    }
}

fn table(plan: &Plan, summary: &Summary) -> String {
    let mut text = String::new();
    for (i, line) in summary.lines.iter().enumerate() {
        let columns = columns(line);
        if i == 0 {
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            text +=
                &format!("| |M| | method | {} |\n", names.join(" | ")).replace("|M|", "\\|M\\|");
            text += &format!("|---:|---|{}\n", "---:|".repeat(names.len()));
        }
        let values: Vec<String> = columns.into_iter().map(|(_, value)| value).collect();
        let (size, name) = (line.cell.size, name_of(line, summary));
        text += &format!("| {size} | {name} | {} |\n", values.join(" | "));
    }
    text + "\n" + &notes(plan) + "\n"
}

/// What the columns mean.
pub(super) fn notes(plan: &Plan) -> String {
    let n = plan.seeds.len();
    format!(
        "All in percent, at the step and the bound of the best mean of A_M and A_F\\S; {n} seed{}{}. \
         A_M: modified facts whose new object is the most likely one. A_F\\S: other facts (at most \
         {} of them are asked) whose object is still so. *at a drop <= d*: the best A_M among all \
         steps and bounds that cost at most d points of A_F\\S. *area*: under the whole trade-off \
         curve.",
        if n == 1 { "" } else { "s" },
        if n == 1 { "" } else { ", with 95% intervals of the mean" },
        plan.facts.measured,
    )
}

/// A line's name: what not all lines have in common.
pub(super) fn name_of(line: &Line, summary: &Summary) -> String {
    let place = [
        differ(line, summary, |line| blocks(&line.cell.blocks)),
        differ(line, summary, |line| line.cell.component.name().to_owned()),
    ];
    let method = [Some(method_of(line, summary))];
    method.into_iter().chain(place).flatten().collect::<Vec<_>>().join(", ")
}

/// Its name but for the blocks and the component: what the lines of a heat map have in common.
fn method_of(line: &Line, summary: &Summary) -> String {
    let parts = [
        differ_among(line, summary, |_| true, |line| line.cell.start.name().to_owned()),
        Some(line.cell.data.name().to_owned()),
        differ(line, summary, |line| from(line.cell.from).to_owned()),
        differ_among(line, summary, |_| true, |line| memory(line.cell.memory).to_owned()),
        differ(line, summary, |line| line.cell.constraint.name().to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What `of` says of a line, where that is not the same for all lines that have choices.
fn differ(line: &Line, summary: &Summary, of: fn(&Line) -> String) -> Option<String> {
    differ_among(line, summary, has_choices, of).filter(|_| has_choices(line))
}

fn differ_among(
    line: &Line,
    summary: &Summary,
    among: fn(&Line) -> bool,
    of: fn(&Line) -> String,
) -> Option<String> {
    let mut all = summary.lines.iter().filter(|line| among(line)).map(of);
    let first = all.next();
    all.any(|other| Some(&other) != first.as_ref()).then(|| of(line))
}

/// Whether it was chosen what of the model is modified, and in what bounds.
fn has_choices(line: &Line) -> bool {
    matches!(line.cell.data, Data::Ftm | Data::Fta)
}

/// Blocks as people name them.
pub(super) fn blocks(blocks: &str) -> String {
    match blocks {
        "all" => "all blocks".to_owned(),
        one if one.parse::<isize>().is_ok() => format!("block {one}"),
        several => format!("blocks {several}"),
    }
}

fn memory(memory: Memory) -> &'static str {
    match memory {
        Memory::Kept => "memory kept",
        Memory::Rewritten => "memory rewritten",
    }
}

fn from(from: From) -> &'static str {
    match from {
        From::Memorized => "memorized",
        From::Start => "not memorized",
    }
}

/// Each picture's name and SVG.
fn pictures(summary: &Summary) -> Result<Vec<(String, String)>> {
    let mut pictures = Vec::new();
    let sizes: BTreeSet<usize> = summary.lines.iter().map(|line| line.cell.size).collect();
    for size in sizes {
        let of_size: Vec<&Line> =
            summary.lines.iter().filter(|line| line.cell.size == size).collect();
        let named: Vec<(String, &Line)> =
            of_size.iter().map(|line| (name_of(line, summary), *line)).collect();
        let title = format!("{size} facts modified");
        pictures.push((format!("trade-off-{size}"), trade_off(&title, &named)?));
        let mut maps: Vec<(String, Vec<&Line>)> = Vec::new();
        for line in of_size.into_iter().filter(|line| has_choices(line)) {
            let method = method_of(line, summary);
            match maps.iter_mut().find(|(name, _)| *name == method) {
                Some((_, lines)) => lines.push(line),
                None => maps.push((method, vec![line])),
            }
        }
        maps.retain(|(_, lines)| lines.len() > 1);
        for (i, (method, lines)) in maps.iter().enumerate() {
            let number = if maps.len() > 1 { format!("-{}", i + 1) } else { String::new() };
            let title = format!("{size} facts modified, {method}");
            pictures.push((format!("heat-map-{size}{number}"), heat_map(&title, lines)?));
        }
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_bounds_are_in_the_order_of_numbers() {
        assert_eq!(distinct(vec![12.0, 8.0, 16.0, 8.0, 4.0]), "4, 8, 12, 16");
        assert_eq!(distinct(vec![10.0, 0.001, 3.0, 0.0003]), "0.0003, 0.001, 3, 10");
    }
}
