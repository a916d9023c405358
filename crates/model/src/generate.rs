//! What a model says: continuations by decoders, fillings of masks by encoders.

use candle_core::Tensor;
use retcon_kernels::loss::log_softmax;

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::random::Random;

/// How continuations are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// How many tokens at most.
    pub n_tokens: usize,
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f64,
    /// Draws from so many of the most likely tokens; 0 from all.
    pub top_k: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Sampling {
    /// Always the most likely token, `n_tokens` at most.
    #[must_use]
    pub fn greedy(n_tokens: usize) -> Self {
        Self { n_tokens, temperature: 0.0, top_k: 0, seed: 0 }
    }
}

/// A token that a model may say next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability.
    pub log_prob: f64,
}

impl Model {
    /// What it says after `prompt`, up to its end-of-text token or as long as `sampling` allows; the prompt
    /// is not in it.
    ///
    /// # Errors
    /// As [`generate`], and what the tokenizer reports.
    pub fn complete(&self, prompt: &str, sampling: &Sampling) -> Result<String> {
        let opening = self.tokenizer().opening(prompt)?;
        let said = generate(self, &[opening], sampling, |_, _| true)?;
        self.tokenizer().decode(&said.concat())
    }
}

/// Continues each of `prompts` until its end-of-text token or as long as `sampling` allows. Every
/// token is shown to `seen`, with the index of its prompt, as soon as it is known; where that
/// returns `false` the sequence ends.
///
/// # Errors
/// [`Error::NotADecoder`], [`Error::NotFiniteLogits`], or what the forward pass reports.
pub fn generate(
    model: &Model,
    prompts: &[Vec<u32>],
    sampling: &Sampling,
    seen: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>> {
    if !model.spec().is_causal() {
        return Err(Error::NotADecoder { family: model.spec().family });
    }
    if prompts.is_empty() || sampling.n_tokens == 0 {
        return Ok(vec![Vec::new(); prompts.len()]);
    }
    let (cache, logits) = begin(model, prompts)?;
    drawn(model, cache, logits, sampling, seen, check_finite)
}

/// Runs `prompts`, one after another: what [`go_on`] goes on from.
///
/// # Errors
/// What the forward pass reports.
pub fn begin(model: &Model, prompts: &[Vec<u32>]) -> Result<(KvCache, Tensor)> {
    let mut cache = KvCache::new(model.spec().n_blocks, prompts.len());
    let logits = model.extend(&mut cache, &Batch::new(prompts)?)?;
    Ok((cache, logits))
}

/// As [`generate`], after prompts that have been run: `cache` is what [`Model::extend`] made of them, and
/// `logits` what it gave, `[n_prompts, n_vocab]`. A model that an edit has destroyed says something here
/// too, so that it can be measured.
///
/// # Errors
/// What the forward pass reports.
pub fn go_on(
    model: &Model,
    cache: KvCache,
    logits: Tensor,
    sampling: &Sampling,
    seen: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>> {
    drawn(model, cache, logits, sampling, seen, |_| Ok(()))
}

fn drawn(
    model: &Model,
    mut cache: KvCache,
    mut logits: Tensor,
    sampling: &Sampling,
    mut seen: impl FnMut(usize, u32) -> bool,
    check: fn(&[f32]) -> Result<()>,
) -> Result<Vec<Vec<u32>>> {
    let mut continuations = vec![Vec::new(); cache.lengths().len()];
    let mut random = Random::new(sampling.seed);
    let mut open: Vec<usize> = (0..continuations.len()).collect();
    for step in 1..=sampling.n_tokens {
        let rows = logits.to_vec2::<f32>()?;
        let (mut kept, mut still_open, mut next) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (&index, logits)) in open.iter().zip(&rows).enumerate() {
            check(logits)?;
            let token = draw(logits, sampling, &mut random);
            if model.tokenizer().eos().contains(&token) {
                continue;
            }
            continuations[index].push(token);
            let full = cache.lengths()[row] + 1 >= model.spec().n_positions;
            if seen(index, token) && !full {
                kept.push(row);
                still_open.push(index);
                next.push([token]);
            }
        }
        if kept.is_empty() || step == sampling.n_tokens {
            break;
        }
        if kept.len() < open.len() {
            cache = cache.sequences(&kept)?;
        }
        open = still_open;
        logits = model.extend(&mut cache, &Batch::new(&next)?)?;
    }
    Ok(continuations)
}

/// The `n` most likely tokens at row `at` of `batch`: what comes after it, or what an encoder puts
/// there.
///
/// # Errors
/// [`Error::NotFiniteLogits`], or what the forward pass reports.
pub fn candidates(model: &Model, batch: &Batch, at: u32, n: usize) -> Result<Vec<Candidate>> {
    let x = model.run(batch, &[at], &mut ())?;
    let log_probs = log_softmax(&model.logits(&x)?)?;
    let log_probs = log_probs.flatten_all().and_then(|row| row.to_vec1::<f32>());
    let log_probs = log_probs?;
    check_finite(&log_probs)?;
    let mut tokens: Vec<u32> = (0..log_probs.len() as u32).collect();
    let n = n.min(tokens.len());
    let descending = |a: &u32, b: &u32| log_probs[*b as usize].total_cmp(&log_probs[*a as usize]);
    if n < tokens.len() {
        tokens.select_nth_unstable_by(n, descending);
    }
    tokens.truncate(n);
    tokens.sort_by(|a, b| descending(a, b).then(a.cmp(b)));
    let candidate =
        |token: u32| Candidate { token, log_prob: f64::from(log_probs[token as usize]) };
    Ok(tokens.into_iter().map(candidate).collect())
}

/// Whatever is drawn from numbers that are none would look like an answer.
fn check_finite(logits: &[f32]) -> Result<()> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFiniteLogits),
    }
}

fn draw(logits: &[f32], sampling: &Sampling, random: &mut Random) -> u32 {
    let best =
        || (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)));
    if sampling.temperature <= 0.0 {
        return best().unwrap_or(0) as u32;
    }
    let mut tokens: Vec<usize> = (0..logits.len()).collect();
    if sampling.top_k > 0 && sampling.top_k < tokens.len() {
        tokens.sort_unstable_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        tokens.truncate(sampling.top_k);
    }
    let top = tokens.iter().map(|&t| f64::from(logits[t])).fold(f64::NEG_INFINITY, f64::max);
    let weight = |&t: &usize| ((f64::from(logits[t]) - top) / sampling.temperature).exp();
    let mut left = random.uniform() * tokens.iter().map(weight).sum::<f64>();
    for token in &tokens {
        left -= weight(token);
        if left <= 0.0 {
            return *token as u32;
        }
    }
    tokens.last().map_or(0, |&token| token as u32)
}
