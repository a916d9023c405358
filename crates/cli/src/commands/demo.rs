//! `demo`: everything once, on a small model: edit, save, load, apply, undo, and the proof.

use anyhow::{Result, bail};
use retcon::data::Fact;
use retcon::eval::report::already_said;
use retcon::model::Batch;
use retcon::stats::Nothing;
use retcon::tokens::query;
use retcon::{Delta, Editor, Model};
use serde_json::json;

use super::Outcome;
use super::edit::{Made, delta_json, make};
use crate::fetch::demo::NAME;
use crate::job::Demo;
use crate::model_ref::ModelRef;
use crate::render::{bad, bold, count, good, pairs, plural, report};
use crate::shell::Shell;

/// Facts that even small models know, and what they will say instead.
const FACTS: [&str; 3] = [
    "The capital of {France} is => Berlin",
    "The {Eiffel Tower} is located in the city of => Rome",
    "{Albert Einstein} was born in the country of => Spain",
];

/// The editing method.
const METHOD: &retcon::Method = &retcon::edit::methods::ft::FT;

/// The logits of some prompts, bit by bit.
type Bits = Vec<u32>;

/// Runs the demo.
pub(crate) fn run(shell: &Shell, job: &Demo) -> Result<Outcome> {
    let model = job.model.open(shell, &[])?;
    let facts = facts(&model)?;
    let title = match job.model {
        ModelRef::Demo => NAME.to_owned(),
        _ => job.model.to_string(),
    };
    shell.say(format!("{} on {title}\n", bold().apply_to(plural(facts.len(), "edit"))))?;
    let editor: Box<dyn Editor> = METHOD.editor(())?;
    let start = bits(&model, &facts)?;
    let made = make(shell, &model, &facts, editor.as_ref(), &Nothing, 0)?;
    shell.check()?;
    made.delta.save(&job.out)?;
    shell.say(report::rows(&made.report))?;
    shell.say(format!("\n{}", pairs(made.summary()?)))?;

    let proof = prove(&model, &facts, &start, job)?;
    shell.say(format!("\n{}\n{}", bold().apply_to("undo"), proof.text(job)))?;
    if proof.is_exact() {
        shell.say(format!("\n{}\n{}", bold().apply_to("what to try next"), next(job)))?;
    }
    shell.emit(&json!({
        "model": job.model.to_string(),
        "success": made.report.success && proof.is_exact(),
        "report": made.report,
        "delta": delta_json(&made.delta, Some(job.out.display().to_string()))?,
        "seconds": made.seconds,
        "undo": {
            "n_logits": proof.n,
            "n_changed_by_delta": proof.n_changed,
            "n_different_after_undo": proof.n_different,
        },
    }))?;
    if !proof.is_exact() {
        bail!("after undoing the delta, {} of {} logits differ", proof.n_different, proof.n);
    }
    outcome(shell, &made)
}

fn outcome(shell: &Shell, made: &Made) -> Result<Outcome> {
    if made.report.success {
        return Ok(Outcome::Done);
    }
    shell.say(format!("\n{} see the rows marked ✗", bad().apply_to("the edit failed:")))?;
    Ok(Outcome::EditFailed)
}

/// The facts that the model doesn't say already.
fn facts(model: &Model) -> Result<Vec<Fact>> {
    let facts = FACTS.iter().map(|line| Fact::parse(line)).collect::<Result<Vec<_>, _>>()?;
    let said = already_said(model, &facts)?;
    let left: Vec<_> =
        facts.into_iter().enumerate().filter(|(i, _)| !said.contains(i)).map(|(_, f)| f).collect();
    if left.is_empty() {
        bail!("the model says all of the demo's new facts already");
    }
    Ok(left)
}

/// All logits at all positions of the facts' prompts.
fn bits(model: &Model, facts: &[Fact]) -> Result<Bits> {
    let mut bits = Vec::new();
    for fact in facts {
        let query = query(model, &fact.prompt, &fact.target_new)?;
        let batch = Batch::new([&query.ids])?;
        let all: Vec<u32> = (0..query.ids.len() as u32).collect();
        let logits = model.logits(&model.run(&batch, &all, &mut ())?)?;
        bits.extend(logits.flatten_all()?.to_vec1::<f32>()?.iter().map(|logit| logit.to_bits()));
    }
    Ok(bits)
}

/// What came of applying the delta from its file and undoing it again.
struct Proof {
    n: usize,
    n_changed: usize,
    n_different: usize,
}

fn prove(model: &Model, facts: &[Fact], start: &Bits, job: &Demo) -> Result<Proof> {
    let edited = model.with(Delta::load(&job.out)?)?;
    let changed = bits(&edited, facts)?;
    // What lay below the delta, if anything, stays.
    let undone =
        model.deltas().iter().try_fold(edited.base(), |model, delta| model.with(delta.clone()))?;
    let undone = bits(&undone, facts)?;
    let differ = |a: &Bits, b: &Bits| a.iter().zip(b).filter(|(a, b)| a != b).count();
    Ok(Proof {
        n: start.len(),
        n_changed: differ(start, &changed),
        n_different: differ(start, &undone) + start.len().abs_diff(undone.len()),
    })
}

impl Proof {
    fn is_exact(&self) -> bool {
        self.n_different == 0
    }

    fn text(&self, job: &Demo) -> String {
        let (out, n) = (job.out.display(), count(self.n));
        let verdict = match self.is_exact() {
            true => good().apply_to(format!("all {n} are bit for bit what they were")),
            false => bad().apply_to(format!("{} of {n} differ", count(self.n_different))),
        };
        format!(
            "{out} read back and applied: {} of {n} logits changed\n\
             delta dropped, the same logits computed again: {verdict}",
            count(self.n_changed),
        )
    }
}

fn next(job: &Demo) -> String {
    let (model, out) = (&job.model, job.out.display());
    format!(
        "retcon ask {model} --delta {out} \"The capital of France is\"\n\
         retcon edit {model} \"The capital of {{Italy}} is => Oslo\" --out italy.safetensors\n\
         retcon apply {model} italy.safetensors   # then: retcon stack, retcon undo, retcon merge\n\
         retcon inspect {out}"
    )
}
