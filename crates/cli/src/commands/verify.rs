//! `verify`: whether an edit does what it should and nothing else, for a pipeline.

use anyhow::{Result, bail};
use retcon::compare;
use retcon::data::Fact;
use retcon::data::case::Axis;
use retcon::edit::facts_of;
use retcon::eval::questions::Counts;
use retcon::model::atomic;
use serde::Serialize;
use serde_json::json;

use super::Outcome;
use crate::failure::advised;
use crate::job::Verify;
use crate::render::{bad, good, percent, plural, progress, report, table};
use crate::shell::Shell;

/// Measures the edit, and holds it against the limits.
pub(crate) fn run(shell: &Shell, job: &Verify) -> Result<Outcome> {
    let before = job.model.open(shell, &[])?;
    let after = job.model.open(shell, &job.deltas)?;
    let base = before.deltas().len();
    let facts: Vec<Fact> = match &job.facts {
        Some(facts) => facts.clone(),
        None => after.deltas()[base..].iter().flat_map(|delta| facts_of(delta)).collect(),
    };
    if facts.is_empty() {
        let what = "the deltas don't say which facts they edit";
        bail!(advised(what, "give the facts that must hold with --facts"));
    }
    // The texts that the edit itself was measured over, and held back by.
    let of_edit = after.deltas()[base..].first().map(|delta| delta.record.seed);
    let seed = job.seed.or(of_edit).unwrap_or(0);
    let spinner = progress::spinner(shell, "measuring");
    let counts = Counts { paraphrases: 4, neighbors: 6, unrelated: 12 };
    let measured = compare(&before, &after, &facts, counts, seed);
    spinner.finish_and_clear();
    let measured = measured?;
    let checks = checks(job, &measured);
    let passed = checks.iter().all(|check| check.passed);
    shell.say(report::rows(&measured))?;
    shell.say(format!("\n{}", lines(&checks)))?;
    let edits = plural(facts.len(), "edit");
    shell.say(match passed {
        true => format!("\n{} {edits} within the limits", good().apply_to("ok:")),
        false => format!("\n{} {edits} not within the limits", bad().apply_to("refused:")),
    })?;
    if let Some(path) = &job.markdown {
        let text = markdown(job, &checks, passed);
        atomic::write(path, |to| to.write_all(text.as_bytes()))?;
    }
    shell.emit(&json!({
        "model": job.model.to_string(),
        "deltas": job.deltas,
        "passed": passed,
        "checks": checks,
        "report": measured,
    }))?;
    Ok(if passed { Outcome::Done } else { Outcome::OverLimit })
}

/// A number that was measured, and what it has to be.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    /// What it is, in words.
    what: &'static str,
    /// `None` where there was nothing to measure.
    value: Option<f64>,
    /// How many it is a share or a mean of.
    n: usize,
    limit: Option<f64>,
    passed: bool,
}

fn checks(job: &Verify, measured: &retcon::Report) -> Vec<Check> {
    let limits = job.limits;
    let share = |name, what, axis: Axis, limit: Option<f64>| {
        let (ok, n) = measured.tally(axis);
        let value = (n > 0).then(|| ok as f64 / n as f64);
        // Nothing to measure is no proof.
        let passed = limit.is_none_or(|least| value.is_some_and(|value| value >= least));
        Check { name, what, value, n, limit, passed }
    };
    let drift = measured.drift;
    let moved = (drift.n_positions > 0).then_some(drift.mean_kl);
    vec![
        share("efficacy", "edited prompts get their answer", Axis::Rewrite, limits.min_efficacy),
        share("paraphrase", "so do other wordings", Axis::Paraphrase, limits.min_paraphrase),
        share("locality", "other subjects as before", Axis::Neighbor, limits.min_locality),
        Check {
            name: "drift",
            what: "mean divergence on unrelated text, nats",
            value: moved,
            n: drift.n_positions,
            limit: limits.max_drift,
            passed: limits.max_drift.is_none_or(|most| moved.is_some_and(|moved| moved <= most)),
        },
    ]
}

impl Check {
    fn shown(&self, number: f64) -> String {
        if self.name == "drift" { format!("{number:.2e}") } else { percent(number) }
    }

    fn cells(&self) -> [String; 5] {
        let sign = if self.name == "drift" { "≤" } else { "≥" };
        let limit =
            self.limit.map_or("-".to_owned(), |limit| format!("{sign} {}", self.shown(limit)));
        let verdict = match (self.limit, self.passed) {
            (None, _) => "-",
            (_, true) => "ok",
            (_, false) => "✗",
        };
        let value = self.value.map_or("-".to_owned(), |value| self.shown(value));
        [self.what.to_owned(), value, self.n.to_string(), limit, verdict.to_owned()]
    }
}

const HEADER: [&str; 5] = ["check", "measured", "of", "limit", ""];

fn lines(checks: &[Check]) -> String {
    let mut rows = table(HEADER);
    for check in checks {
        rows.add_row(check.cells());
    }
    rows.trim_fmt()
}

fn markdown(job: &Verify, checks: &[Check], passed: bool) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let deltas: Vec<_> = job.deltas.iter().map(|path| format!("`{}`", path.display())).collect();
    let mut text = format!(
        "# {}\n\nModel `{}`, {}.\n\n",
        if passed { "Verified" } else { "Refused" },
        job.model,
        deltas.join(", ")
    );
    text += &row(&HEADER.map(str::to_owned));
    text += "|---|---:|---:|---:|---|\n";
    text.extend(checks.iter().map(|check| row(&check.cells())));
    text
}
