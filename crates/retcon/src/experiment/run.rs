//! Carrying out a plan: one record a cell, appended to a file; what is there is not done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::squares::{largest, sum_of_squares};
use retcon_model::{Model, WeightId, atomic};

use super::cell::{Cell, Record};
use super::choice::{Data, From, Lookup, Memory, Start};
use super::material::Material;
use super::plan::Plan;
use super::questions::Questions;
use super::records::{Records, io};
use crate::edit::scope::{Blocks, Scope};
use crate::edit::{Ctx, Progress};
use crate::error::{Error, Result};
use crate::train::{Constraint, Course, Share, Stream, Trainer};

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
    let cells = plan.cells(model.spec().n_stored_blocks());
    let mut material = Material::read(&plan.facts, model, plan.seeds[0])?.modifiable()?;
    material.tell_entries = plan.memorize.lookup == Lookup::Supervised;
    let lab = Lab { plan, material: &material, out };
    let pretrained = lab.bare(model, Start::Pretrained)?;
    // What can't be done is found before the folder is made and hours have gone into the rest.
    for cell in &cells {
        scope(cell)?.weights(&pretrained)?;
    }
    for (size, seed) in cells.iter().map(|cell| (cell.size, cell.seed)).collect::<BTreeSet<_>>() {
        material.modified(size, seed)?;
    }
    fs::create_dir_all(out).map_err(|error| io(out, &error))?;
    claim(plan, model, out)?;
    let mut records = Records::open(&out.join(RECORDS))?;
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

/// How a cell is trained.
fn course(plan: &Plan, cell: &Cell) -> Course {
    match cell.data {
        Data::Nothing => Course { steps: 0, ..plan.modify.course.clone() },
        Data::Retrain => plan.memorize.course.clone(),
        _ => Course { constraint: cell.constraint, ..plan.modify.course.clone() },
    }
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
        let done = work(&Ctx { progress: &progress, ..*self.ctx })?;
        self.before.store(before + n_steps, Ordering::Relaxed);
        Ok(done)
    }
}

/// Makes `out` the folder of this plan and model.
fn claim(plan: &Plan, model: &Model, out: &Path) -> Result<()> {
    let path = out.join(PLAN);
    let spec = model.spec();
    let plan = serde_json::json!({
        "plan": plan,
        "model": {
            "family": spec.family, "n_blocks": spec.n_blocks, "d_model": spec.d_model,
            "embeddings": model.fingerprint(WeightId::global(retcon_model::Part::Embed))?,
        },
    });
    match fs::read_to_string(&path) {
        Ok(found) => {
            let found: serde_json::Value = serde_json::from_str(&found).unwrap_or_default();
            if found != plan {
                return Err(Error::OtherExperiment { folder: out.to_owned() });
            }
            Ok(())
        }
        Err(_) => {
            let text = serde_json::to_string_pretty(&plan).expect("a plan has string keys");
            Ok(atomic::write(&path, |file| file.write_all(text.as_bytes()))?)
        }
    }
}

fn scope(cell: &Cell) -> Result<Scope> {
    let blocks: Blocks = cell.blocks.parse()?;
    Ok(Scope { blocks, components: vec![cell.component] })
}

/// What all cells of a start share.
struct Lab<'a> {
    plan: &'a Plan,
    material: &'a Material<'a>,
    out: &'a Path,
}

impl Lab<'_> {
    /// `model` before it has seen the facts, but for those that lie in its memory.
    fn bare(&self, model: &Model, start: Start) -> Result<Model> {
        let seed = self.plan.seeds[0];
        let model = match start {
            Start::Pretrained => model.clone(),
            Start::Random => model.redrawn(seed)?,
        };
        match self.plan.memorize.lookup {
            Lookup::None => Ok(model),
            Lookup::Free | Lookup::Supervised => {
                Ok(model.with_memory(Arc::new(self.material.memory(&[])?), seed)?)
            }
        }
    }

    /// `bare` after it has memorized all facts; kept in the folder, and resumed from there.
    fn memorized(&self, ctx: &Ctx<'_>, bare: &Model, start: Start) -> Result<Model> {
        let course = &self.plan.memorize.course;
        let texts = self.material.trained(|fact| Some(self.object(fact)))?;
        let ids = Scope::all().weights(bare)?;
        let stream = Stream::of(0..texts.len(), course.batch, self.plan.seeds[0]);
        let mut trainer = Trainer::new(bare, ids, texts, stream, course.clone())?;
        let mut run = serde_json::json!({
            "facts": self.plan.facts, "course": course, "start": start, "seed": self.plan.seeds[0],
        });
        let lookup = self.plan.memorize.lookup;
        if lookup != Lookup::None {
            run["lookup"] = serde_json::json!(lookup);
        }
        let state = self.out.join(format!("memorized-{}.safetensors", start.name()));
        trainer.finish(ctx, Some((&state, &run.to_string())))?;
        trainer.model_now()
    }

    /// The true object of a fact.
    fn object(&self, fact: usize) -> String {
        self.material.set.triples[fact].object.clone()
    }

    /// Modifies facts in `from` as `cell` says.
    fn modify(&self, ctx: &Ctx<'_>, from: &Model, cell: &Cell) -> Result<Record> {
        let clock = Instant::now();
        let modified = self.material.modified(cell.size, cell.seed)?;
        let list = self.material.set.modified_to_jsonl(&modified)?;
        let name = format!("modified-{}-{}.jsonl", cell.size, cell.seed);
        atomic::write(&self.out.join(name), |file| file.write_all(list.as_bytes()))?;
        let most = self.plan.facts.measured;
        let questions = Questions::new(self.material, &modified, most, cell.seed)?;
        let chosen: BTreeMap<usize, &str> =
            modified.iter().map(|m| (m.fact, m.object.as_str())).collect();
        let mut texts =
            self.material.trained(|fact| chosen.get(&fact).map(|&object| object.to_owned()))?;
        let n_modified = texts.len();
        let mixed = cell.data != Data::Ftm || matches!(cell.constraint, Constraint::Loss { .. });
        if mixed {
            texts.extend(
                self.material
                    .trained(|fact| (!chosen.contains_key(&fact)).then(|| self.object(fact)))?,
            );
        }
        let course = course(self.plan, cell);
        let rewritten = match cell.memory {
            Memory::Kept => None,
            Memory::Rewritten => Some(from.with_facts(Arc::new(self.material.memory(&modified)?))?),
        };
        let from = rewritten.as_ref().unwrap_or(from);
        let ids = scope(cell)?.weights(from)?;
        let asked = questions.asked(from, &ids)?;
        let every = match cell.data {
            // As often over its course as the others over theirs.
            Data::Retrain => {
                let looks = self.plan.modify.course.steps.div_ceil(self.plan.modify.every);
                course.steps.div_ceil(looks.max(1)).max(1)
            }
            _ => self.plan.modify.every,
        };
        let stream = self.stream(cell, &course, n_modified, texts.len());
        let mut trainer = Trainer::new(from, ids, texts, stream, course.clone())?;
        let (first, mut last) = asked.point(0, &trainer.thetas(Var::constant))?;
        let mut points = vec![first];
        while trainer.n_steps() < course.steps {
            let step = trainer.step()?;
            let done = trainer.n_steps();
            ctx.report(&step.progress("modifying", done, course.steps))?;
            if done.is_multiple_of(every) || done == course.steps {
                let (point, said) = asked.point(done, &trainer.thetas(Var::constant))?;
                points.push(point);
                last = said;
            }
        }
        Ok(Record {
            cell: cell.clone(),
            points,
            n: [questions.modified.len(), questions.kept.len()],
            by_relation: questions.by_relation(&last),
            moved: trainer.changes().map(moved).collect::<Result<_>>()?,
            seconds: clock.elapsed().as_secs_f64(),
        })
    }

    fn stream(&self, cell: &Cell, course: &Course, n_modified: usize, n: usize) -> Stream {
        let batch = course.batch;
        if matches!(cell.constraint, Constraint::Loss { .. }) && cell.data != Data::Retrain {
            // As many texts are watched as are learned.
            let shares = [0..n_modified, n_modified..n]
                .map(|texts| Share { per_step: batch.min(texts.len()), texts });
            return Stream::new(shares, cell.seed);
        }
        match (cell.data, self.plan.modify.share) {
            (Data::Fta, Some(share)) => {
                let of_modified = ((batch as f64 * share).round() as usize).clamp(1, batch);
                Stream::new(
                    [
                        Share { texts: 0..n_modified, per_step: of_modified },
                        Share { texts: n_modified..n, per_step: batch - of_modified },
                    ],
                    cell.seed,
                )
            }
            _ => Stream::of(0..n, batch, cell.seed),
        }
    }
}

fn moved((id, change): (WeightId, &Tensor)) -> Result<(String, f64, f64)> {
    Ok((id.to_string(), sum_of_squares(change)?.sqrt(), largest(change)?))
}
