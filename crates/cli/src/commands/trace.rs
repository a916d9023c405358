//! `trace`: where a model keeps its facts, as tables, and as pictures where wanted.

mod pictures;
mod tables;

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Result;
use retcon::data::knowledge::FactSet;
use retcon::trace::{
    Attribution, Average, Question, Settings, Shared, Trace, attribute, averages, deviation,
    refine, trace,
};
use retcon::{Ctx, Model};
use serde_json::{Value, json};

use super::Outcome;
use crate::job::{self, Asked};
use crate::render::{percent, progress};
use crate::shell::Shell;

/// Points of the integral (Dai et al. 2022).
const POINTS: usize = 20;
/// A neuron has more than this share of the highest attribution (the same).
const SHARE: f64 = 0.2;
/// A fact's neurons are those of at least this share of its prompts (the same).
const OF_PROMPTS: f64 = 0.7;
/// More prompts than this are told in a line each.
const MOST_TABLES: usize = 5;

/// The neurons of one fact.
struct Bag {
    prompts: Vec<Attribution>,
    /// What the prompts have in common, where they are enough.
    shared: Option<Vec<Shared>>,
}

/// All that was found.
struct Found {
    /// The standard deviation of subjects' embeddings.
    deviation: f64,
    traces: Vec<Trace>,
    averages: Vec<Average>,
    bags: Vec<Bag>,
    skipped: Vec<Value>,
    seconds: f64,
}

/// Traces every prompt, prints what was found and draws it.
pub(crate) fn run(shell: &Shell, job: &job::Trace) -> Result<Outcome> {
    let model = job.model.open(shell, &job.deltas)?;
    let start = Instant::now();
    let ctx = Ctx::new(job.seed);
    let found = progress::watched(shell, ctx, |ctx| find(ctx, shell, job, &model))?;
    let found = Found { seconds: start.elapsed().as_secs_f64(), ..found };
    shell.check()?;
    say(shell, job, &found)?;
    let files = match &job.out {
        Some(out) => pictures::write(job, &found, out)?,
        None => Vec::new(),
    };
    for file in &files {
        shell.note(format!("wrote {}", file.display()))?;
    }
    let bag = |bag: &Bag| {
        let prompt = |prompt: &Attribution| {
            let mut value = serde_json::to_value(prompt)?;
            value["neurons"] = serde_json::to_value(prompt.neurons(SHARE))?;
            Ok(value)
        };
        let prompts = bag.prompts.iter().map(prompt).collect::<Result<Vec<_>>>()?;
        Ok(json!({ "prompts": prompts, "shared": bag.shared }))
    };
    shell.emit(&json!({
        "model": job.model.to_string(),
        "seed": job.seed,
        "noise": {
            "factor": job.noise,
            "deviation": found.deviation,
            "samples": job.samples,
        },
        "window": job.window,
        "skipped": found.skipped,
        "traces": found.traces,
        "averages": found.averages,
        "neurons": found.bags.iter().map(bag).collect::<Result<Vec<_>>>()?,
        "files": files,
        "seconds": found.seconds,
    }))?;
    Ok(Outcome::Done)
}

fn find(ctx: &Ctx<'_>, shell: &Shell, job: &job::Trace, model: &Model) -> Result<Found> {
    let mut found = Found {
        deviation: 0.0,
        traces: Vec::new(),
        averages: Vec::new(),
        bags: Vec::new(),
        skipped: Vec::new(),
        seconds: 0.0,
    };
    if !job.kinds.is_empty() {
        found.deviation = deviation(model, &subjects(job))?;
        let settings = Settings {
            kinds: job.kinds.clone(),
            noise: job.noise * found.deviation,
            samples: job.samples,
            window: job.window,
        };
        for asked in &job.asked {
            match question(shell, model, asked)? {
                Ok(question) => found.traces.push(trace(ctx, model, &question, &settings)?),
                Err(skipped) => found.skipped.push(skipped),
            }
        }
        if found.traces.len() > 1 {
            found.averages = averages(&found.traces);
        }
    }
    if job.neurons {
        for bag in &job.bags {
            let mut prompts = Vec::new();
            for asked in bag {
                // Neurons are asked of whatever the prompt's answer is.
                let question = Question::new(model, &asked.prompt, asked.object.as_deref())?;
                prompts.push(attribute(ctx, model, &question, POINTS)?);
            }
            let shared = refine(&prompts, SHARE, OF_PROMPTS);
            found.bags.push(Bag { prompts, shared });
        }
    }
    Ok(found)
}

/// Whose embeddings tell how strong the noise is; each once.
fn subjects(job: &job::Trace) -> Vec<String> {
    let subjects: BTreeSet<String> = match &job.subjects {
        Some(subjects) => subjects.iter().cloned().collect(),
        None => FactSet::world().triples.into_iter().map(|triple| triple.subject).collect(),
    };
    subjects.into_iter().collect()
}

/// What is asked, or why that makes no sense, which is told.
fn question(shell: &Shell, model: &Model, asked: &Asked) -> Result<Result<Question, Value>> {
    let question = Question::new(model, &asked.prompt, asked.object.as_deref())?;
    let marked = question.prompt.marked();
    if question.leads {
        return Ok(Ok(question));
    }
    let (object, says) = (&question.object, &question.says);
    let instead = format!("the model says {says:?}, and {object} with {}: {marked}", {
        percent(question.probability)
    });
    if asked.only_if_said {
        shell.note(format!("skipped, {instead}"))?;
        return Ok(Err(json!({ "prompt": marked, "object": object, "says": says })));
    }
    shell.note(format!("traced nevertheless, {instead}"))?;
    Ok(Ok(question))
}

fn say(shell: &Shell, job: &job::Trace, found: &Found) -> Result<()> {
    let in_full = found.traces.len() <= MOST_TABLES;
    for trace in &found.traces {
        shell.say(tables::headline(trace))?;
        if in_full {
            for map in &trace.maps {
                shell.say(format!("\n{}", tables::map(trace, map)))?;
            }
            shell.say("")?;
        }
    }
    if in_full && found.traces.iter().any(|trace| !trace.maps.is_empty()) {
        shell.say(tables::LEGEND)?;
    }
    for average in &found.averages {
        shell.say(format!("\n{}\n", tables::average(average)))?;
    }
    for bag in &found.bags {
        shell.say(format!("{}\n", tables::bag(bag)))?;
    }
    if !job.kinds.is_empty() {
        let (factor, deviation, samples) = (job.noise, found.deviation, job.samples);
        shell.say(format!(
            "noise: {factor} times {deviation:.4}, {samples} draws; {:.1} s in all",
            found.seconds
        ))?;
    }
    Ok(())
}
