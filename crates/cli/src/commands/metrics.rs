//! `metrics`: what reports measure, and where it is defined.

use anyhow::Result;
use retcon::eval::{METRICS, Metric};
use serde_json::{Value, json};

use super::Outcome;
use crate::render::{bold, dim, pairs, table};
use crate::shell::Shell;

/// Lists all metrics, or describes one.
pub(crate) fn run(shell: &Shell, metric: Option<&Metric>) -> Result<Outcome> {
    match metric {
        Some(metric) => {
            shell.say(describe(metric))?;
            shell.emit(&to_json(metric))?;
        }
        None => {
            let mut rows = table(["metric", "published as", "what it is"]);
            for metric in METRICS {
                rows.add_row([metric.name, metric.also, metric.measure.summary()]);
            }
            shell.say(rows.trim_fmt())?;
            shell.note(
                "\n`tf`: fed the object's tokens; `free`: the model speaks; `same`: as before the edit.\n\
                 `retcon metrics NAME` tells where one is defined",
            )?;
            shell.emit(&METRICS.iter().map(to_json).collect::<Vec<_>>())?;
        }
    }
    Ok(Outcome::Done)
}

fn describe(metric: &Metric) -> String {
    let axes: Vec<_> = metric.axes.iter().map(|axis| axis.name()).collect();
    let rows = [
        ("what", metric.measure.summary().to_owned()),
        ("questions", axes.join(", ")),
        ("published as", metric.also.to_owned()),
        ("source", dim().apply_to(metric.source).to_string()),
    ];
    let rows = rows.into_iter().filter(|(_, text)| !text.is_empty());
    format!("{}\n{}", bold().apply_to(metric.name), pairs(rows))
}

fn to_json(metric: &Metric) -> Value {
    json!({
        "name": metric.name,
        "axes": metric.axes,
        "summary": metric.measure.summary(),
        "also": metric.also,
        "source": metric.source,
        "is_free": metric.measure.is_free(),
    })
}
