//! What a model says to questions: how likely it takes given objects, and what it says freely.
//!
//! Both come of one pass over each prompt. The tokens of an object go on from the keys and values
//! of its prompt, and so does what is said freely, so a prompt with two objects and a free answer
//! runs once. An encoder has a mask for each token of an object, and fills those of the wanted one.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::gather_rows;
use retcon_model::batch::runs;
use retcon_model::generate::{Sampling, begin, go_on};
use retcon_model::{Batch, KvCache, Model};
use serde::{Deserialize, Serialize};

use super::answer::has_ended;
use super::unbounded;
use crate::data::Prompt;
use crate::error::Result;
use crate::tokens::{Packed, in_runs, query_of};

/// A prompt, and what is to be known of it.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// The objects that are scored.
    pub objects: [Option<&'a str>; 2],
    /// Tokens that are said freely, at most; 0 for none.
    pub n_free: usize,
    /// Whether that ends with a line or a sentence.
    pub stops: bool,
}

/// What a model says to an [`Ask`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// How it takes the first object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Taken>,
    /// How it takes the second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Taken>,
    /// What it says freely, up to the end of a line or a sentence, where it stops there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

impl Reading {
    /// Where it has what is known of an object of [`Ask::objects`].
    fn place(&mut self, place: usize) -> &mut Option<Taken> {
        if place == 0 { &mut self.wanted } else { &mut self.other }
    }
}

/// How a model takes a given object, fed its tokens one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The mean over its tokens of `-log p`, in nats; infinite where the logits are not finite.
    #[serde(with = "unbounded")]
    pub nll: f64,
    /// Its tokens.
    pub object: Vec<u32>,
    /// The most likely token in the place of each.
    pub predicted: Vec<u32>,
}

impl Taken {
    /// The probability of all its tokens; 0 where the logits are not finite.
    #[must_use]
    pub fn probability(&self) -> f64 {
        (-self.nll * self.object.len() as f64).exp()
    }

    /// Whether each of its tokens is the most likely one.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.object == self.predicted
    }

    /// The share of its tokens that are the most likely ones.
    #[must_use]
    pub fn matched(&self) -> f64 {
        let right = self.object.iter().zip(&self.predicted).filter(|(a, b)| a == b).count();
        right as f64 / self.object.len().max(1) as f64
    }

    /// The share of the most likely tokens that are those of `before`, right or wrong.
    #[must_use]
    pub fn same(&self, before: &Self) -> f64 {
        let pairs = before.predicted.iter().zip(&self.predicted);
        let same = pairs.filter(|(before, after)| before == after).count();
        same as f64 / before.predicted.len().max(1) as f64
    }
}

/// Asks `model` all of `asks`. Of one that is longer than the model takes, or has text after its
/// object where the model is a decoder, nothing is known: its reading is empty.
///
/// # Errors
/// What the tokenizer and the model report.
pub fn read(model: &Model, asks: &[Ask<'_>]) -> Result<Vec<Reading>> {
    if !model.spec().is_causal() {
        return fill(model, asks);
    }
    /// Tokens of prompts that run at once.
    const TOKENS: usize = 4096;
    /// Logits of prompts that are alive at once.
    const LOGITS: usize = 16 << 20;
    let most = (LOGITS / model.spec().n_vocab).max(1);
    let prompts = Prompts::new(model, asks)?;
    let mut readings = vec![Reading::default(); asks.len()];
    let cost = |opening: &Vec<u32>| opening.len().max(TOKENS / most);
    for run in runs(prompts.openings.iter().map(cost), TOKENS) {
        prompts.read(model, asks, run, &mut readings)?;
    }
    Ok(readings)
}

/// The prompts of a decoder, each once.
struct Prompts {
    openings: Vec<Vec<u32>>,
    /// The asks of each.
    asks: Vec<Vec<usize>>,
}

impl Prompts {
    fn new(model: &Model, asks: &[Ask<'_>]) -> Result<Self> {
        let mut prompts = Self { openings: Vec::new(), asks: Vec::new() };
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, ask) in asks.iter().enumerate() {
            if ask.prompt.slot().is_some() {
                continue;
            }
            if let Some(&prompt) = seen.get(ask.prompt.text()) {
                prompts.asks[prompt].push(i);
                continue;
            }
            let opening = model.tokenizer().opening(ask.prompt.text())?;
            if !opening.is_empty() && opening.len() < model.spec().n_positions {
                seen.insert(ask.prompt.text(), prompts.openings.len());
                prompts.openings.push(opening);
                prompts.asks.push(vec![i]);
            }
        }
        Ok(prompts)
    }

    /// Reads the asks of the prompts `run`.
    fn read(
        &self,
        model: &Model,
        asks: &[Ask<'_>],
        run: Range<usize>,
        readings: &mut [Reading],
    ) -> Result<()> {
        let (cache, logits) = begin(model, &self.openings[run.clone()])?;
        let mut scored = Vec::new();
        for (row, prompt) in run.clone().enumerate() {
            for &ask in &self.asks[prompt] {
                for (place, object) in asks[ask].objects.iter().enumerate() {
                    let Some(object) = object else { continue };
                    let object = model.tokenizer().encode_continuation(object)?;
                    let n = self.openings[prompt].len() + object.len();
                    if !object.is_empty() && n <= model.spec().n_positions + 1 {
                        scored.push(Scored { ask, place, row, object });
                    }
                }
            }
        }
        for (scored, taken) in scored.iter().zip(take(model, &cache, &logits, &scored)?) {
            let reading = &mut readings[scored.ask];
            *reading.place(scored.place) = Some(taken);
        }
        self.say(model, asks, run, (cache, logits), readings)
    }

    /// What is said freely after the prompts `run`, which have been run.
    fn say(
        &self,
        model: &Model,
        asks: &[Ask<'_>],
        run: Range<usize>,
        (cache, logits): (KvCache, Tensor),
        readings: &mut [Reading],
    ) -> Result<()> {
        let n_free = |prompt: usize| self.asks[prompt].iter().map(|&ask| asks[ask].n_free).max();
        let limits: Vec<usize> = run.clone().map(|prompt| n_free(prompt).unwrap_or(0)).collect();
        let stops = |row: usize| self.asks[run.start + row].iter().all(|&ask| asks[ask].stops);
        let free: Vec<usize> = (0..limits.len()).filter(|&row| limits[row] > 0).collect();
        if free.is_empty() {
            return Ok(());
        }
        let rows: Vec<u32> = free.iter().map(|&row| row as u32).collect();
        let logits = logits.index_select(&Tensor::new(rows, logits.device())?, 0)?;
        let cache = cache.sequences(&free)?;
        let most = limits.iter().copied().max().unwrap_or(0);
        let mut said: Vec<Vec<u32>> = vec![Vec::new(); free.len()];
        let goes_on = |index: usize, token: u32| {
            said[index].push(token);
            let text = model.tokenizer().decode(&said[index]).unwrap_or_default();
            said[index].len() < limits[free[index]] && !(stops(free[index]) && has_ended(&text))
        };
        let ids = go_on(model, cache, logits, &Sampling::greedy(most), goes_on)?;
        for (ids, &row) in ids.iter().zip(&free) {
            let text = model.tokenizer().decode(ids)?;
            for &ask in self.asks[run.start + row].iter().filter(|&&ask| asks[ask].n_free > 0) {
                readings[ask].says = Some(text.clone());
            }
        }
        Ok(())
    }
}

/// An object to score after a prompt.
struct Scored {
    ask: usize,
    place: usize,
    /// The row of the prompt's logits, and its sequence in the cache.
    row: usize,
    object: Vec<u32>,
}

/// How the objects are taken: the first token of each by the logits after its prompt, the others by
/// a pass of their own, which goes on from the prompts'.
fn take(model: &Model, cache: &KvCache, logits: &Tensor, scored: &[Scored]) -> Result<Vec<Taken>> {
    let long: Vec<&Scored> = scored.iter().filter(|scored| scored.object.len() > 1).collect();
    let firsts = Distributions::new(logits)?;
    let mut rest = match long.is_empty() {
        true => Vec::new(),
        false => {
            let rows: Vec<usize> = long.iter().map(|scored| scored.row).collect();
            let batch = Batch::new(long.iter().map(|s| &s.object[..s.object.len() - 1]))?;
            let at: Vec<u32> = (0..batch.tokens().len() as u32).collect();
            let x = model.run_after(&cache.sequences(&rows)?, &batch, &at)?;
            let tokens: Vec<u32> =
                long.iter().flat_map(|scored| &scored.object[1..]).copied().collect();
            said(model, &x, &tokens)?
        }
    }
    .into_iter();
    let taken = scored.iter().map(|scored| {
        let first = firsts.at(scored.row, scored.object[0]);
        let rest = rest.by_ref().take(scored.object.len() - 1);
        taken(&scored.object, &std::iter::once(first).chain(rest).collect::<Vec<_>>())
    });
    Ok(taken.collect())
}

/// What each row of `x`, which is multiplied with the unembedding, says of a token: its log-probability
/// in nats, and the most likely one.
fn said(model: &Model, x: &Var, tokens: &[u32]) -> Result<Vec<(f64, u32)>> {
    /// Rows whose logits are alive at once.
    const ROWS: usize = 64;
    let mut said = Vec::with_capacity(tokens.len());
    for (chunk, tokens) in tokens.chunks(ROWS).enumerate() {
        let first = (chunk * ROWS) as u32;
        let at: Vec<u32> = (first..first + tokens.len() as u32).collect();
        let rows = Distributions::new(&model.logits(&gather_rows(x, &at)?)?)?;
        said.extend(tokens.iter().enumerate().map(|(row, &token)| rows.at(row, token)));
    }
    Ok(said)
}

/// Of an object, what each of its tokens got: its log-probability, and the most likely token.
fn taken(object: &[u32], tokens: &[(f64, u32)]) -> Taken {
    let nll = -tokens.iter().map(|(log_prob, _)| log_prob).sum::<f64>() / tokens.len() as f64;
    let nll = if nll.is_nan() { f64::INFINITY } else { nll };
    let predicted = tokens.iter().map(|&(_, best)| best).collect();
    Taken { nll, object: object.to_vec(), predicted }
}

/// Rows of logits, as distributions over the vocabulary.
struct Distributions {
    logits: Vec<f32>,
    /// Of each row the most likely token, and the logarithm of the sum of all exponentials.
    rows: Vec<(u32, f64)>,
}

impl Distributions {
    fn new(logits: &Tensor) -> Result<Self> {
        let n_vocab = logits.dim(1)?;
        let logits: Vec<f32> = logits.flatten_all()?.to_vec1()?;
        let row = |row: &[f32]| {
            let mut best = 0;
            for (i, &logit) in row.iter().enumerate() {
                if logit > row[best] {
                    best = i;
                }
            }
            let sum: f64 = row.iter().map(|&logit| f64::from((logit - row[best]).exp())).sum();
            (best as u32, f64::from(row[best]) + sum.ln())
        };
        let rows = logits.par_chunks(n_vocab).map(row).collect();
        Ok(Self { logits, rows })
    }

    /// The log-probability of a token in a row, in nats, and the most likely one.
    fn at(&self, row: usize, token: u32) -> (f64, u32) {
        let (best, log_sum) = self.rows[row];
        let n_vocab = self.logits.len() / self.rows.len();
        (f64::from(self.logits[row * n_vocab + token as usize]) - log_sum, best)
    }
}

/// What an encoder says to each ask: what it fills masks with, one for each token of the object.
fn fill(model: &Model, asks: &[Ask<'_>]) -> Result<Vec<Reading>> {
    let (mut places, mut queries) = (Vec::new(), Vec::new());
    for (i, ask) in asks.iter().enumerate() {
        for (place, object) in ask.objects.iter().enumerate() {
            let Some(object) = object else { continue };
            let object = model.tokenizer().encode_continuation(object)?;
            if object.is_empty() {
                continue;
            }
            let query = query_of(model, ask.prompt, object)?;
            if query.ids.len() <= model.spec().n_positions {
                places.push((i, place));
                queries.push(query);
            }
        }
    }
    let mut filled = Vec::with_capacity(queries.len());
    for run in in_runs(&queries) {
        let packed = Packed::new(run)?;
        let said = said(model, &packed.run(model)?, &packed.tokens)?;
        let of_query = run.iter().zip(&packed.of_query);
        filled.extend(of_query.map(|(query, rows)| taken(&query.object, &said[rows.clone()])));
    }
    let mut readings = vec![Reading::default(); asks.len()];
    for ((ask, place), taken) in places.into_iter().zip(filled) {
        let reading = &mut readings[ask];
        if place == 0 && asks[ask].n_free > 0 {
            reading.says = Some(model.tokenizer().decode(&taken.predicted)?);
        }
        *reading.place(place) = Some(taken);
    }
    Ok(readings)
}
