//! What memorizing facts in an encoder costs, and modifying some of them: the measurements of
//! `benches/pytorch/encoder.py`, on this side.
//!
//! `cargo bench -p retcon --bench memorize -- MODEL MODE`, where the mode is `texts`, which prints
//! the facts in tokens for the other side, `memorize` or `ftm`. Prints one line of JSON.
//! `benches/side_by_side.py` runs both sides.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod measure;

use candle_core::{DType, Device, Tensor};
use retcon::data::knowledge::{FactSet, Wording};
use retcon::edit::scope::Scope;
use retcon::model::Part;
use retcon::tokens::{Query, query};
use retcon::train::{Constraint, Course, Stream, Trainer};
use retcon::{Model, Options, Precision};
use serde_json::{Value, json};

use self::measure::{Outcome, best, median, peak_rss_mb, timed};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Facts in a step of memorizing.
const N_FACTS: usize = 128;
/// Facts that are modified.
const N_MODIFIED: usize = 32;
/// Steps of modifying them.
const N_STEPS: usize = 20;
const REPEATS: usize = 10;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [path, mode] = args.as_slice() else {
        // `cargo test` and a plain `cargo bench` run this without arguments: nothing to measure.
        return Ok(());
    };
    let options = Options { precision: Precision::As(DType::F32), ..Options::default() };
    let model = Model::open(path, &options)?;
    let texts = texts(&model)?;
    let line = match mode.as_str() {
        "texts" => {
            let text = |q: &Query| json!({ "ids": q.ids, "at": q.at, "object": q.object });
            texts.iter().map(text).collect()
        }
        "memorize" => memorize(&model, texts)?,
        "ftm" => ftm(&model, &texts[..N_MODIFIED])?,
        _ => return Err(format!("no mode `{mode}`").into()),
    };
    println!("{line}");
    Ok(())
}

/// Facts of the set that is shipped, in the main template of their relation.
fn texts(model: &Model) -> Outcome<Vec<Query>> {
    let set = FactSet::world();
    let mut texts = Vec::new();
    for fact in 0..set.triples.len() {
        let object = &set.triples[fact].object;
        // Every fourth, for some of each relation.
        if let (0, Some(text)) = (fact % 4, set.example(fact, object, Wording::Template(0))?) {
            texts.push(query(model, &text.prompt, &text.object)?);
        }
    }
    texts.truncate(N_FACTS);
    Ok(texts)
}

/// A step of memorizing: all weights, all facts at once.
fn memorize(model: &Model, texts: Vec<Query>) -> Outcome<Value> {
    let course = Course { learning_rate: 1e-6, batch: texts.len(), ..Course::default() };
    let flops = step_flops(model, &texts);
    let stream = Stream::of(0..texts.len(), texts.len(), 0);
    let mut trainer = Trainer::new(model, Scope::all().weights(model)?, texts, stream, course)?;
    let times = timed(REPEATS, || {
        trainer.step()?;
        Ok(())
    })?;
    let (seconds, memory) = (median(&times), peak_rss_mb());
    let (rate, peak) = (flops / seconds, matmul_peak()?);
    Ok(json!({
        "name": "memorize", "seconds": seconds, "best": best(&times), "peak_rss_mb": memory,
        "gflops": rate / 1e9, "matmul_gflops": peak / 1e9, "share_of_peak": rate / peak,
    }))
}

/// Products of a step, forward and backward, by weights that are matrices: two operations a number
/// and row forward, four backward. Attention, norms and Adam are left out.
fn step_flops(model: &Model, texts: &[Query]) -> f64 {
    let tokens: usize = texts.iter().map(|text| text.ids.len()).sum();
    let read: usize = texts.iter().map(|text| text.at.len()).sum();
    let of = |(id, param): (retcon::model::WeightId, &retcon::model::weights::Param)| {
        let numbers: usize = param.base().dims().iter().product();
        match (id.block, id.part) {
            (Some(_), part) if part.is_linear() => numbers * tokens,
            (None, Part::Embed | Part::HeadDense) => numbers * read,
            _ => 0,
        }
    };
    6.0 * model.weights().iter().map(of).sum::<usize>() as f64
}

/// Operations a second of a large product of dense matrices.
fn matmul_peak() -> Outcome<f64> {
    const N: usize = 2048;
    let matrix = Tensor::rand(-1f32, 1f32, (N, N), &Device::Cpu)?;
    let times = timed(REPEATS, || {
        matrix.matmul(&matrix)?;
        Ok(())
    })?;
    Ok(2.0 * (N as f64).powi(3) / best(&times))
}

/// Fine-tuning of one block on the modified facts, in an L-infinity ball: the whole of it.
fn ftm(model: &Model, texts: &[Query]) -> Outcome<Value> {
    let block = model.spec().n_stored_blocks() * 2 / 3;
    let scope = Scope { blocks: block.to_string().parse()?, components: vec!["all".parse()?] };
    let course = Course {
        steps: N_STEPS,
        batch: texts.len(),
        learning_rate: 5e-4,
        warmup: 0.0,
        decay: false,
        constraint: Constraint::Linf { radius: 2e-3 },
        ..Course::default()
    };
    let mut lost = Vec::new();
    let times = timed(REPEATS, || {
        let stream = Stream::of(0..texts.len(), texts.len(), 0);
        let ids = scope.weights(model)?;
        let mut trainer = Trainer::new(model, ids, texts.to_vec(), stream, course.clone())?;
        lost.clear();
        for _ in 0..course.steps {
            lost.push(trainer.step()?.loss);
        }
        Ok(())
    })?;
    Ok(json!({
        "name": "ftm", "seconds": median(&times), "best": best(&times), "steps": N_STEPS,
        "block": block, "first_loss": lost.first(), "last_loss": lost.last(),
        "peak_rss_mb": peak_rss_mb(),
    }))
}
