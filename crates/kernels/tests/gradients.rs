//! Every operation against finite differences, against its plain composition of candle's
//! operations, and in single against double precision.

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use retcon_kernels::activation::{self, Activation, activate, gated, soft_cap};
use retcon_kernels::attention::{self, Attention, Mask, Sequences, attention};
use retcon_kernels::autograd::Var;
use retcon_kernels::composed::composed;
use retcon_kernels::linear::{self, Matrix, add_bias, linear};
use retcon_kernels::loss::{
    self, Direction, Head, cross_entropy, cross_entropy_and_kl, kl, log_softmax, logits,
};
use retcon_kernels::norm::{self, layer_norm, rms_norm};
use retcon_kernels::rope::{self, Pairing, Rotary, rope};
use retcon_kernels::rows::{self, add, gather_rows, scale, scatter_add_rows, set_rows};
use retcon_kernels::stored::{Format, Stored};
use retcon_kernels::weight::Weight;
use retcon_kernels::{Error, Result};

#[test]
fn rows_picked_and_added() {
    for (n, d) in [(1, 1), (5, 3), (40, 600)] {
        let picked: Vec<u32> = [0, n - 1, n / 2, 0].map(|row| row as u32).to_vec();
        let (x, other) = (numbers(&[n, d], 1), numbers(&[n, d], 3));
        let terms = numbers(&[4, d], 2);
        let rows = picked.clone();
        let plain = move |x: &[Tensor]| rows::reference::gather_rows(&x[0], &rows);
        check("gather_rows", std::slice::from_ref(&x), |x| gather_rows(x[0], &picked), plain);
        let rows = picked.clone();
        let plain = move |x: &[Tensor]| rows::reference::scatter_add_rows(&x[0], &rows, &x[1]);
        let native = |x: &[&Var]| scatter_add_rows(x[0], &picked, x[1]);
        check("scatter_add_rows", &[x.clone(), terms], native, plain);
        let plain = move |x: &[Tensor]| {
            let row = Tensor::arange(0, n as u32, x[0].device())?.eq((n / 2) as u32)?;
            let row = row.reshape((n, 1))?.broadcast_as((n, d))?;
            Ok(row.where_cond(&x[1].broadcast_as((n, d))?, &x[0])?)
        };
        let native = |x: &[&Var]| set_rows(x[0], &[(n / 2) as u32], x[1]);
        check("set_rows", &[x.clone(), numbers(&[1, d], 4)], native, plain);
        let plain = |x: &[Tensor]| rows::reference::add(&x[0], &x[1]);
        check("add", &[x.clone(), other], |x| add(x[0], x[1]), plain);
        let plain = |x: &[Tensor]| rows::reference::scale(&x[0], -1.7);
        check("scale", &[x], |x| scale(x[0], -1.7), plain);
    }
}

#[test]
fn linear_maps() {
    for (n, d_in, d_out) in [(1, 1, 1), (3, 20, 7), (8, 33, 130), (19, 5, 64)] {
        let x = numbers(&[n, d_in], 1);
        let (w, onto) = (numbers(&[d_out, d_in], 2), numbers(&[n, d_out], 3));
        let native = |x: &[&Var]| linear(x[0], Matrix::Trainable(x[1]), x.get(2).copied());
        let plain = |x: &[Tensor]| linear::reference(&x[0], &x[1], x.get(2));
        check("linear", &[x.clone(), w.clone()], native, plain);
        check("linear onto", &[x.clone(), w.clone(), onto], native, plain);
        let frozen = |w: &Tensor, dtype| Weight::Dense(w.to_dtype(dtype).expect("a tensor"));
        let (single, double) = (frozen(&w, DType::F32), frozen(&w, DType::F64));
        let native = |x: &[&Var]| {
            let w = if x[0].value().dtype() == DType::F64 { &double } else { &single };
            linear(x[0], Matrix::Frozen(w), None)
        };
        let plain = move |x: &[Tensor]| linear::reference(&x[0], &w, None);
        check("linear, frozen", std::slice::from_ref(&x), native, plain);
        let plain = |x: &[Tensor]| Ok(x[0].broadcast_add(&x[1])?);
        check("add_bias", &[x, numbers(&[d_in], 4)], |x| add_bias(x[0], x[1]), plain);
    }
}

#[test]
fn norms() {
    for (n, d) in [(1, 2), (7, 20), (40, 600)] {
        let inputs = [numbers(&[n, d], 1), numbers(&[d], 2), numbers(&[d], 3)];
        let native = |x: &[&Var]| rms_norm(x[0], x[1], 1e-5);
        let plain = |x: &[Tensor]| norm::reference::rms_norm(&x[0], &x[1], 1e-5);
        check("rms_norm", &inputs[..2], native, plain);
        let native = |x: &[&Var]| layer_norm(x[0], x[1], x.get(2).copied(), 1e-5);
        let plain = |x: &[Tensor]| norm::reference::layer_norm(&x[0], &x[1], x.get(2), 1e-5);
        check("layer_norm", &inputs[..2], native, plain);
        check("layer_norm with bias", &inputs, native, plain);
    }
}

#[test]
fn activations() {
    let acts = [Activation::Silu, Activation::GeluErf, Activation::GeluTanh, Activation::Relu];
    for (n, d) in [(1, 1), (7, 21), (40, 600)] {
        let inputs = [2, 3].map(|seed| (numbers(&[n, d], seed) * 4.0).expect("a tensor"));
        for act in acts {
            let plain = move |x: &[Tensor]| activation::reference::activate(&x[0], act);
            check(&format!("{act:?}"), &inputs[..1], |x| activate(x[0], act), plain);
            let plain = move |x: &[Tensor]| activation::reference::gated(&x[0], &x[1], act);
            check(&format!("gated {act:?}"), &inputs, |x| gated(x[0], x[1], act), plain);
        }
        let plain = |x: &[Tensor]| activation::reference::soft_cap(&x[0], 3.0);
        check("soft_cap", &inputs[..1], |x| soft_cap(x[0], 3.0), plain);
    }
}

#[test]
fn rotations() {
    // Positions past the table of 10 are computed on the spot.
    for (n, n_heads, d_head, n_frequencies) in [(1, 1, 2, 1), (5, 3, 8, 4), (30, 2, 64, 16)] {
        let frequencies: Vec<f64> = (0..n_frequencies).map(|i| 0.3f64.powi(i)).collect();
        let table = Rotary::new(&frequencies, 1.2, 10);
        let positions: Vec<u32> = (0..n).map(|i| (i * 7 % 23) as u32).collect();
        for pairing in [Pairing::Halves, Pairing::Adjacent] {
            let native = |x: &[&Var]| rope(x[0], &table, &positions, d_head, pairing);
            let (held, at) = (table.clone(), positions.clone());
            let plain = move |x: &[Tensor]| rope::reference(&x[0], &held, &at, d_head, pairing);
            check(&format!("{pairing:?}"), &[numbers(&[n, n_heads * d_head], 1)], native, plain);
        }
    }
}

#[test]
fn attentions() {
    let plain = Attention {
        n_heads: 6,
        n_kv_heads: 2,
        d_head: 5,
        scale: 0.4,
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
    };
    let both = Attention { mask: Mask::Bidirectional, ..plain.clone() };
    let settings = [
        Attention { window: Some(3), ..plain.clone() },
        Attention { soft_cap: Some(0.8), ..plain.clone() },
        Attention { n_kv_heads: 6, ..plain.clone() },
        Attention { n_kv_heads: 1, window: Some(1), soft_cap: Some(2.0), ..plain.clone() },
        Attention { window: Some(2), ..both.clone() },
        both,
        plain,
    ];
    let some: [&[u32]; 4] = [&[4], &[], &[8, 2, 3], &[0, 1]];
    let sequences = [
        Sequences::full(&[1]),
        Sequences::full(&[7, 1, 40, 12]),
        Sequences::new(&some, &[5, 3, 9, 2]).expect("positions below the number of keys"),
        // Long enough for its keys' gradients to be summed in parts.
        Sequences::full(&[530]),
    ];
    for settings in &settings {
        for sequences in &sequences {
            attention_case(sequences, settings);
        }
    }
}

fn attention_case(sequences: &Sequences, settings: &Attention) {
    let (d_q, d_kv) = (settings.n_heads * settings.d_head, settings.n_kv_heads * settings.d_head);
    let inputs = [
        numbers(&[sequences.n_queries(), d_q], 1),
        numbers(&[sequences.n_keys(), d_kv], 2),
        numbers(&[sequences.n_keys(), d_kv], 3),
    ];
    let native = |x: &[&Var]| attention(x[0], x[1], x[2], sequences, settings);
    let (at, how) = (sequences.clone(), settings.clone());
    let plain = move |x: &[Tensor]| attention::reference(&x[0], &x[1], &x[2], &at, &how);
    check(&format!("attention {settings:?}"), &inputs, native, plain);
}

#[test]
fn objectives() {
    for (n, d, n_vocab) in [(1, 4, 2), (5, 16, 33), (20, 3, 1100)] {
        let inputs = [
            numbers(&[n, d], 1),
            (numbers(&[n_vocab, d], 2) * 3.0).expect("a tensor"),
            numbers(&[n_vocab], 3),
        ];
        let targets: Vec<u32> = (0..n).map(|i| (i * 31 % n_vocab) as u32).collect();
        let weights: Vec<f64> = (0..n).map(|i| 0.25 * (i % 5) as f64 - 0.3).collect();
        let base = log_softmax(&numbers(&[n, n_vocab], 5)).expect("logits");
        for cap in [None, Some(2.0)] {
            let case = Case { targets: &targets, weights: &weights, base: &base, cap };
            case.cross_entropy(&inputs);
            case.cross_entropy(&inputs[..2]);
            case.divergences(&inputs);
            if n > 1 {
                case.both(&inputs);
            }
        }
    }
}

struct Case<'a> {
    targets: &'a [u32],
    weights: &'a [f64],
    base: &'a Tensor,
    cap: Option<f64>,
}

impl Case<'_> {
    fn head<'a>(&self, x: &[&'a Var]) -> Head<'a> {
        let weight = Matrix::Trainable(x[1]);
        Head { weight, bias: x.get(2).copied(), soft_cap: self.cap }
    }

    fn weighted(&self) -> impl Fn(Tensor) -> Result<Tensor> + Send + 'static {
        let weights = self.weights.to_vec();
        move |rows| {
            let weights = Tensor::from_slice(&weights, weights.len(), &Device::Cpu)?;
            Ok(rows.mul(&weights.to_dtype(rows.dtype())?)?.sum_all()?)
        }
    }

    fn cross_entropy(&self, inputs: &[Tensor]) {
        let run = |x: &[&Var]| cross_entropy(x[0], &self.head(x), self.targets, self.weights);
        let (at, weighted, cap) = (self.targets.to_vec(), self.weighted(), self.cap);
        let plain = move |x: &[Tensor]| {
            let logits = loss::reference::logits(&x[0], &x[1], x.get(2), cap)?;
            let scores = loss::reference::cross_entropy(&logits, &at)?;
            weighted(scores.narrow(1, 0, 1)?.squeeze(1)?.neg()?)
        };
        check("cross_entropy", inputs, |x| Ok(run(x)?.loss), plain);

        let vars: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
        let vars: Vec<&Var> = vars.iter().collect();
        let scored = run(&vars).expect("shapes that fit");
        let all = logits(vars[0], &self.head(&vars)).expect("shapes that fit").into_value();
        let rows = loss::reference::cross_entropy(&all, self.targets).expect("shapes that fit");
        let rows = rows.to_vec2::<f64>().expect("a matrix");
        for (row, (log_prob, margin)) in rows.iter().zip(scored.log_prob.iter().zip(&scored.margin))
        {
            // Rounding of a sum of 12,000 numbers.
            assert!((row[0] - log_prob).abs() < 1e-10 && (row[1] - margin).abs() < 1e-10);
        }
        let head = self.head(&vars);
        let other = loss::cross_entropy_composed(vars[0], &head, self.targets, self.weights);
        let other = other.expect("shapes that fit");
        close("log_prob", &column(&scored.log_prob), &column(&other.log_prob), 1e-10);
        close("margin", &column(&scored.margin), &column(&other.margin), 1e-10);
        close("loss", scored.loss.value(), other.loss.value(), 1e-10);
    }

    fn divergences(&self, inputs: &[Tensor]) {
        for direction in [Direction::ToReference, Direction::FromReference] {
            let run = |x: &[&Var]| {
                let base = self.base.to_dtype(x[0].value().dtype())?;
                kl(x[0], &self.head(x), &base, direction, self.weights)
            };
            let (base, weighted, cap) = (self.base.clone(), self.weighted(), self.cap);
            let plain = move |x: &[Tensor]| {
                let logits = loss::reference::logits(&x[0], &x[1], x.get(2), cap)?;
                weighted(loss::reference::kl(&logits, &base, direction)?)
            };
            check(&format!("kl {direction:?}"), inputs, |x| Ok(run(x)?.loss), plain);

            let vars: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
            let vars: Vec<&Var> = vars.iter().collect();
            let found = run(&vars).expect("shapes that fit");
            let head = self.head(&vars);
            let other = loss::kl_composed(vars[0], &head, self.base, direction, self.weights);
            let other = other.expect("shapes that fit");
            close("per_row", &column(&found.per_row), &column(&other.per_row), 1e-10);
            close("loss", found.loss.value(), other.loss.value(), 1e-10);
        }
    }

    /// Both at once, for the first row and the others, against one after the other.
    fn both(&self, inputs: &[Tensor]) {
        let (targets, cap) = (self.targets[..1].to_vec(), self.cap);
        let n = self.weights.len() - 1;
        let base = self.base.narrow(0, 1, n).expect("rows");
        let run = |x: &[&Var]| {
            let base = base.to_dtype(x[0].value().dtype())?;
            cross_entropy_and_kl(x[0], &self.head(x), &targets, &base, self.weights)
        };
        let (to, at, of, weighted) = (base.clone(), targets.clone(), n, self.weighted());
        let plain = move |x: &[Tensor]| {
            let logits = loss::reference::logits(&x[0], &x[1], x.get(2), cap)?;
            let scores = loss::reference::cross_entropy(&logits.narrow(0, 0, 1)?, &at)?;
            let unlikely = scores.narrow(1, 0, 1)?.squeeze(1)?.neg()?;
            let direction = Direction::ToReference;
            let divergences = loss::reference::kl(&logits.narrow(0, 1, of)?, &to, direction)?;
            weighted(Tensor::cat(&[unlikely, divergences], 0)?)
        };
        check("cross_entropy_and_kl", inputs, |x| Ok(run(x)?.0.loss), plain);
    }
}

#[test]
fn rows_beyond_one_run_count_as_well() -> Result<()> {
    // 32 MiB hold 349 of these rows.
    let (n, d, n_vocab) = (400, 2, 12_000);
    let (h, w) = (Var::unknown(numbers(&[n, d], 1)), Var::unknown(numbers(&[n_vocab, d], 2)));
    let head = Head { weight: Matrix::Trainable(&w), bias: None, soft_cap: None };
    let targets: Vec<u32> = (0..n).map(|i| (i * 31 % n_vocab) as u32).collect();
    let weights: Vec<f64> = (0..n).map(|i| i as f64 / n as f64).collect();
    let found = cross_entropy(&h, &head, &targets, &weights)?;
    let plain = loss::cross_entropy_composed(&h, &head, &targets, &weights)?;
    close("log_prob", &column(&found.log_prob), &column(&plain.log_prob), 1e-11);
    let gradients = found.loss.gradients(&[&h, &w])?.into_iter();
    for (found, plain) in gradients.zip(plain.loss.gradients(&[&h, &w])?) {
        close("gradient", &found, &plain, 1e-11);
    }
    Ok(())
}

#[test]
fn logits_of_a_capped_head() {
    let inputs = [numbers(&[5, 8], 1), numbers(&[30, 8], 2), numbers(&[30], 3)];
    let native = |x: &[&Var]| {
        let weight = Matrix::Trainable(x[1]);
        logits(x[0], &Head { weight, bias: Some(x[2]), soft_cap: Some(1.5) })
    };
    let plain = |x: &[Tensor]| loss::reference::logits(&x[0], &x[1], Some(&x[2]), Some(1.5));
    check("logits", &inputs, native, plain);
}

#[test]
fn log_softmax_equals_its_reference() -> Result<()> {
    for (n, n_vocab) in [(1, 1), (3, 5000), (20, 37)] {
        let logits = (numbers(&[n, n_vocab], 1) * 20.0)?;
        let exact = loss::reference::log_softmax(&logits)?;
        close("log_softmax", &log_softmax(&logits)?, &exact, 1e-12);
        let single = log_softmax(&logits.to_dtype(DType::F32)?)?;
        // Half a unit in the last place of the largest result, about 40.
        close("log_softmax, f32", &single, &exact, 4e-6);
    }
    Ok(())
}

#[test]
fn what_is_not_finite_shows_in_the_loss() -> Result<()> {
    let w = Var::constant(numbers(&[40, 8], 2).to_dtype(DType::F32)?);
    let head = Head { weight: Matrix::Trainable(&w), bias: None, soft_cap: None };
    let base = log_softmax(&numbers(&[3, 40], 5).to_dtype(DType::F32)?)?;
    for bad in [f32::NAN, f32::INFINITY] {
        let mut h = vec![0.1f32; 24];
        h[11] = bad;
        let h = Var::unknown(Tensor::from_vec(h, (3, 8), &Device::Cpu)?);
        let scored = cross_entropy(&h, &head, &[1, 2, 3], &[1.0; 3])?;
        assert!(!scored.loss.value().to_scalar::<f32>()?.is_finite());
        assert!(!scored.log_prob[1].is_finite() && !scored.margin[1].is_finite());
        assert!(scored.log_prob[0].is_finite() && scored.margin[2].is_finite());
        for direction in [Direction::ToReference, Direction::FromReference] {
            let found = kl(&h, &head, &base, direction, &[1.0; 3])?;
            assert!(!found.loss.value().to_scalar::<f32>()?.is_finite());
            assert!(!found.per_row[1].is_finite() && found.per_row[2].is_finite());
        }
    }
    Ok(())
}

#[test]
fn linear_over_stored_bytes_equals_linear_over_their_numbers() -> Result<()> {
    let formats = [
        Format::F32,
        Format::F16,
        Format::BF16,
        Format::Ggml(GgmlDType::Q4_1),
        Format::Ggml(GgmlDType::Q8_0),
        Format::Ggml(GgmlDType::Q6K),
    ];
    let (d_in, d_out) = (512, 700);
    let w = numbers(&[d_out, d_in], 1).to_dtype(DType::F32)?;
    for format in formats {
        let stored = Stored::encode(&w, format)?;
        let dense = Weight::Dense(stored.to_tensor(DType::F32, &Device::Cpu)?);
        let stored = Weight::Stored(stored);
        for n in [1, 20] {
            let x = Var::unknown(numbers(&[n, d_in], 2).to_dtype(DType::F32)?);
            let run = |w: &Weight| -> Result<(Tensor, Tensor)> {
                let y = linear(&x, Matrix::Frozen(w), None)?;
                let dy = numbers(&[n, d_out], 3).to_dtype(DType::F32)?;
                Ok((y.value().clone(), y.gradients_from(dy, &[&x])?.remove(0)))
            };
            let (found, exact) = (run(&stored)?, run(&dense)?);
            // Sums of 700 products in f32, in another order.
            close(&format!("{format} forward"), &found.0, &exact.0, 1e-4);
            close(&format!("{format} backward"), &found.1, &exact.1, 1e-4);
        }
    }
    Ok(())
}

#[test]
fn wrong_shapes_are_errors() -> Result<()> {
    let var = |dims: &[usize]| Var::constant(numbers(dims, 1));
    let (x, w, three) = (var(&[4, 6]), var(&[6]), var(&[3]));
    let table = Rotary::new(&[1.0, 0.1], 1.0, 4);
    let head = Head { weight: Matrix::Trainable(&x), bias: None, soft_cap: None };
    let settings = Attention {
        n_heads: 2,
        n_kv_heads: 1,
        d_head: 3,
        scale: 1.0,
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
    };
    let full = Sequences::full(&[4]);
    let kv = var(&[4, 3]);
    let results = [
        ("norm", rms_norm(&x, &three, 1e-5)),
        ("norm of a vector", rms_norm(&w, &w, 1e-5)),
        ("bias", layer_norm(&x, &w, Some(&three), 1e-5)),
        ("sum", add(&x, &w)),
        ("rows", scatter_add_rows(&x, &[1], &kv)),
        ("new rows", set_rows(&x, &[1], &kv)),
        ("gate", gated(&x, &w, Activation::Silu)),
        ("positions", rope(&x, &table, &[0, 1], 6, Pairing::Halves)),
        ("narrow heads", rope(&x, &table, &[0, 1, 2, 3], 3, Pairing::Halves)),
        ("uneven heads", rope(&x, &table, &[0, 1, 2, 3], 4, Pairing::Halves)),
        ("linear", linear(&kv, Matrix::Trainable(&x), None)),
        ("add_bias", add_bias(&x, &three)),
        ("keys", attention(&x, &x, &kv, &full, &settings)),
        ("values", attention(&x, &kv, &x, &full, &settings)),
        ("queries", attention(&kv, &kv, &kv, &full, &settings)),
        ("heads", attention(&x, &kv, &kv, &full, &Attention { n_kv_heads: 4, ..settings.clone() })),
        ("targets", cross_entropy(&x, &head, &[1], &[1.0; 4]).map(|scored| scored.loss)),
        ("weights", cross_entropy(&x, &head, &[1; 4], &[1.0]).map(|scored| scored.loss)),
        ("logits", logits(&kv, &head)),
    ];
    for (name, result) in results {
        assert!(matches!(result, Err(Error::Shape { .. })), "{name}: {result:?}");
    }
    assert!(matches!(Sequences::new(&[[3]], &[3]), Err(Error::Shape { .. })));
    assert!(matches!(gather_rows(&x, &[4]), Err(Error::Candle(_))));
    assert!(matches!(cross_entropy(&x, &head, &[4; 4], &[1.0; 4]), Err(Error::Candle(_))));
    attention(&x, &kv, &kv, &full, &settings).map(|_| ())
}

#[test]
fn a_trace_is_walked_once() -> Result<()> {
    let x = Var::unknown(numbers(&[2, 3], 1));
    let y = scale(&x, 2.0)?;
    y.gradients(&[&x])?;
    assert!(matches!(y.gradients(&[&x]), Err(Error::TraceUsed)));
    Ok(())
}

/// Numbers between -1 and 1 of no pattern, in `f64`.
fn numbers(dims: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let numbers: Vec<f64> = (0..dims.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(numbers, dims, &Device::Cpu).expect("as many numbers as the shape takes")
}

fn column(numbers: &[f64]) -> Tensor {
    Tensor::new(numbers, &Device::Cpu).expect("a tensor")
}

/// The numbers of a tensor in `f64`.
fn flat(x: &Tensor) -> Vec<f64> {
    let x = x.to_dtype(DType::F64).and_then(|x| x.flatten_all()).and_then(|x| x.to_vec1());
    x.expect("a tensor of numbers")
}

/// Asserts that each number is within `tolerance`, relative to those larger than 1.
fn close(name: &str, found: &Tensor, exact: &Tensor, tolerance: f64) {
    assert_eq!(found.dims(), exact.dims(), "{name}");
    for (i, (found, exact)) in flat(found).into_iter().zip(flat(exact)).enumerate() {
        let error = (found - exact).abs() / exact.abs().max(1.0);
        assert!(error <= tolerance, "{name}, number {i}: found {found}, exact {exact}");
    }
}

/// Everything that holds for every operation, for one set of inputs in `f64`.
fn check(
    name: &str,
    inputs: &[Tensor],
    native: impl Fn(&[&Var]) -> Result<Var>,
    plain: impl Fn(&[Tensor]) -> Result<Tensor> + Send + 'static,
) {
    let run = |inputs: &[Tensor], make: &dyn Fn(usize, Tensor) -> Var| {
        let vars: Vec<Var> = inputs.iter().cloned().enumerate().map(|(i, x)| make(i, x)).collect();
        let y = native(&vars.iter().collect::<Vec<_>>());
        (vars, y.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let constant = |_: usize, x| Var::constant(x);

    let (_, y) = run(inputs, &constant);
    assert!(!y.is_tracked(), "{name}: a trace without an unknown");
    // The same sums in another order, of up to some thousand numbers near 1.
    close(name, y.value(), &plain(inputs).expect("shapes that fit"), 1e-11);

    let single: Vec<Tensor> =
        inputs.iter().map(|x| x.to_dtype(DType::F32).expect("a tensor")).collect();
    let (_, y_single) = run(&single, &constant);
    assert_eq!(y_single.value().dtype(), DType::F32, "{name}");
    // Rounding to f32 of inputs and intermediate results.
    close(&format!("{name} in f32"), y_single.value(), y.value(), 1e-4);

    let dy = numbers(y.value().dims(), 99);
    let (vars, y) = run(inputs, &|_, x| Var::unknown(x));
    let vars: Vec<&Var> = vars.iter().collect();
    let gradients = y.gradients_from(dy.clone(), &vars).expect("a gradient for each input");
    let on_tape = composed(&vars, plain).and_then(|y| y.gradients_from(dy.clone(), &vars));
    let on_tape = on_tape.expect("a gradient for each input");
    let objective = |inputs: &[Tensor]| {
        let (_, y) = run(inputs, &constant);
        flat(y.value()).iter().zip(flat(&dy)).map(|(y, dy)| y * dy).sum::<f64>()
    };
    for (index, gradient) in gradients.iter().enumerate() {
        let name = format!("{name}, gradient {index}");
        close(&name, gradient, &on_tape[index], 1e-10);
        differences(&name, inputs, index, gradient, &objective);
        alone(&name, &run, inputs, index, &dy, gradient);
    }
}

/// Compares some numbers of the gradient by input `index` with central differences.
fn differences(
    name: &str,
    inputs: &[Tensor],
    index: usize,
    gradient: &Tensor,
    objective: &impl Fn(&[Tensor]) -> f64,
) {
    const STEP: f64 = 1e-5;
    let (numbers, gradient) = (flat(&inputs[index]), flat(gradient));
    let at = |i: usize, shift: f64| {
        let mut numbers = numbers.clone();
        numbers[i] += shift;
        let mut inputs = inputs.to_vec();
        inputs[index] = Tensor::from_vec(numbers, inputs[index].shape(), &Device::Cpu)
            .expect("as many numbers as before");
        objective(&inputs)
    };
    // Nine numbers, from the first to the last.
    let last = numbers.len() - 1;
    let chosen: std::collections::BTreeSet<usize> = (0..9).map(|i| i * last / 8).collect();
    for i in chosen {
        let slope = (at(i, STEP) - at(i, -STEP)) / (2.0 * STEP);
        let error = (slope - gradient[i]).abs() / gradient[i].abs().max(1.0);
        // The cubic term leaves STEP² = 1e-10 times a third derivative, and the rounding of an
        // objective near 100 about 1e-14 / STEP = 1e-9 times the number of its terms.
        assert!(error < 1e-6, "{name}, number {i}: {} where differences say {slope}", gradient[i]);
    }
}

/// With one unknown only, its gradient is the same, and there is no other.
fn alone(
    name: &str,
    run: &impl Fn(&[Tensor], &dyn Fn(usize, Tensor) -> Var) -> (Vec<Var>, Var),
    inputs: &[Tensor],
    index: usize,
    dy: &Tensor,
    gradient: &Tensor,
) {
    let one = |i: usize, x| if i == index { Var::unknown(x) } else { Var::constant(x) };
    let (vars, y) = run(inputs, &one);
    let found = y.gradients_from(dy.clone(), &[&vars[index]]).expect("a gradient");
    close(&format!("{name}, alone"), &found[0], gradient, 0.0);
    for other in (0..inputs.len()).filter(|&other| other != index) {
        let (vars, y) = run(inputs, &one);
        let result = y.gradients_from(dy.clone(), &[&vars[other]]);
        assert!(matches!(result, Err(Error::NoGradient { index: 0 })), "{name}: {result:?}");
    }
    let elsewhere = Var::unknown(inputs[index].clone());
    let (_, y) = run(inputs, &one);
    let result = y.gradients_from(dy.clone(), &[&elsewhere]);
    assert!(matches!(result, Err(Error::NoGradient { index: 0 })), "{name}: {result:?}");
}
