//! Second moments of keys, against plain sums over passes of their own, one sequence at a time.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use faer::Mat;
use retcon::data::Corpus;
use retcon::linalg::{mean, to_mat};
use retcon::model::random::Random;
use retcon::model::tap::Capture;
use retcon::model::{Batch, Model, Options, Site, Spot};
use retcon::stats::{Limits, Nothing, Statistics, collect, read, write};
use retcon::{Ctx, Error, Progress, Result};

use crate::references::{check, inverse};
use crate::{fixture, model, with_ctx};

const WORDS: [&str; 12] =
    ["the", "capital", "of", "a", "city", "is", "in", "and", "was", "king", "France", "Rome"];

fn words(n: usize, seed: u64) -> String {
    let mut random = Random::new(seed);
    (0..n).map(|_| WORDS[random.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
}

fn corpus(texts: Vec<String>) -> Corpus {
    Corpus { name: "words".to_owned(), texts }
}

/// Many short texts.
fn many() -> Corpus {
    corpus((0..150).map(|i| words(5 + i % 9, i as u64)).collect())
}

fn collected(
    model: &Model,
    corpus: &Corpus,
    blocks: &[usize],
    limits: &Limits,
) -> Result<Statistics> {
    with_ctx(0, &Nothing, |ctx| collect(ctx, model, corpus, blocks, limits, None))
}

/// The keys of a block in a sequence, a column a position.
fn keys(model: &Model, ids: &[u32], block: usize) -> Mat<f64> {
    let site = Site::Block(block, Spot::MlpKey);
    let rows: Vec<u32> = (0..ids.len() as u32).collect();
    let mut seen = Capture::only([site]);
    model.run(&Batch::new([ids]).unwrap(), &rows, &mut seen).unwrap();
    to_mat(&seen.seen[&site]).unwrap().transpose().to_owned()
}

/// The sum of `k kᵀ` over the keys of all sequences from position `from` on, one after another.
fn sum(model: &Model, sequences: &[Vec<u32>], block: usize, from: usize) -> Mat<f64> {
    let width = model.spec().d_mlp;
    let mut sum = Mat::<f64>::zeros(width, width);
    for ids in sequences {
        let keys = keys(model, ids, block);
        for t in from..ids.len() {
            for i in 0..width {
                for j in 0..width {
                    sum[(i, j)] += keys[(i, t)] * keys[(j, t)];
                }
            }
        }
    }
    sum
}

/// All tokens of the texts in turn, as they are cut into sequences: whole texts as long as there is
/// room, a line each, and texts that are longer than that in pieces.
fn sequences(model: &Model, corpus: &Corpus, window: usize) -> Vec<Vec<u32>> {
    let tokenizer = model.tokenizer();
    let mut texts = corpus.texts.clone();
    Random::new(0).shuffle(&mut texts);
    let mut sequences: Vec<Vec<u32>> = vec![Vec::new()];
    for text in &texts {
        let open = sequences.last().unwrap().clone();
        let line = if open.is_empty() { text.clone() } else { format!("\n{text}") };
        let ids = tokenizer.encode(&line).unwrap().ids;
        if !open.is_empty() && open.len() + ids.len() > window {
            sequences.push(Vec::new());
        }
        for piece in ids.chunks(window) {
            if sequences.last().unwrap().len() + piece.len() > window {
                sequences.push(Vec::new());
            }
            sequences.last_mut().unwrap().extend(piece);
        }
    }
    let around = |ids: Vec<u32>| [tokenizer.prefix(), &ids, tokenizer.suffix()].concat();
    sequences.into_iter().map(around).collect()
}

fn plain(moment: &retcon_kernels::moment::Moment) -> Mat<f64> {
    Mat::from_fn(moment.width(), moment.width(), |i, j| moment.at(i, j))
}

/// Single precision within a run of tokens, doubles from run to run.
const TOLERANCE: f64 = 1e-5;

#[test]
fn a_moment_is_the_plain_sum_over_all_tokens_but_those_that_begin_a_sequence() {
    for (name, begins) in [("llama", 1), ("gpt2", 0), ("bert", 0)] {
        let model = model(name);
        // One text, so that nothing is held back.
        let text = (1..400)
            .map(|n| words(n, 7))
            .find(|text| model.tokenizer().encode(text).unwrap().ids.len() > 6 * 30 + 14);
        let corpus = corpus(vec![text.unwrap()]);
        let limits = Limits { window: 30, most_tokens: None, tolerance: 0.0 };
        let found = collected(&model, &corpus, &[1, 0, 1], &limits).unwrap();
        let sequences = sequences(&model, &corpus, 30);
        assert_eq!(sequences.len(), 7);
        let n: usize = sequences.iter().map(|ids| ids.len() - begins).sum();
        assert_eq!(found.about.n_windows, 7, "{name}");
        assert_eq!(found.about.n_tokens, n as u64, "{name}");
        assert_eq!(found.about.n_begins, 7 * begins as u64, "{name}");
        assert_eq!(found.moments.keys().copied().collect::<Vec<_>>(), [0, 1]);
        for block in [0, 1] {
            let rest = sum(&model, &sequences, block, begins);
            let moment = &found.moments[&block];
            assert_eq!(moment.n_rows(), n as u64);
            check(name, &plain(moment), &rest, TOLERANCE);
            // As editors want it, with what begins a sequence as often as it was there.
            let all = sum(&model, &sequences, block, 0);
            let whole = found.moment(block).unwrap();
            assert_eq!(whole.n_rows(), (n + 7 * begins) as u64);
            check(name, &plain(&whole), &all, TOLERANCE);
            check(
                name,
                &mean(&whole),
                &(faer::Scale(1.0 / (n + 7 * begins) as f64) * all),
                TOLERANCE,
            );
            assert_eq!(found.begins.contains_key(&block), begins > 0, "{name}");
            if let Some(key) = found.begins.get(&block) {
                let key = Mat::from_fn(key.len(), 1, |i, _| f64::from(key[i]));
                let first = keys(&model, &sequences[3], block);
                check(name, &key, &first.get(.., ..1).to_owned(), TOLERANCE);
            }
        }
    }
}

#[test]
fn short_texts_share_a_window_and_the_last_eighth_is_held_back() {
    // GPT-2's window is cut to the positions that it has.
    for (name, window, begins) in [("llama", 40, 1), ("llama", 7, 1), ("gpt2", 256, 0)] {
        let model = model(name);
        let room = model.spec().n_positions - model.tokenizer().prefix().len();
        let limits = Limits { window, most_tokens: None, tolerance: 0.0 };
        let found = collected(&model, &many(), &[0], &limits).unwrap();
        let mut sequences = sequences(&model, &many(), window.min(room));
        let n = sequences.len();
        assert!(n > 16 && sequences.iter().all(|ids| ids.len() <= window.min(room) + begins));
        sequences.truncate(n - 8.min(n / 8));
        assert_eq!(found.about.n_windows, sequences.len(), "{name} {window}");
        check(name, &plain(&found.moments[&0]), &sum(&model, &sequences, 0, begins), TOLERANCE);
    }
}

#[test]
fn a_pass_stops_where_keys_that_it_did_not_see_surprise_little() {
    let model = model("llama");
    let all = collected(&model, &many(), &[0, 1], &Limits { tolerance: 0.0, ..limits() }).unwrap();
    let early =
        collected(&model, &many(), &[0, 1], &Limits { tolerance: 20.0, ..limits() }).unwrap();
    assert!(early.about.converged && early.about.n_tokens < all.about.n_tokens);
    // It looks for the first time after four times as many tokens as a key is wide.
    assert!(early.about.n_tokens >= 4 * model.spec().d_mlp as u64);
    let sequences = sequences(&model, &many(), limits().window);
    let held = &sequences[sequences.len() - 8..];
    for found in [&all, &early] {
        for block in [0, 1] {
            // The mean of kᵀ C⁻¹ k / f over the keys that were held back.
            let c = inverse(&mean(&found.moments[&block]));
            let (mut total, mut n) = (0.0, 0);
            for ids in held {
                let keys = keys(&model, ids, block);
                for t in 1..ids.len() {
                    let k = keys.get(.., t..t + 1);
                    total += (k.transpose() * &c * k)[(0, 0)] / model.spec().d_mlp as f64;
                    n += 1;
                }
            }
            let (told, expected) = (found.about.surprise[&block], total / f64::from(n));
            // Keys of `f32` passes, through the inverse of their moment.
            assert!((told - expected).abs() < 1e-3 * expected, "{told} {expected}");
        }
    }
    // More text leaves less to be surprised by.
    assert!(all.about.surprise[&0] < early.about.surprise[&0]);
    // Whether it is enough is a matter of the tolerance.
    let least = early.about.surprise.values().fold(f64::INFINITY, |a, b| a.min(*b));
    let strict = Limits { tolerance: (least - 1.0) * 0.5, ..limits() };
    let strict = collected(&model, &many(), &[0, 1], &strict).unwrap();
    assert!(strict.about.n_tokens > early.about.n_tokens);
}

fn limits() -> Limits {
    Limits { window: 20, ..Limits::default() }
}

#[test]
fn a_pass_that_was_interrupted_goes_on_to_the_same_bits() {
    let model = model("llama");
    let limits = Limits { tolerance: 0.0, ..limits() };
    let whole = collected(&model, &many(), &[0, 1], &limits).unwrap();
    // Enough for whoever asks for nothing: it ends at the first look, between two runs of tokens.
    let part = Limits { tolerance: 1e9, ..limits.clone() };
    let part = collected(&model, &many(), &[0, 1], &part).unwrap();
    assert!(part.about.converged && part.about.n_tokens < whole.about.n_tokens);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("partial.safetensors");
    let resumed = |corpus: &Corpus, limits: &Limits| {
        write(&part, &path).unwrap();
        let first = Mutex::new(None);
        let progress = |progress: &Progress| {
            first.lock().unwrap().get_or_insert(progress.done);
        };
        let cancel = AtomicBool::new(false);
        let ctx = Ctx::new(0).with_progress(&progress).with_cancel(&cancel);
        let found = collect(&ctx, &model, corpus, &[0, 1], limits, Some(&path)).unwrap();
        (found, first.into_inner().unwrap().unwrap())
    };
    let bits = |statistics: &Statistics| -> Vec<u64> {
        let moments = statistics.moments.values();
        moments.flat_map(|moment| moment.triangle().iter().map(|x| x.to_bits())).collect()
    };
    let (found, began) = resumed(&many(), &limits);
    assert_eq!(began as u64, part.about.n_tokens);
    assert_eq!(bits(&found), bits(&whole));
    assert_eq!(found, whole);
    // What was read is what was written.
    assert_eq!(read(&path).unwrap(), part);
    // Of another text or other windows it starts anew.
    let mut other = many();
    other.texts[0].push_str(" and a king");
    for (corpus, limits) in [(&other, &limits), (&many(), &Limits { window: 21, ..limits.clone() })]
    {
        let (found, began) = resumed(corpus, limits);
        assert_eq!(began, 0);
        assert_eq!(found, collected(&model, corpus, &[0, 1], limits).unwrap());
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_block() {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture("llama")).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (n, head) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let at = head.info("model.layers.1.mlp.up_proj.weight").unwrap().data_offsets.0 + n + 8;
    // No number in any format of floating-point numbers.
    bytes[at..at + 4].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let model = Model::open(folder.path(), &Options::default()).unwrap();
    collected(&model, &many(), &[0], &limits()).unwrap();
    let error = collected(&model, &many(), &[0, 1], &limits()).unwrap_err();
    let Error::NotFinite { what } = &error else { panic!("{error}") };
    assert!(what.contains("block 1"), "{what}");
}
