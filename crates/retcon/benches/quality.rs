//! How well a method edits: one fact at a time, measured, and undone.
//!
//! `cargo bench -p retcon --bench quality -- MODEL FACTS.jsonl STATISTICS METHOD SETTINGS N`, where the
//! facts come with paraphrases and neighbors, statistics are a file of `retcon stats`, and the settings
//! are a JSON object. Prints one line of JSON. `benches/counterfact.py` makes the facts.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::DType;
use retcon::data::{Fact, Prompt};
use retcon::edit::lookup::query;
use retcon::eval::belief::{Score, scores};
use retcon::stats::{self, Given};
use retcon::{Ctx, Method, Model, Options, Precision};
use serde_json::{Map, Value, json};

/// Whatever went wrong ends the benchmark.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [model, facts, statistics, method, settings, n] = args.as_slice() else {
        // `cargo test` and a plain `cargo bench` run this without arguments: nothing to measure.
        return Ok(());
    };
    let options = Options { precision: Precision::As(DType::F32), ..Options::default() };
    let model = Model::open(Path::new(model), &options)?;
    let facts = retcon::data::read(Path::new(facts))?;
    let path = Path::new(statistics).to_owned();
    let statistics = Given { statistics: stats::read(&path)?.into(), path };
    let settings: Map<String, Value> = serde_json::from_str(settings)?;
    let editor = (Method::find(method)?.editor)(settings.clone())?;
    let (progress, cancel) = (|_: &_| (), AtomicBool::new(false));
    let ctx = Ctx { seed: 0, progress: &progress, cancel: &cancel, statistics: &statistics };
    let mut tally = Tally::default();
    for fact in facts.iter().take(n.parse()?) {
        let clock = Instant::now();
        let made = editor.edit(&ctx, &model, std::slice::from_ref(fact));
        tally.seconds += clock.elapsed().as_secs_f64();
        tally.n += 1;
        match made {
            Ok(delta) => tally.add(&model, &model.with(&Arc::new(delta))?, fact)?,
            Err(error) => tally.failed.push(format!("{}: {error}", fact.prompt.marked())),
        }
    }
    println!("{}", tally.line(method, &settings));
    Ok(())
}

/// Counts of what held, and of what was asked.
#[derive(Default)]
struct Tally {
    n: usize,
    seconds: f64,
    failed: Vec<String>,
    rewrite: [f64; 2],
    paraphrase: [f64; 2],
    n_paraphrased: usize,
    locality: [f64; 2],
    n_local: usize,
}

impl Tally {
    fn add(&mut self, before: &Model, after: &Model, fact: &Fact) -> Outcome<()> {
        let old = fact.target_true.as_deref().unwrap_or_default();
        let rewrite = asked(after, std::slice::from_ref(&fact.prompt), &fact.target_new, old)?;
        for (sum, held) in self.rewrite.iter_mut().zip(rewrite) {
            *sum += held;
        }
        if !fact.paraphrases.is_empty() {
            let held = asked(after, &fact.paraphrases, &fact.target_new, old)?;
            self.paraphrase.iter_mut().zip(held).for_each(|(sum, held)| *sum += held);
            self.n_paraphrased += 1;
        }
        for probe in &fact.neighbors {
            let Some(answer) = &probe.answer else { continue };
            let prompt = [Prompt::new(&probe.prompt, None)?];
            let [_, prefers] = asked(after, &prompt, answer, &fact.target_new)?;
            let [was, is] = [before, after].map(|model| leads(model, &prompt[0], answer));
            self.locality[0] += f64::from(u8::from(was? == is?));
            self.locality[1] += prefers;
            self.n_local += 1;
        }
        Ok(())
    }

    fn line(&self, method: &str, settings: &Map<String, Value>) -> Value {
        let share = |sums: [f64; 2], n: usize| sums.map(|sum| 100.0 * sum / n.max(1) as f64);
        let [rewrite, prefers] = share(self.rewrite, self.n);
        let [paraphrase, paraphrase_prefers] = share(self.paraphrase, self.n_paraphrased);
        let [unchanged, local_prefers] = share(self.locality, self.n_local);
        json!({
            "method": method, "settings": settings, "n": self.n, "failed": self.failed,
            "rewrite": rewrite, "rewrite_prefers": prefers,
            "paraphrase": paraphrase, "paraphrase_prefers": paraphrase_prefers,
            "n_paraphrased": self.n_paraphrased,
            "locality_unchanged": unchanged, "locality_prefers": local_prefers,
            "n_local": self.n_local,
            "seconds_per_edit": self.seconds / self.n.max(1) as f64,
        })
    }
}

fn answers(model: &Model, prompts: &[Prompt], object: &str) -> Outcome<Vec<Score>> {
    let queries = prompts.iter().map(|prompt| query(model, prompt, object));
    Ok(scores(model, &queries.collect::<Result<Vec<_>, _>>()?)?)
}

/// The share of prompts where every token of `object` leads, and where it is likelier than `other`.
fn asked(model: &Model, prompts: &[Prompt], object: &str, other: &str) -> Outcome<[f64; 2]> {
    let (a, b) = (answers(model, prompts, object)?, answers(model, prompts, other)?);
    let share = |held: &dyn Fn(&(&Score, &Score)) -> bool| {
        a.iter().zip(&b).filter(|pair| held(pair)).count() as f64 / a.len() as f64
    };
    Ok([share(&|(a, _)| a.leads), share(&|(a, b)| a.log_prob > b.log_prob)])
}

fn leads(model: &Model, prompt: &Prompt, answer: &str) -> Outcome<bool> {
    Ok(answers(model, std::slice::from_ref(prompt), answer)?[0].leads)
}
