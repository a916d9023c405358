//! What published formulas are computed from: facts that tiny models know the words of, states by
//! passes of their own, one text at a time, and plain matrices in `f64`.

use candle_core::DType;
use faer::Mat;
use retcon::data::{Corpus, Fact};
use retcon::edit::closed_form::subject::Subject;
use retcon::edit::closed_form::value::{Search, Stop, search};
use retcon::linalg::{mean, to_mat};
use retcon::model::tap::Capture;
use retcon::model::{Batch, Part, Site, Spot, WeightId};
use retcon::stats::{Fresh, Limits, Nothing, Source};
use retcon::tokens::query;
use retcon::{Delta, Method, Model, Result};
use serde_json::{Value, json};

use crate::{facts, with_ctx};

/// Whether its settings are a recipe.
pub(crate) fn is_closed_form(method: &Method) -> bool {
    (method.defaults)().get("prefixes").is_some()
}

/// Words before prompts, in the place of those that a model writes.
pub(crate) const PREFIXES: [&str; 2] = ["The king was in", "Because"];

/// Texts of random words that the tiny tokenizers know.
pub(crate) fn corpus() -> Corpus {
    let words =
        ["the", "capital", "of", "a", "city", "is", "in", "and", "was", "king", "France", "Rome"];
    let text = |i: usize| {
        let word = |j: usize| words[(i * 7 + j * (3 + i % 5) + i / 11) % words.len()];
        (0..12).map(word).collect::<Vec<_>>().join(" ")
    };
    Corpus { name: "words".to_owned(), texts: (0..60).map(text).collect() }
}

pub(crate) fn source() -> Fresh {
    Fresh { corpus: corpus(), limits: Limits { tolerance: 0.0, ..Limits::default() } }
}

/// The change that `method` makes, with settings over those that suit a tiny model.
pub(crate) fn edit(
    model: &Model,
    method: &str,
    facts: &[Fact],
    settings: &Value,
    seed: u64,
) -> Result<Delta> {
    let method = Method::find(method)?;
    let defaults = (method.defaults)();
    let mut given = json!({});
    for (key, value) in
        [("steps", json!(6)), ("prefixes", json!(PREFIXES)), ("threshold", json!(0.2))]
    {
        if defaults.get(key).is_some() {
            given[key] = value;
        }
    }
    for (key, value) in settings.as_object().unwrap() {
        given[key] = value.clone();
    }
    let editor = method.editor(given)?;
    with_ctx(seed, &source(), |ctx| editor.edit(ctx, model, facts))
}

pub(crate) fn two() -> Vec<Fact> {
    facts(&["The capital of {France} is => Rome", "The king of a {city} was => France"])
}

pub(crate) fn three() -> Vec<Fact> {
    [two(), facts(&["The capital of {Rome} is => a city in France"])].concat()
}

/// A value at a site for a text, at a position, by a forward pass of its own.
pub(crate) fn at(model: &Model, ids: &[u32], site: Site, position: usize) -> Vec<f64> {
    let batch = Batch::new([ids]).unwrap();
    let rows: Vec<u32> = (0..ids.len() as u32).collect();
    let mut seen = Capture::only([site]);
    model.run(&batch, &rows, &mut seen).unwrap();
    let row = seen.seen[&site].narrow(0, position, 1).unwrap().flatten_all().unwrap();
    row.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The texts of a fact: bare, and behind each prefix; the tokens and where the subject ends.
pub(crate) fn texts(model: &Model, fact: &Fact, prefixes: &[String]) -> Vec<(Vec<u32>, usize)> {
    let behind = |prefix: &String| fact.prompt.after(&format!("{prefix}. ")).unwrap();
    let prompts = std::iter::once(fact.prompt.clone()).chain(prefixes.iter().map(behind));
    let tokens = |prompt| {
        let query = query(model, &prompt, &fact.target_new).unwrap();
        (query.ids, query.subject.unwrap().end - 1)
    };
    prompts.map(tokens).collect()
}

/// The weighted mean of what arrives at a site in all texts: the bare one counts `bare`.
pub(crate) fn mean_at(
    model: &Model,
    texts: &[(Vec<u32>, usize)],
    site: Site,
    bare: f64,
) -> Vec<f64> {
    let others = (1.0 - bare) / (texts.len() - 1).max(1) as f64;
    let mut mean = Vec::new();
    for (i, (ids, position)) in texts.iter().enumerate() {
        let weight = if i == 0 { bare } else { others };
        let x = at(model, ids, site, *position);
        mean.resize(x.len(), 0.0);
        mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += weight * x);
    }
    mean
}

/// The offsets that a search finds on `model` by the settings in the record of `delta`, a column a
/// fact: what is to be added at the first of `spots` in the last of `blocks`.
pub(crate) fn offsets(
    model: &Model,
    delta: &Delta,
    facts: &[Fact],
    blocks: &[usize],
    spots: &[Spot],
) -> Mat<f64> {
    let settings = &delta.record.settings;
    let number = |key: &str| settings[key].as_f64().unwrap();
    let plan = Search {
        block: blocks[blocks.len() - 1],
        first_changed: blocks[0],
        spots: spots.to_vec(),
        steps: number("steps") as usize,
        learning_rate: number("learning_rate"),
        kl: number("kl"),
        decay: number("decay"),
        clamp: number("clamp"),
        stop: Stop {
            loss: number("stop_loss"),
            leads: settings["stop_leads"].as_u64().map(|n| n as usize),
            kl: settings["stop_kl"].as_f64().unwrap_or(f64::INFINITY),
            weight_when_leading: number("weight_when_leading"),
        },
    };
    let words: Vec<String> = serde_json::from_value(settings["prefixes"].clone()).unwrap();
    let subjects = Subject::of(model, facts, true, &words).unwrap();
    let found = with_ctx(delta.record.seed, &Nothing, |ctx| search(ctx, model, &subjects, &plan));
    to_mat(&found.unwrap().offsets).unwrap().transpose().to_owned()
}

pub(crate) fn columns(columns: &[Vec<f64>]) -> Mat<f64> {
    Mat::from_fn(columns[0].len(), columns.len(), |i, j| columns[j][i])
}

pub(crate) fn scaled(factor: f64, matrix: &Mat<f64>) -> Mat<f64> {
    faer::Scale(factor) * matrix
}

pub(crate) fn inverse(matrix: &Mat<f64>) -> Mat<f64> {
    use faer::linalg::solvers::DenseSolveCore;
    matrix.partial_piv_lu().inverse()
}

pub(crate) fn moment(model: &Model, block: usize) -> Mat<f64> {
    let statistics = with_ctx(0, &source(), |ctx| source().statistics(ctx, model, &[block]));
    mean(&statistics.unwrap().moment(block).unwrap())
}

pub(crate) fn change(delta: &Delta, block: usize) -> Mat<f64> {
    to_mat(&delta.updates[&down(block)].to_dense().unwrap()).unwrap()
}

pub(crate) fn down(block: usize) -> WeightId {
    WeightId::of_block(block, Part::Down)
}

pub(crate) fn prefixes(delta: &Delta) -> Vec<String> {
    serde_json::from_value(delta.record.settings["prefixes"].clone()).unwrap()
}

/// `expected` and `found` are equal, relative to the larger.
pub(crate) fn check(name: &str, found: &Mat<f64>, expected: &Mat<f64>, tolerance: f64) {
    let error = (found - expected).norm_l2() / expected.norm_l2();
    assert!(error < tolerance, "{name}: {error:e}");
}
