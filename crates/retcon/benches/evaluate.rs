//! What asking the cases of a data set costs: all questions of a case at once, or a prompt at a time.
//!
//! `cargo bench -p retcon --bench evaluate -- MODEL CASES.jsonl N`, with cases as `retcon data --to cases`
//! writes them. Prints a line of JSON for each way. `benches/evaluate.py` runs it beside PyTorch.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::Path;
use std::time::Instant;

use candle_core::DType;
use retcon::data::case::{Axis, Case, Question};
use retcon::data::datasets::{Beside, read_cases};
use retcon::eval::reading::{Ask, Reading, read};
use retcon::{Model, Options, Precision};
use serde_json::json;

/// Whatever went wrong ends the benchmark.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Tokens of a free answer, as `retcon bench` has them.
const N_FREE: usize = 20;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [model, cases, n] = args.as_slice() else {
        // `cargo test` and a plain `cargo bench` run this without arguments: nothing to measure.
        return Ok(());
    };
    let options = Options { precision: Precision::As(DType::F32), ..Options::default() };
    let model = Model::open(model, &options)?;
    let cases = read_cases(Path::new(cases), None, &Beside::default())?.cases;
    let cases = &cases[..n.parse::<usize>()?.min(cases.len())];
    let together = timed("together", cases, |asks| Ok(read(&model, asks)?))?;
    let apart = timed("a prompt at a time", cases, |asks| {
        let mut readings = Vec::new();
        for ask in asks {
            // Each object by a pass of its own, and the free answer by another.
            let [wanted, other] = ask.objects;
            let mut reading = Reading::default();
            for (place, object) in [wanted, other].into_iter().enumerate() {
                let alone = Ask { objects: [object, None], n_free: 0, ..ask.clone() };
                let taken = read(&model, &[alone])?.remove(0).wanted;
                if place == 0 { reading.wanted = taken } else { reading.other = taken }
            }
            let alone = Ask { objects: [None, None], ..ask.clone() };
            reading.says = read(&model, &[alone])?.remove(0).says;
            readings.push(reading);
        }
        Ok(readings)
    })?;
    let same = together.iter().zip(&apart).filter(|(a, b)| a.says == b.says).count();
    println!("{}", json!({"same_texts": same, "of": together.len()}));
    Ok(())
}

/// Asks all cases, and prints what it took.
fn timed(
    way: &str,
    cases: &[Case],
    mut ask: impl FnMut(&[Ask<'_>]) -> Outcome<Vec<Reading>>,
) -> Outcome<Vec<Reading>> {
    let mut readings = Vec::new();
    let clock = Instant::now();
    for case in cases {
        let questions = case.questions.iter().filter(|q| q.axis != Axis::Generation);
        readings.extend(ask(&questions.map(of).collect::<Vec<_>>())?);
    }
    let seconds = clock.elapsed().as_secs_f64() / cases.len() as f64;
    let n = readings.len();
    println!(
        "{}",
        json!({"side": "retcon", "way": way, "seconds_per_case": seconds, "questions": n})
    );
    Ok(readings)
}

fn of(question: &Question) -> Ask<'_> {
    let objects = [question.answer(), question.other.as_deref()];
    Ask { prompt: &question.prompt, objects, n_free: N_FREE, stops: true }
}
