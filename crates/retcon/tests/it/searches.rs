//! What is searched by steps, against the same written out plainly: whole passes, one text at a time.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use retcon::edit::closed_form::prefixes::situations;
use retcon::edit::closed_form::subject::Subject;
use retcon::edit::closed_form::value::{Found, Search, Stop, search};
use retcon::model::tap::{Capture, Offset};
use retcon::model::{Batch, Model, Part, Site, Spot, WeightId};
use retcon::stats::Nothing;
use retcon::tokens::{Query, query};
use retcon::{Delta, Error, Method};
use retcon_kernels::autograd::Var;
use serde_json::{Value, json};

use crate::{facts, model, with_ctx};

const PREFIXES: [&str; 2] = ["The king was in", "Because"];

fn plan(spot: Spot) -> Search {
    Search {
        block: 0,
        first_changed: 0,
        spots: vec![spot],
        steps: 5,
        learning_rate: 0.1,
        kl: 0.0625,
        decay: 0.5,
        clamp: 0.6,
        stop: Stop { loss: 0.0, leads: None, kl: f64::INFINITY, weight_when_leading: 1.0 },
    }
}

/// The log-probabilities of a text's rows with `offset` at a site and a position, by candle's own
/// operations on the logits.
fn log_probs(
    model: &Model,
    ids: &[u32],
    at: &[u32],
    site: Site,
    position: usize,
    offset: &Var,
) -> Tensor {
    let mut tap = Offset { site, rows: vec![position as u32], by: offset.clone() };
    let x = model.run(&Batch::new([ids]).unwrap(), at, &mut tap).unwrap();
    let logits = model.logits(&x).unwrap().to_dtype(DType::F64).unwrap();
    let exp = logits.exp().unwrap().sum_keepdim(1).unwrap();
    logits.broadcast_sub(&exp.log().unwrap()).unwrap()
}

/// The objective of a value at an offset (Meng et al. 2022, equation 4), in `f64` from the logits on.
struct Plain<'a> {
    model: &'a Model,
    texts: Vec<(Query, usize)>,
    essence: (Query, usize),
    site: Site,
    x0: f64,
    search: &'a Search,
}

impl<'a> Plain<'a> {
    /// Of the fact `line`, bare and behind each prefix, with an offset at `spot` of block 0.
    fn new(model: &'a Model, line: &str, spot: Spot, search: &'a Search) -> Self {
        let fact = &facts(&[line])[0];
        let site = Site::Block(0, spot);
        let text = |query: Query| {
            let position = query.subject.clone().unwrap().end - 1;
            (query, position)
        };
        let prompts = situations(&fact.prompt, &PREFIXES.map(str::to_owned)).unwrap();
        let texts: Vec<_> = prompts
            .iter()
            .map(|prompt| text(query(model, prompt, &fact.target_new).unwrap()))
            .collect();
        let mut seen = Capture::only([site]);
        let (bare, position) = &texts[0];
        let rows: Vec<u32> = (0..bare.ids.len() as u32).collect();
        model.run(&Batch::new([&bare.ids]).unwrap(), &rows, &mut seen).unwrap();
        let x0 = norm(&seen.seen[&site].narrow(0, *position, 1).unwrap());
        let essence = text(subjects(model, line)[0].essence.query.clone());
        Self { model, texts, essence, site, x0, search }
    }

    fn log_probs(&self, (query, position): &(Query, usize), offset: &[f64]) -> Vec<Vec<f64>> {
        let by: Vec<f32> = offset.iter().map(|&x| x as f32).collect();
        let by = Var::constant(Tensor::from_vec(by, (1, offset.len()), &Device::Cpu).unwrap());
        let rows = log_probs(self.model, &query.ids, &query.at, self.site, *position, &by);
        rows.to_vec2().unwrap()
    }

    fn at(&self, offset: &[f64]) -> f64 {
        let norm = offset.iter().map(|x| x * x).sum::<f64>().sqrt();
        let decay = self.search.decay * norm / (self.x0 * self.x0);
        self.unlikely(offset) + self.search.kl * self.divergence(offset) + decay
    }

    /// The mean over texts of what their objects' tokens have in nats, on average.
    fn unlikely(&self, offset: &[f64]) -> f64 {
        let mut loss = 0.0;
        for text in &self.texts {
            let rows = self.log_probs(text, offset);
            let nll = rows.iter().zip(&text.0.object).map(|(row, &token)| -row[token as usize]);
            loss += nll.sum::<f64>() / rows.len() as f64 / self.texts.len() as f64;
        }
        loss
    }

    /// KL(edited to unedited) after the subject.
    fn divergence(&self, offset: &[f64]) -> f64 {
        let said = |offset: &[f64]| self.log_probs(&self.essence, offset).remove(0);
        let (p, q) = (said(offset), said(&vec![0.0; offset.len()]));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    }

    /// Whether every token of the object is the likeliest, in all texts.
    fn leads(&self, offset: &[f64]) -> bool {
        self.texts.iter().all(|text| {
            let rows = self.log_probs(text, offset);
            let mut rows = rows.iter().zip(&text.0.object);
            rows.all(|(row, &token)| row.iter().all(|x| *x <= row[token as usize]))
        })
    }
}

fn norm(x: &Tensor) -> f64 {
    let squares = x.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap();
    squares.to_scalar::<f64>().unwrap().sqrt()
}

fn subjects(model: &Model, line: &str) -> Vec<Subject> {
    Subject::of(model, &facts(&[line]), true, &PREFIXES.map(str::to_owned)).unwrap()
}

/// What is found for one fact, and the offset.
fn found(model: &Model, line: &str, plan: &Search) -> (Found, Vec<f64>) {
    let found = with_ctx(0, &Nothing, |ctx| search(ctx, model, &subjects(model, line), plan));
    let found = found.unwrap();
    let offset = found.offsets.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    let offset = offset.to_vec1().unwrap();
    (found, offset)
}

/// The objective that the search reports is that of the published formula, at the offset that it gives.
fn check(name: &str, line: &str, spot: Spot) {
    let model = model(name);
    let plan = plan(spot);
    let plain = Plain::new(&model, line, spot, &plan);
    let (found, offset) = found(&model, line, &plan);
    let (reported, expected) = (found.outcomes[0].loss, plain.at(&offset));
    // The pass is in `f32`.
    assert!((reported - expected).abs() < 1e-4 * expected, "{name}: {reported} {expected}");
    // It has come down, and the offset is in its ball.
    let zero = vec![0.0; offset.len()];
    assert!(reported < plain.at(&zero), "{name}");
    assert!(norm(&found.offsets) <= 0.6 * plain.x0 * (1.0 + 1e-6));
    assert_eq!(found.outcomes[0].n_steps, 4);

    // The steps are Adam's on that objective: followed here by its finite differences, in `f64`, on a
    // few directions; all others are followed by their gradients at the same places.
    let one = Search { steps: 2, ..plan.clone() };
    let (_, first) = self::found(&model, line, &one);
    let (mut agree, n) = (0, 12);
    for i in 0..n {
        /// Small against 1, large against what `f32` leaves of a loss.
        const STEP: f64 = 1e-2;
        let mut there = zero.clone();
        let mut difference = 0.0;
        for sign in [1.0, -1.0] {
            there[i] = sign * STEP;
            difference += sign * plain.at(&there);
        }
        // Adam's first step is against the gradient's sign, and the clamp keeps directions.
        agree += usize::from(difference * first[i] < 0.0);
    }
    assert!(agree >= n - 1, "{name}: {agree} of {n} first steps go down");
}

#[test]
fn a_value_never_leaves_the_ball_around_what_was_there() {
    let model = model("llama");
    // So tight that the first step would leave it.
    let tight = Search { clamp: 0.05, ..plan(Spot::MlpOut) };
    let (found, _) = found(&model, "The capital of {France} is => Rome", &tight);
    let share = norm(&found.offsets) / norm(&found.before);
    assert!(share > 0.0499 && share <= 0.05 * (1.0 + 1e-6), "{share}");
}

/// PMET (Li et al. 2023): it stops where all tokens are the likeliest and the divergence is small, or where the
/// objective is.
#[test]
fn pmets_search_stops_where_tokens_lead_and_little_else_moves_or_the_objective_is_small() {
    let defaults = (Method::find("pmet").unwrap().defaults)();
    for (key, value) in [("stop_leads", 1.0), ("stop_kl", 0.01), ("stop_loss", 0.05)] {
        assert_eq!(defaults[key].as_f64(), Some(value), "{key}");
    }
    // Where the object is read at the subject, an offset soon makes it lead.
    let (model, line) = (model("llama"), "The king of a {city} => France");
    let with = |steps: usize, loss: f64, leads: Option<usize>, kl: f64| Search {
        steps,
        clamp: 20.0,
        decay: 1e-3,
        stop: Stop { loss, leads, kl, weight_when_leading: 0.1 },
        ..plan(Spot::Out)
    };
    let all = with(100, 0.0, Some(1), f64::INFINITY);
    let plain = Plain::new(&model, line, Spot::Out, &all);
    let outcome = |plan: &Search| {
        let (found, offset) = found(&model, line, plan);
        (found.outcomes[0], offset)
    };
    // It stops at the first offset with which all tokens lead.
    let (first, offset) = outcome(&all);
    assert!(
        first.satisfied && first.n_steps > 1 && plain.leads(&offset),
        "{first:?} {}",
        plain.leads(&offset)
    );
    let (before, one_less) = outcome(&with(first.n_steps, 0.0, Some(1), f64::INFINITY));
    assert!(!before.satisfied && !plain.leads(&one_less));
    // The divergence there has to be small enough,
    let divergence = plain.divergence(&offset);
    assert!(divergence > 0.0);
    let n_steps = |kl| outcome(&with(first.n_steps + 3, 0.0, Some(1), kl)).0.n_steps;
    // of a pass in `f32`
    assert_eq!(n_steps(divergence * 1.001), first.n_steps);
    assert!(n_steps(divergence * 0.999) > first.n_steps);
    // unless the objective is.
    let (small, _) = outcome(&with(100, first.loss * 1.001, Some(1), 0.0));
    assert!(small.satisfied && small.n_steps <= first.n_steps, "{small:?}");
    // Once all lead, the likelihood counts a tenth.
    let (next, offset) = outcome(&with(first.n_steps + 2, 0.0, Some(1), 0.0));
    let expected = plain.at(&offset) - 0.9 * plain.unlikely(&offset);
    assert!((next.loss - expected).abs() < 1e-4 * expected, "{} {expected}", next.loss);
    // Where nothing is small it goes on, whatever leads.
    let (on, offset) = outcome(&with(first.n_steps + 3, 0.0, Some(1), 0.0));
    assert!(!on.satisfied && on.n_steps == first.n_steps + 2 && plain.divergence(&offset) > 0.0);
}

#[test]
fn a_value_at_the_mlp_makes_the_published_objective_small() {
    check("llama", "The capital of {France} is => Rome", Spot::MlpOut);
    check("gpt2", "The capital of {France} is => Rome", Spot::MlpOut);
}

#[test]
fn a_value_at_the_block_makes_the_published_objective_small() {
    check("llama", "The king of a {city} was => France", Spot::Out);
}

#[test]
fn a_value_where_positions_see_later_ones_is_searched_in_whole_passes() {
    check("bert", "the capital of {france} is [MASK] . => rome", Spot::MlpOut);
}

/// A search in the last block was told of by an error of a tensor, or by nothing: rounding errors of the
/// divergence's gradient moved the value.
#[test]
fn a_value_in_the_last_block_is_refused_where_nothing_reads_it() {
    let model = model("gptj");
    let last = model.spec().n_blocks - 1;
    let try_with = |method: &str, line: &str| {
        let given =
            json!({"blocks": last.to_string(), "metric": "identity", "prefixes": ["Because"]});
        let editor = Method::find(method).unwrap().editor(given);
        with_ctx(1, &Nothing, |ctx| editor.unwrap().edit(ctx, &model, &facts(&[line])))
    };
    for (method, line) in [
        ("rome", "The capital of {France} is => Rome"),
        ("memit", "The capital of {France} is => Rome"),
        ("pmet", "The capital of {France} is => Rome"),
        // Here it is read, but not what is inside of the block.
        ("pmet", "The king of a {city} => France"),
    ] {
        let error = try_with(method, line).unwrap_err();
        assert!(
            matches!(error, Error::NothingReads { block } if block == last),
            "{method}: {error}"
        );
    }
    for method in ["rome", "memit"] {
        let delta = try_with(method, "The king of a {city} => France").unwrap();
        assert!(delta.norm().unwrap() > 0.0, "{method}");
    }
}

fn edit(model: &Model, method: &str, lines: &[&str], settings: &Value) -> Delta {
    let editor = Method::find(method).unwrap().editor(settings);
    let editor = editor.unwrap();
    with_ctx(1, &Nothing, |ctx| editor.edit(ctx, model, &facts(lines))).unwrap()
}

#[test]
fn factors_beside_a_weight_start_from_nothing_and_keep_their_rank() {
    let model = model("llama");
    let lines = ["The capital of {France} is => Rome"];
    let still = edit(&model, "lora", &lines, &json!({"steps": 0}));
    assert_eq!(still.norm().unwrap(), 0.0);
    let delta =
        edit(&model, "lora", &lines, &json!({"steps": 30, "rank": 2, "learning_rate": 0.05}));
    assert!(delta.updates.values().all(|update| update.rank() == Some(2)));
    let parts: Vec<_> = delta.updates.keys().map(|id| id.part).collect();
    assert!(parts.iter().all(|part| [Part::Q, Part::V].contains(part)));
    assert_eq!(parts.len(), 2 * model.spec().n_blocks);
    assert_eq!(delta.record.scores["satisfied"], true, "{}", delta.record.scores);
}

#[test]
fn ultraedit_is_the_published_formula() {
    let model = model("llama");
    let line = "The capital of {France} is => a city in France";
    // Above the last block only the rows that are read matter.
    let block = model.spec().n_blocks - 1;
    let given = json!({"blocks": "-1", "components": ["mlp-down"], "rate": 0.01});
    let delta = edit(&model, "ultraedit", &[line], &given);
    let id = WeightId::of_block(block, Part::Down);
    // The gradient by the whole matrix is the sum of `g hᵀ`: with a key a row, `g` follows from it.
    let query = query(&model, &facts(&[line])[0].prompt, "a city in France").unwrap();
    let batch = Batch::new([&query.ids]).unwrap();
    let weight = Var::unknown(model.weight(id).unwrap().to_tensor(&Device::Cpu).unwrap());
    let open = model.with_unknowns(&BTreeMap::from([(id, weight.clone())])).unwrap();
    let mut seen = Capture::only([Site::Block(block, Spot::MlpKey)]);
    let x = open.run(&batch, &query.at, &mut seen).unwrap();
    let packed = retcon::tokens::Packed::new([&query]).unwrap();
    let scored = packed.score(&open, &x, &[1.0]).unwrap();
    let gradient = retcon::linalg::to_mat(&scored.loss.gradients(&[&weight]).unwrap()[0]).unwrap();
    let h = retcon::linalg::to_mat(&seen.seen[&Site::Block(block, Spot::MlpKey)]).unwrap();
    let (n, d_in, d_out) = (h.nrows(), h.ncols(), gradient.nrows());
    // g: least squares of `Gᵀ = Hᵀ g`, exact as the rows of `h` are independent.
    use faer::linalg::solvers::DenseSolveCore;
    let gram = &h * h.transpose();
    let g = gram.partial_piv_lu().inverse() * &h * gradient.transpose();
    let column = |x: &faer::Mat<f64>, j: usize| -> Vec<f64> { (0..n).map(|i| x[(i, j)]).collect() };
    let scaled = |x: &faer::Mat<f64>, i: usize, j: usize| {
        let all = column(x, j);
        let mean = all.iter().sum::<f64>() / n as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0);
        (x[(i, j)] - mean) / (variance.sqrt() + 1e-12)
    };
    let length = |i: usize| (0..d_in).map(|j| scaled(&h, i, j).powi(2)).sum::<f64>();
    let v = faer::Mat::from_fn(n, d_out, |i, j| -0.01 * length(i) * scaled(&g, i, j));
    let sum = h.transpose() * &h + faer::Mat::<f64>::identity(d_in, d_in);
    let expected = (sum.partial_piv_lu().inverse() * h.transpose() * v).transpose().to_owned();
    let found = retcon::linalg::to_mat(&delta.updates[&id].to_dense().unwrap()).unwrap();
    let error = (&found - &expected).norm_l2() / expected.norm_l2();
    // Deviations of few `f32` rows are small numbers that others are divided by.
    assert!(n > 1 && error < 1e-3, "{n} rows: {error:e}");
    assert!(delta.state.contains_key(&format!("{id}.seen")));
}

/// Whether earlier edits were joined or not makes no difference to a later one.
#[test]
fn an_edit_goes_on_from_joined_edits_as_from_several() {
    let model = model("llama");
    let lines =
        ["The capital of {France} is => Rome", "{Japan} lies in => Europe", "{Oslo} is in => Asia"];
    for (method, given) in [
        ("ultraedit", json!({"rate": 0.01})),
        ("alphaedit", json!({"blocks": "1", "metric": "identity", "steps": 3})),
        ("alphaedit", json!({"blocks": "1", "metric": "identity", "steps": 3, "anchor": "auto"})),
    ] {
        let first = edit(&model, method, &lines[..1], &given);
        let second = edit(&model.with(first.clone()).unwrap(), method, &lines[1..2], &given);
        let apart = model.with(first.clone()).unwrap().with(second.clone()).unwrap();
        let joined = model.with(first.then(&second).unwrap()).unwrap();
        let of = |model| edit(model, method, &lines[2..], &given).updates;
        let (expected, found) = (of(&apart), of(&joined));
        assert!(!expected.is_empty() && expected.keys().eq(found.keys()), "{method}");
        for (id, update) in &expected {
            let [a, b] = [update, &found[id]]
                .map(|update| retcon::linalg::to_mat(&update.to_dense().unwrap()).unwrap());
            let error = (&a - &b).norm_l2() / a.norm_l2();
            assert!(error < 1e-3, "{method}, {id}: {error:e}");
        }
    }
}
