//! `experiment`: a plan becomes a folder with records, a table, pictures and a page.

use anyhow::{Context, Result};
use retcon::Ctx;
use retcon::experiment::{Record, report, run as carry_out};
use serde_json::json;

use super::Outcome;
use crate::job::Experiment;
use crate::render::progress;
use crate::shell::Shell;

/// Carries out what is missing in the folder, and writes its report.
pub(crate) fn run(shell: &Shell, job: &Experiment) -> Result<Outcome> {
    let model = job.model.open(shell, &[])?;
    let n_cells = job.plan.cells(model.spec().n_stored_blocks()).len();
    shell.note(format!("{}: {n_cells} cells", job.plan.name))?;
    let ctx = Ctx::new(job.plan.seeds.first().copied().unwrap_or_default());
    let records = progress::watched(shell, ctx, |ctx| carry_out(ctx, &job.plan, &model, &job.out));
    let records = records.with_context(|| {
        format!("what was finished is kept in {}; the same command goes on", job.out.display())
    })?;
    let files = report(&job.plan, &records, &job.out)?;
    let table = files.first().context("a report has a table")?;
    let text = std::fs::read_to_string(table)
        .with_context(|| format!("cannot read {}", table.display()))?;
    shell.say(text.trim_end())?;
    let seconds: f64 = records.iter().map(|record: &Record| record.seconds).sum();
    shell.say(format!("\n{} cells in {seconds:.0} s; see {}", records.len(), page(&files)))?;
    shell.emit(&json!({ "plan": job.plan, "files": files, "records": records }))?;
    Ok(Outcome::Done)
}

fn page(files: &[std::path::PathBuf]) -> String {
    files.last().map(|page| page.display().to_string()).unwrap_or_default()
}
