//! `metrics`: what reports measure, and where it is defined.

use anyhow::Result;
use retcon::eval::Metric;
use retcon_bench::metrics;
use retcon_bench::results::{Better, MetricInfo};
use serde_json::{Value, json};

use super::Outcome;
use crate::render::{bold, dim, pairs, table};
use crate::shell::Shell;

/// Lists all metrics, or describes one.
pub(crate) fn run(shell: &Shell, metric: Option<&MetricInfo>) -> Result<Outcome> {
    match metric {
        Some(metric) => {
            shell.say(describe(metric))?;
            shell.emit(&to_json(metric))?;
        }
        None => {
            let all = metrics();
            let mut rows = table(["metric", "published as", "what it is"]);
            for metric in &all {
                rows.add_row([&metric.name, &metric.also, &metric.summary]);
            }
            shell.say(rows.trim_fmt())?;
            shell.note(
                "\n`tf`: fed the object's tokens; `free`: the model speaks; `same`: as before the edit.\n\
                 `retcon metrics NAME` tells where one is defined",
            )?;
            shell.emit(&all.iter().map(to_json).collect::<Vec<_>>())?;
        }
    }
    Ok(Outcome::Done)
}

fn describe(metric: &MetricInfo) -> String {
    let better = match metric.better {
        Better::Higher => "more",
        Better::Lower => "less",
    };
    let rows = [
        ("what", metric.summary.clone()),
        ("questions", axes(metric).join(", ")),
        ("better", better.to_owned()),
        ("published as", metric.also.clone()),
        ("source", dim().apply_to(&metric.source).to_string()),
    ];
    let rows = rows.into_iter().filter(|(_, text)| !text.is_empty());
    format!("{}\n{}", bold().apply_to(&metric.name), pairs(rows))
}

/// The axes whose questions count; none for what is measured of a whole model.
fn axes(metric: &MetricInfo) -> Vec<&'static str> {
    let of_cases = Metric::find(&metric.name);
    of_cases.iter().flat_map(|metric| metric.axes).map(|axis| axis.name()).collect()
}

fn to_json(metric: &MetricInfo) -> Value {
    json!({
        "name": metric.name,
        "axes": axes(metric),
        "summary": metric.summary,
        "also": metric.also,
        "source": metric.source,
        "unit": metric.unit,
        "better": metric.better,
        "is_free": metric.name.contains(".free"),
    })
}
