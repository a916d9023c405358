//! Tracing against runs of the whole model, one a cell, and neurons against finite differences.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use retcon::data::Prompt;
use retcon::model::random::Random;
use retcon::model::{Batch, Part, Site, Spot, Tap, Update, WeightId};
use retcon::tokens::{Query, query};
use retcon::trace::{Kind, Question, Role, Settings, Trace, attribute, deviation, trace};
use retcon::{Ctx, Error, Model, Result};
use retcon_kernels::autograd::Var;

use crate::model;

const PROMPT: &str = "The capital of {the United Kingdom} is";
/// Strong enough to matter in models whose weights were drawn.
const NOISE: f64 = 0.5;
const SAMPLES: usize = 3;

type Rows = Vec<Vec<f32>>;

/// Adds noise to the embeddings, sets rows at sites, and keeps everything that has passed.
#[derive(Default)]
struct Plain {
    noise: BTreeMap<usize, Vec<f32>>,
    set: BTreeMap<Site, BTreeMap<usize, Vec<f32>>>,
    seen: BTreeMap<Site, Rows>,
}

impl Tap for Plain {
    fn at(&mut self, site: Site, x: Var) -> retcon::model::Result<Var> {
        let mut rows: Rows = x.value().to_vec2()?;
        if site == Site::Embed {
            for (&row, noise) in &self.noise {
                rows[row].iter_mut().zip(noise).for_each(|(x, noise)| *x += noise);
            }
        }
        for (&row, with) in self.set.get(&site).into_iter().flatten() {
            rows[row].clone_from(with);
        }
        let width = rows[0].len();
        let x = Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu)?;
        self.seen.insert(site, rows);
        Ok(Var::constant(x))
    }
}

/// The probability of all tokens of the object, by a run of the whole model.
fn probability(model: &Model, query: &Query, tap: &mut Plain) -> f64 {
    let h = model.embed(&Batch::new([&query.ids]).unwrap(), tap).unwrap();
    let n_blocks = model.spec().n_blocks;
    let h = model.blocks(0..n_blocks, h, tap).unwrap();
    let x = model.finish(n_blocks, h, &query.at, &mut ()).unwrap();
    let logits: Rows = model.logits(&x).unwrap().to_vec2().unwrap();
    let of_token = |(logits, &token): (&Vec<f32>, &u32)| {
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        f64::from(logits[token as usize]).exp() / sum
    };
    logits.iter().zip(&query.object).map(of_token).product()
}

/// The draws of noise, by sample and position of the subject.
fn draws(query: &Query, width: usize, seed: u64) -> Vec<BTreeMap<usize, Vec<f32>>> {
    let mut random = Random::new(seed);
    let mut row = || (0..width).map(|_| (NOISE * random.normal()) as f32).collect::<Vec<_>>();
    let subject = query.subject.clone().unwrap();
    (0..SAMPLES).map(|_| subject.clone().map(|at| (at, row())).collect()).collect()
}

/// What is set where `kind` is restored at a token and a block.
fn patch(
    kind: Kind,
    (at, block): (usize, usize),
    window: usize,
    clean: &BTreeMap<Site, Rows>,
    corrupted: &BTreeMap<Site, Rows>,
    n_blocks: usize,
) -> BTreeMap<Site, BTreeMap<usize, Vec<f32>>> {
    let row =
        |of: &BTreeMap<Site, Rows>, site| (site, BTreeMap::from([(at, of[&site][at].clone())]));
    let state = Site::Block(block, Spot::Out);
    match kind {
        Kind::Hidden => [row(clean, state)].into(),
        Kind::Mlp | Kind::Attention => {
            let spot = if kind == Kind::Mlp { Spot::MlpOut } else { Spot::AttnOut };
            let from = block.saturating_sub(window / 2);
            let to = (block + window.div_ceil(2)).min(n_blocks);
            (from..to).map(|block| row(clean, Site::Block(block, spot))).collect()
        }
        Kind::SeveredMlp | Kind::SeveredAttention => {
            let spot = if kind == Kind::SeveredMlp { Spot::MlpOut } else { Spot::AttnOut };
            let held = (0..n_blocks).map(|block| row(corrupted, Site::Block(block, spot)));
            held.chain([row(clean, state)]).collect()
        }
    }
}

fn traced(model: &Model, question: &Question, window: usize, seed: u64) -> Result<Trace> {
    let ctx = Ctx::new(seed);
    let settings = Settings { kinds: Kind::ALL.to_vec(), noise: NOISE, samples: SAMPLES, window };
    trace(&ctx, model, question, &settings)
}

#[test]
fn every_cell_is_what_a_run_of_the_whole_model_gives() {
    for (name, prompt, object, window) in [
        ("llama", PROMPT, "London", 2),
        ("llama", "{France} is", "New York", 3),
        ("gpt2", PROMPT, "London", 10),
        ("gpt2", "The city of {New York}", "Rome", 1),
        ("bert", PROMPT, "london", 2),
        ("bert", "[MASK] is the capital of {France}, a city", "new york", 3),
        ("albert", PROMPT, "paris", 2),
    ] {
        let model = model(name);
        let prompt = Prompt::parse(prompt).unwrap();
        let query = query(&model, &prompt, object).unwrap();
        let question = Question::new(&model, &prompt, Some(object)).unwrap();
        let found = traced(&model, &question, window, 7).unwrap();

        let (n_blocks, width) = (model.spec().n_blocks, model.spec().d_model);
        let mut clean = Plain::default();
        let high = probability(&model, &query, &mut clean);
        let mut lows = Vec::new();
        let draws = draws(&query, width, 7);
        let corrupted: Vec<_> = (draws.iter())
            .map(|noise| {
                let mut tap = Plain { noise: noise.clone(), ..Plain::default() };
                lows.push(probability(&model, &query, &mut tap));
                tap.seen
            })
            .collect();
        let mean = |p: &[f64]| p.iter().sum::<f64>() / p.len() as f64;
        // Single precision, and sums in another order. The models' weights were drawn, so that
        // probabilities are small, of several tokens above all: what counts is the share of them.
        let near = |a: f64, b: f64, what: &str| {
            assert!((a - b).abs() < 1e-5 * high.max(b), "{what}: {a} {b}, of {high}");
        };
        near(found.high, high, name);
        near(found.low, mean(&lows), name);
        near(found.high, question.probability, name);
        let taken = (found.high - found.low).abs();
        assert!(taken > 0.01 * high, "{name}: noise that does nothing hides what is wrong");
        for map in &found.maps {
            assert_eq!(map.scores.len(), found.tokens.len());
            for (at, scores) in map.scores.iter().enumerate() {
                for (block, &score) in scores.iter().enumerate() {
                    let run = |(noise, corrupted): (&BTreeMap<_, _>, &BTreeMap<_, _>)| {
                        let place = (at, block);
                        let set = patch(map.kind, place, window, &clean.seen, corrupted, n_blocks);
                        let mut tap = Plain { noise: noise.clone(), set, ..Plain::default() };
                        probability(&model, &query, &mut tap)
                    };
                    let runs: Vec<f64> = draws.iter().zip(&corrupted).map(run).collect();
                    near(score, mean(&runs), &format!("{name}, {}, {at}, {block}", map.kind));
                }
            }
        }
    }
}

#[test]
fn restoring_all_that_is_read_gives_high_and_what_is_not_gives_low() {
    for (name, object) in [("llama", "London"), ("gpt2", "London"), ("bert", "london")] {
        let model = model(name);
        let question =
            Question::new(&model, &Prompt::parse(PROMPT).unwrap(), Some(object)).unwrap();
        assert!(question.object == object && question.probability < 1.0);
        let question = Question::new(&model, &question.prompt, None).unwrap();
        assert!(question.leads && question.object == question.says);
        let found = traced(&model, &question, 10, 1).unwrap();
        let last = model.spec().n_blocks - 1;
        for (token, scores) in found.tokens.iter().zip(&found.maps[0].scores) {
            let expected = if token.role == Role::Answer { found.high } else { found.low };
            // Single precision, and sums in another order.
            assert!((scores[last] - expected).abs() < 1e-6, "{name}: {token:?}");
        }
        let earlier = found.tokens.iter().take_while(|token| token.role == Role::Earlier).count();
        assert!(earlier >= 3, "{name}");
        if name != "bert" {
            // Nothing before the subject is reached by the noise: exactly, as it isn't run.
            let first = found.maps.iter().flat_map(|map| &map.scores[..earlier]).flatten();
            assert!(first.copied().all(|score| score == found.low), "{name}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_noise() {
    let model = model("gpt2");
    let question = Question::new(&model, &Prompt::parse(PROMPT).unwrap(), None).unwrap();
    let [one, same, other] = [3, 3, 4].map(|seed| traced(&model, &question, 4, seed).unwrap());
    assert_eq!(one, same);
    assert_ne!(one.low, other.low);
    assert_eq!(one.high, other.high);
}

#[test]
fn the_deviation_is_that_of_the_rows_of_the_table() {
    let model = model("gpt2");
    let ids = model.tokenizer().encode_continuation("France").unwrap();
    let table = model.weight("embed".parse().unwrap()).unwrap().base();
    let table = table.to_tensor(DType::F32, &Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
    let numbers: Vec<f64> =
        ids.iter().flat_map(|&id| &table[id as usize]).map(|&x| f64::from(x)).collect();
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    let expected = (squares / (numbers.len() - 1) as f64).sqrt();
    let found = deviation(&model, &["France"]).unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

#[test]
fn a_trace_can_be_stopped_and_says_how_far_it_is() {
    let model = model("llama");
    let question = Question::new(&model, &Prompt::parse(PROMPT).unwrap(), None).unwrap();
    let (n_reports, cancel) = (AtomicUsize::new(0), AtomicBool::new(false));
    let progress = |progress: &retcon::Progress| {
        assert!(progress.done <= progress.total && progress.total > 0);
        if n_reports.fetch_add(1, Ordering::Relaxed) == 1 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let ctx = Ctx::new(0).with_progress(&progress).with_cancel(&cancel);
    let settings = Settings { kinds: vec![Kind::Mlp], noise: NOISE, samples: 2, window: 10 };
    let error = trace(&ctx, &model, &question, &settings).unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error}");
}

#[test]
fn what_cannot_be_traced_is_refused() {
    let model = model("llama");
    let bare = Prompt::new("The capital of France is", None).unwrap();
    let question = Question::new(&model, &bare, None).unwrap();
    let error = traced(&model, &question, 10, 0).unwrap_err().to_string();
    assert!(error.contains("write the subject in braces"), "{error}");
    let question = Question::new(&model, &Prompt::parse(PROMPT).unwrap(), None).unwrap();
    let error = traced(&model, &question, 0, 0).unwrap_err().to_string();
    assert!(error.contains("`window`: expected at least 1"), "{error}");
}

#[test]
fn a_model_whose_numbers_are_none_is_not_traced() {
    let base = model("llama");
    let question = Question::new(&base, &Prompt::parse(PROMPT).unwrap(), None).unwrap();
    let id = WeightId::of_block(1, Part::Down);
    let weight = base.weight(id).unwrap().to_tensor(&Device::Cpu).unwrap();
    let none = Update::Dense(weight.affine(f64::NAN, 0.0).unwrap());
    let broken = base.with_updates(&[(id, none)].into()).unwrap();
    let error = traced(&broken, &question, 10, 0).unwrap_err().to_string();
    assert_eq!(error, "the probability of the answer has numbers that are not finite");
    let attributed =
        crate::with_ctx(0, &retcon::stats::Nothing, |ctx| attribute(ctx, &broken, &question, 4));
    assert!(attributed.unwrap_err().to_string().contains("not finite"));
}

/// The last token's probability where the key of `block` at `row` is `key`.
fn with_key(model: &Model, query: &Query, block: usize, row: usize, key: Vec<f32>) -> f64 {
    let set = [(Site::Block(block, Spot::MlpKey), [(row, key)].into())].into();
    probability(model, query, &mut Plain { set, ..Plain::default() })
}

/// The query for the last token of `object` alone.
fn last_token(model: &Model, prompt: &Prompt, object: &str) -> Query {
    let mut query = query(model, prompt, object).unwrap();
    let last = query.at.len() - 1;
    if model.tokenizer().mask().is_some_and(|mask| query.ids.contains(&mask)) {
        for i in 0..last {
            query.ids[query.at[i] as usize] = query.object[i];
        }
    }
    query.at = vec![query.at[last]];
    query.object = vec![query.object[last]];
    query
}

#[test]
fn attributions_are_sums_of_finite_differences() {
    for (name, prompt, object) in [
        ("llama", PROMPT, "London"),
        ("llama", PROMPT, "New York"),
        ("gpt2", PROMPT, "London"),
        ("bert", PROMPT, "london"),
        ("bert", "[MASK] is the capital of {France}, a city", "new york"),
    ] {
        const POINTS: usize = 4;
        /// Probabilities have 7 digits, so that smaller steps drown in rounding.
        const STEP: f32 = 0.05;
        let model = model(name);
        let prompt = Prompt::parse(prompt).unwrap();
        let question = Question::new(&model, &prompt, Some(object)).unwrap();
        let ctx = Ctx::new(0);
        let found = attribute(&ctx, &model, &question, POINTS).unwrap();

        let query = last_token(&model, &prompt, object);
        let row = query.at[0] as usize;
        let mut clean = Plain::default();
        let p = probability(&model, &query, &mut clean);
        assert!((found.probability - p).abs() < 1e-6, "{name}: {} {p}", found.probability);
        assert_eq!(found.values.len(), model.spec().n_blocks);
        for (block, values) in found.values.iter().enumerate() {
            let key = &clean.seen[&Site::Block(block, Spot::MlpKey)][row];
            let mut strongest: Vec<usize> = (0..values.len()).collect();
            strongest.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
            let highest = values[strongest[0]].abs();
            for &i in strongest[..2].iter().chain(&strongest[values.len() - 1..]) {
                let slope = |j: usize| {
                    let scaled = |by: f32| {
                        let factor = j as f32 / POINTS as f32;
                        let mut key: Vec<f32> = key.iter().map(|a| factor * a).collect();
                        key[i] += by;
                        with_key(&model, &query, block, row, key)
                    };
                    (scaled(STEP) - scaled(-STEP)) / f64::from(2.0 * STEP)
                };
                let sum: f64 = (0..POINTS).map(slope).sum();
                let expected = f64::from(key[i]) * sum / POINTS as f64;
                // The third derivative, and rounding: a few percent of the highest.
                let difference = (values[i] - expected).abs();
                assert!(
                    difference < 0.03 * highest,
                    "{name}, {block}, {i}: {} {expected}",
                    values[i]
                );
            }
        }
    }
}

#[test]
fn attributions_of_many_points_add_up_to_what_the_key_does() {
    for name in ["llama", "bert"] {
        let model = model(name);
        let prompt = Prompt::parse(PROMPT).unwrap();
        let question = Question::new(&model, &prompt, Some("london")).unwrap();
        let ctx = Ctx::new(0);
        let found = attribute(&ctx, &model, &question, 400).unwrap();
        let query = last_token(&model, &prompt, "london");
        for (block, values) in found.values.iter().enumerate() {
            let without = vec![0.0; values.len()];
            let without = with_key(&model, &query, block, query.at[0] as usize, without);
            let (sum, expected) = (values.iter().sum::<f64>(), found.probability - without);
            // The error of a left sum is about the slope's change over twice the points.
            let tolerance = 0.02 * expected.abs() + 1e-6;
            assert!((sum - expected).abs() < tolerance, "{name}, {block}: {sum} {expected}");
        }
    }
}

#[test]
fn smollm2_keeps_a_capital_at_its_subject_and_then_at_the_last_token() {
    #[expect(clippy::disallowed_methods, reason = "says where the real model is")]
    let Some(path) = std::env::var_os("RETCON_SMOLLM2_GGUF").map(std::path::PathBuf::from) else {
        return;
    };
    let model = Model::open(&path, &retcon::Options::default()).unwrap();
    let prompt = Prompt::parse("The capital of {France} is").unwrap();
    let question = Question::new(&model, &prompt, None).unwrap();
    assert_eq!(question.object, "Paris");
    let ctx = Ctx::new(0);
    let subjects = ["France", "Spain", "Mozart", "the Eiffel Tower", "Honda Civic"];
    let noise = 3.0 * deviation(&model, &subjects).unwrap();
    let settings = Settings { kinds: vec![Kind::Hidden], noise, samples: 3, window: 10 };
    let found = trace(&ctx, &model, &question, &settings).unwrap();
    assert!(found.high > 0.5 && found.low < 0.1, "{} {}", found.high, found.low);
    // The early site of the paper at the subject, and the late one at the last token.
    let peaks = found.maps[0].peaks();
    let [subject, last] = [peaks[found.tokens.len() - 2], peaks[found.tokens.len() - 1]];
    assert!(subject.block < 15 && subject.score > 0.5, "{subject:?}");
    assert!(last.block > 15 && last.score > 0.5, "{last:?}");
}
