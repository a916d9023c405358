//! Doing one cell: a model memorizes, is modified, and is measured on the way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::squares::{largest, sum_of_squares};
use retcon_model::{Model, WeightId, atomic};

use super::cell::{Cell, Record};
use super::choice::{Data, Lookup, Memory, Start};
use super::material::Material;
use super::plan::Plan;
use super::questions::Questions;
use crate::ctx::Ctx;
use crate::data::knowledge::Modified;
use crate::edit::scope::{Blocks, Scope};
use crate::error::Result;
use crate::identity::{model_id, texts_id};
use crate::tokens::Query;
use crate::train::{Constraint, Course, Share, Stream, Trainer};

/// What all cells share.
pub(super) struct Lab<'a> {
    pub(super) plan: &'a Plan,
    pub(super) material: &'a Material<'a>,
    /// The folder of results.
    pub(super) out: &'a Path,
}

impl Lab<'_> {
    /// `model` before it has seen the facts, but for those that lie in its memory.
    pub(super) fn bare(&self, model: &Model, start: Start) -> Result<Model> {
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
    pub(super) fn memorized(&self, ctx: &Ctx<'_>, bare: &Model, start: Start) -> Result<Model> {
        let course = &self.plan.memorize.course;
        let texts = self.material.trained(|fact| Some(self.object(fact)))?;
        // What it depends on and nothing else: another plan may go on from it.
        let run = serde_json::json!({
            "model": model_id(bare)?, "texts": texts_id(&texts), "course": course,
            "seed": self.plan.seeds[0],
        });
        let ids = Scope::all().weights(bare)?;
        let stream = Stream::of(0..texts.len(), course.batch, self.plan.seeds[0]);
        let mut trainer = Trainer::new(bare, ids, texts, stream, course.clone())?;
        let state = self.out.join(format!("memorized-{}.safetensors", start.name()));
        trainer.finish(ctx, Some((&state, &run.to_string())))?;
        trainer.model_now()
    }

    /// The true object of a fact.
    fn object(&self, fact: usize) -> String {
        self.material.set.triples[fact].object.clone()
    }

    /// Modifies facts in `from` as `cell` says.
    pub(super) fn modify(&self, ctx: &Ctx<'_>, from: &Model, cell: &Cell) -> Result<Record> {
        let clock = Instant::now();
        let modified = self.material.modified(cell.size, cell.seed)?;
        let list = self.material.set.modified_to_jsonl(&modified)?;
        let name = format!("modified-{}-{}.jsonl", cell.size, cell.seed);
        atomic::write(&self.out.join(name), |file| file.write_all(list.as_bytes()))?;
        let most = self.plan.facts.measured;
        let questions = Questions::new(self.material, &modified, most, cell.seed)?;
        let (texts, n_modified) = self.texts(cell, &modified)?;
        let course = course(self.plan, cell);
        let rewritten = match cell.memory {
            Memory::Kept => None,
            Memory::Rewritten => Some(from.with_facts(Arc::new(self.material.memory(&modified)?))?),
        };
        let ids = scope(cell)?.weights(from)?;
        let mut points = Vec::new();
        if rewritten.is_some() {
            // What was there before is what is lost.
            let now = ids.iter().map(|&id| from.weight(id)?.to_tensor(from.device()));
            let now: Vec<Var> = now.map(|now| Ok(Var::constant(now?))).collect::<Result<_>>()?;
            points.push(questions.asked(from, &ids)?.point(0, &now)?.0);
        }
        let from = rewritten.as_ref().unwrap_or(from);
        let asked = questions.asked(from, &ids)?;
        let every = self.every(cell, &course);
        let stream = self.stream(cell, &course, n_modified, texts.len());
        let mut trainer = Trainer::new(from, ids, texts, stream, course.clone())?;
        let (first, mut last) = asked.point(0, &trainer.thetas(Var::constant))?;
        points.push(first);
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

    /// What is trained on in tokens, the modified facts first, and how many texts these are.
    fn texts(&self, cell: &Cell, modified: &[Modified]) -> Result<(Vec<Query>, usize)> {
        let chosen: BTreeMap<usize, &str> =
            modified.iter().map(|m| (m.fact, m.object.as_str())).collect();
        let new = |fact| chosen.get(&fact).map(|&object| object.to_owned());
        let old = |fact| (!chosen.contains_key(&fact)).then(|| self.object(fact));
        let mut texts = self.material.trained(new)?;
        let n_modified = texts.len();
        if cell.data != Data::Ftm || matches!(cell.constraint, Constraint::Loss { .. }) {
            texts.extend(self.material.trained(old)?);
        }
        Ok((texts, n_modified))
    }

    /// Steps between measurements.
    fn every(&self, cell: &Cell, course: &Course) -> usize {
        match cell.data {
            // As often over its course as the others over theirs.
            Data::Retrain => {
                let looks = self.plan.modify.course.steps.div_ceil(self.plan.modify.every);
                course.steps.div_ceil(looks.max(1)).max(1)
            }
            _ => self.plan.modify.every,
        }
    }

    /// Which of the texts make a step.
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

/// How a cell is trained.
pub(super) fn course(plan: &Plan, cell: &Cell) -> Course {
    match cell.data {
        Data::Nothing => Course { steps: 0, ..plan.modify.course.clone() },
        Data::Retrain => plan.memorize.course.clone(),
        _ => Course { constraint: cell.constraint, ..plan.modify.course.clone() },
    }
}

/// The weights that a cell may change.
pub(super) fn scope(cell: &Cell) -> Result<Scope> {
    let blocks: Blocks = cell.blocks.parse()?;
    Ok(Scope { blocks, components: vec![cell.component] })
}

/// How far a weight is from where it started.
fn moved((id, change): (WeightId, &Tensor)) -> Result<(String, f64, f64)> {
    Ok((id.to_string(), sum_of_squares(change)?.sqrt(), largest(change)?))
}
