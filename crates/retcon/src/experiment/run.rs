//! Carrying out a plan: one record a cell, appended to a file; what is there is not done again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use retcon_model::{Model, atomic};

use super::cell::{Cell, Record};
use super::choice::{From, Lookup, Start};
use super::lab::{Lab, course, scope};
use super::material::Material;
use super::plan::Plan;
use super::records::{Records, io};
use crate::ctx::{Ctx, Progress};
use crate::error::{Error, Result};
use crate::identity::model_id;

/// The plan of a folder, which no other plan may use.
const PLAN: &str = "plan.json";

/// One record a line.
const RECORDS: &str = "records.jsonl";

/// Carries out `plan` on `model` in the folder `out`, and gives all records, in the plan's order.
///
/// # Errors
/// [`Error::OtherExperiment`] where the folder is another plan's, [`Error::Canceled`], and what
/// training reports. What has been recorded stays.
pub fn run(ctx: &Ctx<'_>, plan: &Plan, model: &Model, out: &Path) -> Result<Vec<Record>> {
    plan.check()?;
    let cells = plan.cells(model.spec().n_stored_blocks());
    let mut material = Material::read(&plan.facts, model, plan.seeds[0])?.modifiable()?;
    material.tell_entries = plan.memorize.lookup == Lookup::Supervised;
    let lab = Lab { plan, material: &material, out };
    let pretrained = lab.bare(model, Start::Pretrained)?;
    // What can't be done is found before the folder is made and hours have gone into the rest.
    plan.check_facts(material.set.triples.len())?;
    for cell in &cells {
        scope(cell)?.weights(&pretrained)?;
    }
    for (size, seed) in cells.iter().map(|cell| (cell.size, cell.seed)).collect::<BTreeSet<_>>() {
        material.modified(size, seed)?;
    }
    fs::create_dir_all(out).map_err(|error| io(out, &error))?;
    let mut records = Records::open(&out.join(RECORDS))?;
    claim(plan, model, &material, out, &records)?;
    let missing = cells.iter().filter(|cell| !records.done.contains_key(&cell.key()));
    let missing: Vec<Cell> = missing.cloned().collect();
    let needs = |start: Start| {
        missing.iter().any(|cell| cell.start == start && cell.from == From::Memorized)
    };
    let starts = [Start::Pretrained, Start::Random];
    let n_memorized = starts.into_iter().filter(|&start| needs(start)).count();
    let steps = missing.iter().map(|cell| course(plan, cell).steps);
    let whole = Whole {
        ctx,
        total: n_memorized * plan.memorize.course.steps + steps.sum::<usize>(),
        before: AtomicUsize::new(0),
    };
    for start in starts {
        let of_start = missing.iter().filter(|cell| cell.start == start);
        let of_start: Vec<&Cell> = of_start.collect();
        if of_start.is_empty() {
            continue;
        }
        let bare = match start {
            Start::Pretrained => pretrained.clone(),
            Start::Random => lab.bare(model, start)?,
        };
        let memorized = match needs(start) {
            true => Some(whole.part("memorizing", plan.memorize.course.steps, |ctx| {
                lab.memorized(ctx, &bare, start)
            })?),
            false => None,
        };
        for cell in of_start {
            let from = match (cell.from, &memorized) {
                (From::Memorized, Some(memorized)) => memorized,
                _ => &bare,
            };
            let n_steps = course(plan, cell).steps;
            records.append(whole.part("modifying", n_steps, |ctx| lab.modify(ctx, from, cell))?)?;
            let n_done = records.done.len();
            tracing::info!("{n_done} of {} cells are done: {}", cells.len(), cell.key());
        }
    }
    Ok(cells.iter().filter_map(|cell| records.done.get(&cell.key()).cloned()).collect())
}

/// The progress of all that is missing, from that of its parts.
struct Whole<'a> {
    ctx: &'a Ctx<'a>,
    total: usize,
    /// Steps of the parts that are done.
    before: AtomicUsize,
}

impl Whole<'_> {
    /// Does a part of `n_steps` steps.
    fn part<R>(
        &self,
        stage: &'static str,
        n_steps: usize,
        work: impl FnOnce(&Ctx<'_>) -> Result<R>,
    ) -> Result<R> {
        let before = self.before.load(Ordering::Relaxed);
        let progress = |part: &Progress| {
            let (done, total) = (before + part.done, self.total);
            (self.ctx.progress)(&Progress { stage, done, total, ..*part });
        };
        let done = work(&self.ctx.with_progress(&progress))?;
        self.before.store(before + n_steps, Ordering::Relaxed);
        Ok(done)
    }
}

/// Makes `out` the folder of this plan, model and facts.
fn claim(
    plan: &Plan,
    model: &Model,
    material: &Material<'_>,
    out: &Path,
    records: &Records,
) -> Result<()> {
    let path = out.join(PLAN);
    let (model, facts) = (model_id(model)?, material.id());
    let plan = serde_json::json!({ "plan": plan, "model": model, "facts": facts });
    let found = fs::read_to_string(&path).unwrap_or_default();
    if serde_json::from_str::<serde_json::Value>(&found).is_ok_and(|found| found == plan) {
        return Ok(());
    }
    // A plan that was corrected before anything came of it has nothing to be mixed up with: what was
    // memorized has an identity of its own.
    if !records.done.is_empty() {
        return Err(Error::OtherExperiment { folder: out.to_owned() });
    }
    let text = serde_json::to_string_pretty(&plan).expect("a plan has string keys");
    Ok(atomic::write(&path, |file| file.write_all(text.as_bytes()))?)
}
