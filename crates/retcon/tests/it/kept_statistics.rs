//! Statistics that are kept: of as much text as was asked for, and of one model alone.

use std::fs;

use candle_core::DType;
use retcon::data::Corpus;
use retcon::identity::keys_id;
use retcon::model::Precision;
use retcon::stats::{Kept, Limits, Nothing, Source, collect};
use retcon::{Model, Options};

use crate::{fixture, model, with_ctx};

fn kept(folder: &std::path::Path, most_tokens: Option<u64>, tolerance: f64) -> Kept {
    let limits = Limits { most_tokens, tolerance, ..Limits::default() };
    Kept { folder: folder.to_owned(), corpus: Corpus::own(), limits }
}

#[test]
fn what_was_enough_for_one_plan_is_gone_on_with_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let model = model("llama");
    let tokens = |most: Option<u64>, tolerance: f64| {
        let source = kept(folder.path(), most, tolerance);
        let found = with_ctx(0, &Nothing, |ctx| source.statistics(ctx, &model, &[1])).unwrap();
        assert!(source.find(&model, &[1]).unwrap().is_some());
        (found.about.n_tokens, found.about.ended, found.about.converged)
    };
    let (few, ended, _) = tokens(Some(600), 0.0);
    // Up to the end of a sequence.
    assert!((600 - 256..600 + 256).contains(&few) && !ended, "{few}");
    let (more, ended, _) = tokens(Some(2000), 0.0);
    assert!(more > few + 1000 && more < 2000 + 256 && !ended, "{more}");
    // Those of more than is asked for do as well.
    assert_eq!(tokens(Some(600), 0.0).0, more);
    let (all, ended, _) = tokens(None, 0.0);
    assert!(all > more && ended);
    // The same as in one pass, but for rounding: the passes were cut into other batches.
    let fresh = tempfile::tempdir().unwrap();
    let source = kept(fresh.path(), None, 0.0);
    let at_once = with_ctx(0, &Nothing, |ctx| source.statistics(ctx, &model, &[1])).unwrap();
    let source = kept(folder.path(), None, 0.0);
    let in_parts = with_ctx(0, &Nothing, |ctx| source.statistics(ctx, &model, &[1])).unwrap();
    assert_eq!(at_once.about.n_tokens, in_parts.about.n_tokens);
    let (a, b) = (at_once.moments[&1].triangle(), in_parts.moments[&1].triangle());
    let largest = a.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6 * largest));
}

#[test]
fn what_was_computed_apart_is_what_both_texts_give() {
    let model = model("llama");
    let texts = Corpus::own().texts;
    let of = |name: &str, from: usize, to: usize| {
        let corpus = Corpus { name: name.to_owned(), texts: texts[from..to].to_vec() };
        let limits = Limits { tolerance: 0.0, ..Limits::default() };
        with_ctx(0, &Nothing, |ctx| collect(ctx, &model, &corpus, &[0, 1], &limits, None)).unwrap()
    };
    let half = texts.len() / 2;
    let (one, other) = (of("one", 0, half), of("other", half, texts.len()));
    let both = one.clone().merge(&other).unwrap();
    assert_eq!(both.about.n_tokens, one.about.n_tokens + other.about.n_tokens);
    assert!(both.is_of(&model).unwrap() && both.about.corpus == "one, other");
    for block in [0, 1] {
        let (a, b) = (one.moment(block).unwrap(), other.moment(block).unwrap());
        let sum = a.triangle().iter().zip(b.triangle()).map(|(a, b)| a + b);
        let found = both.moment(block).unwrap();
        assert_eq!(found.n_rows(), a.n_rows() + b.n_rows());
        let largest = found.triangle().iter().fold(0.0f64, |most, x| most.max(x.abs()));
        assert!(found.triangle().iter().zip(sum).all(|(x, y)| (x - y).abs() < 1e-9 * largest));
    }
    let refuse = |other: &retcon::stats::Statistics, message: &str| {
        let error = one.clone().merge(other).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    refuse(&one, "they are of the same text, which would count twice");
    // Nor does a text count twice that came with another.
    let twice = "they are of the same text, which would count twice";
    assert_eq!(both.about.parts.len(), 2);
    refuse(&both, twice);
    assert!(both.clone().merge(&other).unwrap_err().to_string().contains(twice));
    let mut changed = other.clone();
    changed.about.window = 9;
    refuse(&changed, "they are of windows of 9, not 256");
    changed.about.model = "another".to_owned();
    refuse(&changed, "they are of another model");
    changed = other.clone();
    changed.moments.remove(&1);
    refuse(&changed, "they are of other blocks");
}

#[test]
fn blocks_that_are_kept_are_counted_where_they_are_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let model = model("llama");
    let source = kept(folder.path(), Some(600), 0.0);
    assert_eq!(source.planned(&model, &[1]).unwrap(), [1]);
    with_ctx(0, &Nothing, |ctx| source.statistics(ctx, &model, &[1])).unwrap();
    assert_eq!(source.planned(&model, &[0]).unwrap(), [0, 1]);
    let found = with_ctx(0, &Nothing, |ctx| source.statistics(ctx, &model, &[0])).unwrap();
    assert_eq!(found.moments.keys().copied().collect::<Vec<_>>(), [0, 1]);
}

/// Statistics in single precision were found for a model that rounds its weights.
#[test]
fn weights_that_are_rounded_are_another_model() {
    let of = |name: &str, precision: Precision| {
        let options = Options { precision, ..Options::default() };
        keys_id(&Model::open(fixture(name), &options).unwrap(), 2).unwrap()
    };
    let stored = of("llama", Options::default().precision);
    let [f16, bf16, f32] =
        [DType::F16, DType::BF16, DType::F32].map(|dtype| of("llama", Precision::As(dtype)));
    assert!(f16 != stored && bf16 != stored && f16 != bf16);
    // All numbers of the file, whatever it holds.
    assert_eq!(f32, stored);
}

#[test]
fn another_setting_of_the_same_weights_is_another_model() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(fixture("llama").join(name), folder.path().join(name)).unwrap();
    }
    let open = || Model::open(folder.path(), &Options::default()).unwrap();
    let of = |model: &Model| keys_id(model, 2).unwrap();
    assert_eq!(of(&open()), of(&model("llama")));
    let config = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let other = config.replace("\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 0.1");
    assert_ne!(other, config);
    fs::write(folder.path().join("config.json"), other).unwrap();
    assert_ne!(of(&open()), of(&model("llama")));
}
