//! What an edit, a training step and a forward pass cost: the measurements of
//! `benches/pytorch/bench.py`, on this side.
//!
//! `cargo bench -p retcon --bench engine -- MODEL FACTS.json MODE`, where the mode is `forward`,
//! `train_step` or `ft_edit`. Prints one line of JSON. `benches/side_by_side.py` runs both sides.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod measure;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device};
use retcon::data::{Fact, Prompt};
use retcon::eval::accuracy::scores;
use retcon::model::random::Random;
use retcon::model::{Batch, WeightId};
use retcon::tokens::query;
use retcon::{Ctx, Method, Model, Options, Precision};
use retcon_kernels::autograd::Var;
use retcon_kernels::loss::cross_entropy;
use retcon_kernels::trained::{Adam, Ball, Trained};
use serde_json::{Value, json};

use self::measure::{Outcome, best, median, peak_rss_mb, timed};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_ROWS: usize = 8;
const N_TOKENS: usize = 32;
const LOSS_POSITIONS: usize = 4;
const REPEATS: usize = 10;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [model, facts, mode] = args.as_slice() else {
        // `cargo test` and a plain `cargo bench` run this without arguments: nothing to measure.
        return Ok(());
    };
    let options = Options { precision: Precision::As(DType::F32), ..Options::default() };
    let clock = Instant::now();
    let model = Model::open(model, &options)?;
    let opened = clock.elapsed().as_secs_f64();
    let lines = match mode.as_str() {
        "forward" => vec![forward(&model)?],
        "train_step" => vec![train_step(&model)?],
        "ft_edit" => ft_edit(&model, Path::new(facts))?,
        _ => return Err(format!("no mode `{mode}`").into()),
    };
    for mut line in lines {
        line["opened_seconds"] = opened.into();
        println!("{line}");
    }
    Ok(())
}

fn batch(model: &Model) -> Outcome<Batch> {
    let mut random = Random::new(0);
    let row = |_| (0..N_TOKENS).map(|_| random.below(model.spec().n_vocab) as u32).collect();
    let rows: Vec<Vec<u32>> = (0..N_ROWS).map(row).collect();
    Ok(Batch::new(rows)?)
}

fn forward(model: &Model) -> Outcome<Value> {
    let batch = batch(model)?;
    let times = timed(REPEATS, || {
        let x = model.run(&batch, &batch.last_rows(), &mut ())?;
        model.logits(&x)?;
        Ok(())
    })?;
    let seconds = median(&times);
    let n = N_ROWS * N_TOKENS;
    Ok(json!({
        "name": "forward", "seconds": seconds, "best": best(&times),
        "tokens_per_second": n as f64 / seconds, "peak_rss_mb": peak_rss_mb(),
    }))
}

fn train_step(model: &Model) -> Outcome<Value> {
    let batch = batch(model)?;
    let starts = batch.starts();
    let at = starts.iter().flat_map(|start| {
        (start + N_TOKENS - LOSS_POSITIONS - 1..start + N_TOKENS - 1).map(|row| row as u32)
    });
    let at: Vec<u32> = at.collect();
    let targets: Vec<u32> = at.iter().map(|&row| batch.tokens()[row as usize + 1]).collect();
    let weights = vec![1.0 / at.len() as f64; at.len()];
    let ids: Vec<WeightId> = model.weights().iter().map(|(id, _)| id).collect();
    let mut trained = Vec::new();
    for &id in &ids {
        trained.push(Trained::new(model.weight(id)?.to_tensor(&Device::Cpu)?)?);
    }
    let adam = Adam::new(1e-6);
    let (mut forward, mut backward, mut optimizer) = (Vec::new(), Vec::new(), Vec::new());
    let times = timed(REPEATS, || {
        let clock = Instant::now();
        let vars: Vec<Var> = trained.iter().map(|t| Var::unknown(t.theta().clone())).collect();
        let unknowns: BTreeMap<_, _> = ids.iter().copied().zip(vars.iter().cloned()).collect();
        let open = model.with_unknowns(&unknowns)?;
        let x = open.run(&batch, &at, &mut ())?;
        let bias = open.head_bias()?;
        let loss = cross_entropy(&x, &open.head(bias.as_ref())?, &targets, &weights)?.loss;
        forward.push(clock.elapsed().as_secs_f64());
        let clock = Instant::now();
        let gradients = loss.gradients(&vars.iter().collect::<Vec<_>>())?;
        drop((loss, x, open, unknowns, vars));
        backward.push(clock.elapsed().as_secs_f64());
        let clock = Instant::now();
        for (weight, gradient) in trained.iter_mut().zip(&gradients) {
            weight.step(&adam, gradient, Ball::None)?;
        }
        optimizer.push(clock.elapsed().as_secs_f64());
        Ok(())
    })?;
    Ok(json!({
        "name": "train_step", "seconds": median(&times), "best": best(&times),
        "forward_seconds": median(&forward), "backward_seconds": median(&backward),
        "optimizer_seconds": median(&optimizer), "peak_rss_mb": peak_rss_mb(),
    }))
}

/// Each fact alone, with the settings of the PyTorch loop and with our own.
fn ft_edit(model: &Model, facts: &Path) -> Outcome<Vec<Value>> {
    let facts: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(facts)?)?;
    let fact = |fact: &Value| -> Outcome<Fact> {
        let text = |key: &str| fact[key].as_str().ok_or("a fact is {prompt, target}");
        let prompt = text("prompt")?.trim();
        Ok(Fact::new(Prompt::new(prompt, Some(0..prompt.len()))?, text("target")?)?)
    };
    let facts: Vec<Fact> = facts.iter().map(fact).collect::<Outcome<_>>()?;
    // What PyTorch's loop does: it stops at a loss below 0.01, which is a lead of about 4.6 nats.
    let same = json!({
        "unit": "absolute", "learning_rate": 5e-3, "radius": 2e-2, "steps": 25, "margin": 4.6,
    });
    let runs = [
        ("down_proj", "as PyTorch's", same.clone()),
        ("block", "as PyTorch's", with(&same, "components", json!(["all"]))),
        ("down_proj", "defaults", json!({})),
    ];
    runs.iter().map(|(scope, name, settings)| edits(model, &facts, scope, name, settings)).collect()
}

fn with(settings: &Value, key: &str, value: Value) -> Value {
    let mut settings = settings.clone();
    settings[key] = value;
    settings
}

fn edits(
    model: &Model,
    facts: &[Fact],
    scope: &str,
    name: &str,
    settings: &Value,
) -> Outcome<Value> {
    let given = settings.as_object().cloned().unwrap_or_default();
    let editor = Method::find("ft")?.editor(given)?;
    let ctx = Ctx::new(0);
    forget_peak_rss();
    editor.edit(&ctx, model, &facts[..1])?; // warm-up
    let (mut times, mut per_step, mut steps, mut success) = (vec![], vec![], vec![], 0);
    for fact in facts {
        let clock = Instant::now();
        let delta = editor.edit(&ctx, model, std::slice::from_ref(fact))?;
        let seconds = clock.elapsed().as_secs_f64();
        let n = delta.record.scores["steps"].as_u64().unwrap_or_default();
        times.push(seconds);
        per_step.push(seconds / (n + 1) as f64);
        steps.push(n);
        let edited = model.with(delta)?;
        success += usize::from(
            scores(&Ctx::new(0), &edited, &[query(&edited, &fact.prompt, &fact.target_new)?])?[0]
                .leads,
        );
    }
    Ok(json!({
        "name": "ft_edit", "scope": scope, "settings": name, "seconds": median(&times),
        "best": best(&times), "seconds_per_step": median(&per_step), "steps": steps,
        "success": success, "facts": facts.len(), "peak_rss_mb": peak_rss_mb(),
    }))
}

/// Lets the most memory be what is held now, on Linux.
fn forget_peak_rss() {
    // Where it can't be, the figure is that of all measurements so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
