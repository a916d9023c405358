//! Times every operation against its plain composition of candle's operations, on the shapes of
//! SmolLM2-135M: `cargo bench -p retcon-kernels`, or `-- NAME` for those whose name contains it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is compared with is candle's own tape"
)]

use std::time::Instant;

use candle_core::quantized::GgmlDType;
use candle_core::{Device, Tensor};
use retcon_kernels::Result;
use retcon_kernels::activation::{self, Activation, activate, gated};
use retcon_kernels::attention::{self, Attention, Mask, Sequences, attention};
use retcon_kernels::autograd::Var;
use retcon_kernels::linear::{self, Matrix, linear};
use retcon_kernels::loss::{self, Direction, Head, cross_entropy, kl, log_softmax};
use retcon_kernels::norm::{self, layer_norm, rms_norm};
use retcon_kernels::rope::{self, Pairing, Rotary, rope};
use retcon_kernels::rows::{self, gather_rows};
use retcon_kernels::stored::{Format, Stored};
use retcon_kernels::weight::Weight;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const D_MODEL: usize = 576;
const D_MLP: usize = 1536;
const D_KV: usize = 192;
const N_VOCAB: usize = 49_152;
const N_TOKENS: usize = 256;

fn main() -> Result<()> {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let bench = Bench { filter: filter.unwrap_or_default() };
    print(format_args!(
        "{:<34} {:>18} {:>8} {:>8} {:>6}  {:>8} {:>8} {:>6}",
        "operation", "shape", "forward", "plain", "ratio", "and back", "plain", "ratio",
    ));
    rows_and_norms(&bench);
    linear_maps(&bench);
    stored_weights(&bench);
    activations(&bench);
    attentions(&bench);
    objectives(&bench)
}

fn rows_and_norms(bench: &Bench) {
    let picked: Vec<u32> = (0..N_TOKENS as u32).map(|i| i * 191 % N_VOCAB as u32).collect();
    let table = random(&[N_VOCAB, D_MODEL]);
    let at = picked.clone();
    let plain = move |x: &[Tensor]| rows::reference::gather_rows(&x[0], &at);
    bench.forward("gather_rows", &[&table], |x| gather_rows(x[0], &picked), plain);
    let inputs = [random(&[N_TOKENS, D_MODEL]), random(&[D_MODEL]), random(&[D_MODEL])];
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let plain = |x: &[Tensor]| norm::reference::rms_norm(&x[0], &x[1], 1e-5);
    bench.run("rms_norm", &inputs[..2], 1, |x| rms_norm(x[0], x[1], 1e-5), plain);
    bench.run("rms_norm, weight too", &inputs[..2], 2, |x| rms_norm(x[0], x[1], 1e-5), plain);
    let plain = |x: &[Tensor]| norm::reference::layer_norm(&x[0], &x[1], x.get(2), 1e-5);
    bench.run("layer_norm", &inputs, 1, |x| layer_norm(x[0], x[1], Some(x[2]), 1e-5), plain);
    let frequencies: Vec<f64> = (0..32).map(|i| 1e5f64.powf(-f64::from(i) / 32.0)).collect();
    let table = Rotary::new(&frequencies, 1.0, 2048);
    let positions: Vec<u32> = (0..N_TOKENS as u32).map(|i| i % 32).collect();
    for pairing in [Pairing::Halves, Pairing::Adjacent] {
        let (held, at) = (table.clone(), positions.clone());
        let plain = move |x: &[Tensor]| rope::reference(&x[0], &held, &at, 64, pairing);
        let native = |x: &[&Var]| rope(x[0], &table, &positions, 64, pairing);
        bench.run(&format!("rope, {pairing:?}"), &inputs[..1], 1, native, plain);
    }
}

fn linear_maps(bench: &Bench) {
    for n in [1, 4, 8, 12, 16, 32, N_TOKENS] {
        for (d_in, d_out) in [(D_MODEL, D_MLP), (D_MLP, D_MODEL), (D_MODEL, D_KV)] {
            let (x, w) = (random(&[n, d_in]), random(&[d_out, d_in]));
            let frozen = Weight::Dense(w.clone());
            let plain = move |x: &[Tensor]| linear::reference(&x[0], &w, None);
            let native = |x: &[&Var]| linear(x[0], Matrix::Frozen(&frozen), None);
            bench.run(&format!("linear to {d_out}"), &[&x], 1, native, plain);
        }
    }
    let (x, w) = (random(&[N_TOKENS, D_MODEL]), random(&[D_MLP, D_MODEL]));
    let native = |x: &[&Var]| linear(x[0], Matrix::Trainable(x[1]), None);
    let plain = |x: &[Tensor]| linear::reference(&x[0], &x[1], None);
    bench.run("linear, weight too", &[&x, &w], 2, native, plain);
}

/// The sum of maps by as many weights as come from memory every time, held in several forms.
fn stored_weights(bench: &Bench) {
    const N_WEIGHTS: usize = 32;
    let dense: Vec<Tensor> = (0..N_WEIGHTS).map(|_| random(&[D_MLP, D_MODEL])).collect();
    let ggml = [GgmlDType::Q8_0, GgmlDType::Q4_1].map(Format::Ggml);
    for format in [Format::F32, Format::BF16, Format::F16].into_iter().chain(ggml) {
        let stored = |w| Weight::Stored(Stored::encode(w, format).expect("whole blocks"));
        let stored: Vec<Weight> = dense.iter().map(stored).collect();
        for n in [1, 4, 16, 45, N_TOKENS] {
            let native = |x: &[&Var]| {
                let first = linear(x[0], Matrix::Frozen(&stored[0]), None)?;
                stored[1..]
                    .iter()
                    .try_fold(first, |sum, w| linear(x[0], Matrix::Frozen(w), Some(&sum)))
            };
            let dense = dense.clone();
            let plain = move |x: &[Tensor]| {
                let first = linear::reference(&x[0], &dense[0], None)?;
                dense[1..].iter().try_fold(first, |sum, w| linear::reference(&x[0], w, Some(&sum)))
            };
            let name = format!("linear by {N_WEIGHTS} weights, {format}");
            bench.run(&name, &[&random(&[n, D_MODEL])], 1, native, plain);
        }
    }
}

fn activations(bench: &Bench) {
    let inputs = [random(&[N_TOKENS, D_MLP]), random(&[N_TOKENS, D_MLP])];
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    for act in [Activation::Silu, Activation::GeluErf, Activation::GeluTanh] {
        let plain = move |x: &[Tensor]| activation::reference::activate(&x[0], act);
        bench.run(&format!("{act:?}"), &inputs[..1], 1, |x| activate(x[0], act), plain);
    }
    let act = Activation::Silu;
    let plain = move |x: &[Tensor]| activation::reference::gated(&x[0], &x[1], act);
    bench.run("gated Silu", &inputs, 2, |x| gated(x[0], x[1], act), plain);
}

fn attentions(bench: &Bench) {
    let grouped = Attention {
        n_heads: 9,
        n_kv_heads: 3,
        d_head: 64,
        scale: 0.125,
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
    };
    let own_keys = Attention { n_heads: 12, n_kv_heads: 12, ..grouped.clone() };
    let full = |n: usize, len: usize| Sequences::full(&vec![len; n]);
    let decoding = |n: usize, len: usize| Sequences::new(&vec![[len as u32 - 1]; n], &vec![len; n]);
    let decoding = |n, len| decoding(n, len).expect("the last position");
    let cases = [
        ("8 x 32", full(8, 32), &grouped),
        ("1 x 256", full(1, 256), &grouped),
        ("1 x 2048", full(1, 2048), &grouped),
        ("last of 8 x 32", decoding(8, 32), &grouped),
        ("last of 1 x 1024", decoding(1, 1024), &grouped),
        ("8 x 32, own keys", full(8, 32), &own_keys),
    ];
    for (name, sequences, settings) in cases {
        let d_kv = settings.n_kv_heads * settings.d_head;
        let q = random(&[sequences.n_queries(), settings.n_heads * settings.d_head]);
        let kv = [(); 2].map(|()| random(&[sequences.n_keys(), d_kv]));
        let native = |x: &[&Var]| attention(x[0], x[1], x[2], &sequences, settings);
        let (at, how) = (sequences.clone(), settings.clone());
        let plain = move |x: &[Tensor]| attention::reference(&x[0], &x[1], &x[2], &at, &how);
        bench.run(&format!("attention, {name}"), &[&q, &kv[0], &kv[1]], 3, native, plain);
    }
}

fn objectives(bench: &Bench) -> Result<()> {
    let w = random(&[N_VOCAB, D_MODEL]);
    let frozen = Weight::Dense(w.clone());
    let head = Head { weight: Matrix::Frozen(&frozen), bias: None, soft_cap: None };
    for n in [1, 4, 8, 32, N_TOKENS] {
        let h = random(&[n, D_MODEL]);
        let targets: Vec<u32> = (0..n as u32).map(|i| i * 191).collect();
        let weights = vec![1.0; n];
        let (at, held) = (targets.clone(), w.clone());
        let plain = move |x: &[Tensor]| {
            let logits = loss::reference::logits(&x[0], &held, None, None)?;
            let scores = loss::reference::cross_entropy(&logits, &at)?;
            Ok(scores.narrow(1, 0, 1)?.sum_all()?)
        };
        let native = |x: &[&Var]| Ok(cross_entropy(x[0], &head, &targets, &weights)?.loss);
        bench.run("cross_entropy", &[&h], 1, native, plain);
        let base = log_softmax(&random(&[n, N_VOCAB]))?;
        let (to, held) = (base.clone(), w.clone());
        let plain = move |x: &[Tensor]| {
            let logits = loss::reference::logits(&x[0], &held, None, None)?;
            Ok(loss::reference::kl(&logits, &to, Direction::FromReference)?.sum_all()?)
        };
        let native =
            |x: &[&Var]| Ok(kl(x[0], &head, &base, Direction::FromReference, &weights)?.loss);
        bench.run("kl", &[&h], 1, native, plain);
    }
    Ok(())
}

struct Bench {
    filter: String,
}

impl Bench {
    /// Times `native` and `plain` forward, and forward and back by the first `n_unknowns` inputs.
    fn run(
        &self,
        name: &str,
        inputs: &[&Tensor],
        n_unknowns: usize,
        native: impl Fn(&[&Var]) -> Result<Var>,
        plain: impl Fn(&[Tensor]) -> Result<Tensor> + Clone + Send + 'static,
    ) {
        if !name.contains(&self.filter) {
            return;
        }
        let forward = [
            median(|| native(&vars(inputs, 0).iter().collect::<Vec<_>>()).map(|_| ())),
            median(|| plain(&inputs.iter().map(|&x| x.clone()).collect::<Vec<_>>()).map(|_| ())),
        ];
        let back = |op: &dyn Fn(&[&Var]) -> Result<Var>| {
            let vars = vars(inputs, n_unknowns);
            let y = op(&vars.iter().collect::<Vec<_>>())?;
            let start = y.value().ones_like()?;
            y.gradients_from(start, &vars[..n_unknowns].iter().collect::<Vec<_>>()).map(|_| ())
        };
        let both = [
            median(|| back(&native)),
            // Candle's tape alone: without the forward that `composed` does first.
            median(|| tape(inputs, n_unknowns, &plain)),
        ];
        report(name, inputs[0], forward, Some(both));
    }

    /// Times `native` and `plain` forward.
    fn forward(
        &self,
        name: &str,
        inputs: &[&Tensor],
        native: impl Fn(&[&Var]) -> Result<Var>,
        plain: impl Fn(&[Tensor]) -> Result<Tensor> + Send + 'static,
    ) {
        if !name.contains(&self.filter) {
            return;
        }
        let vars = vars(inputs, 0);
        let vars: Vec<&Var> = vars.iter().collect();
        let forward = [
            median(|| native(&vars).map(|_| ())),
            median(|| plain(&inputs.iter().map(|&x| x.clone()).collect::<Vec<_>>()).map(|_| ())),
        ];
        report(name, inputs[0], forward, None);
    }
}

fn tape(
    inputs: &[&Tensor],
    n_unknowns: usize,
    plain: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let on_tape = |(i, &x): (usize, &&Tensor)| {
        let x =
            if i < n_unknowns { candle_core::Var::from_tensor(x)?.into_inner() } else { x.clone() };
        Ok(x)
    };
    let inputs = inputs.iter().enumerate().map(on_tape).collect::<Result<Vec<_>>>()?;
    plain(&inputs)?.sum_all()?.backward()?;
    Ok(())
}

fn vars(inputs: &[&Tensor], n_unknowns: usize) -> Vec<Var> {
    let var = |(i, &x): (usize, &&Tensor)| {
        if i < n_unknowns { Var::unknown(x.clone()) } else { Var::constant(x.clone()) }
    };
    inputs.iter().enumerate().map(var).collect()
}

/// The median time of a run in milliseconds, of those that fit in a quarter of a second.
fn median(run: impl Fn() -> Result<()>) -> f64 {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || (start.elapsed().as_millis() < 250 && times.len() < 1000) {
        let start = Instant::now();
        run().expect("shapes that fit");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(name: &str, x: &Tensor, forward: [f64; 2], both: Option<[f64; 2]>) {
    let times =
        |[native, plain]: [f64; 2]| format!("{native:>8.3} {plain:>8.3} {:>6.2}", native / plain);
    let both = both.map(times).unwrap_or_default();
    print(format_args!("{name:<34} {:>18} {}  {both}", format!("{:?}", x.dims()), times(forward)));
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn print(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

fn random(dims: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, dims, &Device::Cpu).expect("a tensor")
}
