//! Words before a prompt, which the model itself writes: an edit has to hold whatever comes before.
//!
//! After Meng et al. 2022 (arXiv 2202.05262, appendix E.5), with the first words that MEMIT's code
//! starts from. They are an input of an edit: made from a seed, and kept in its record.

use std::sync::{Arc, Mutex};

use retcon_model::Model;
use retcon_model::generate::{Sampling, generate};

use crate::data::Prompt;
use crate::error::Result;

/// The first word of each prefix, in turn.
const FIRST: [&str; 5] = ["The", "Therefore", "Because", "I", "You"];

/// Prefixes that a model wrote, kept for as long as the same model is asked for the same.
#[derive(Clone, Debug, Default)]
pub struct Words(Arc<Mutex<Option<Wrote>>>);

/// What wrote prefixes, and which.
#[derive(Debug)]
struct Wrote {
    model: Model,
    tokens: Vec<usize>,
    seed: u64,
    words: Vec<String>,
}

impl Words {
    /// As [`prefixes`].
    ///
    /// # Errors
    /// What the tokenizer and the model report.
    pub(super) fn of(&self, model: &Model, tokens: &[usize], seed: u64) -> Result<Vec<String>> {
        let mut wrote = self.0.lock().expect("no holder of the lock panics");
        if let Some(wrote) = wrote.as_ref()
            && (wrote.tokens.as_slice(), wrote.seed) == (tokens, seed)
            && model.first_change(&wrote.model).is_none()
        {
            return Ok(wrote.words.clone());
        }
        let words = prefixes(model, tokens, seed)?;
        let (model, tokens) = (model.clone(), tokens.to_vec());
        *wrote = Some(Wrote { model, tokens, seed, words: words.clone() });
        Ok(words)
    }
}

/// A prefix of each of these lengths in tokens, for a decoder, drawn from the five most likely tokens
/// each time; for an encoder, which writes nothing, none.
///
/// # Errors
/// What the tokenizer and the model report.
pub fn prefixes(model: &Model, tokens: &[usize], seed: u64) -> Result<Vec<String>> {
    if !model.spec().is_causal() {
        return Ok(Vec::new());
    }
    let tokenizer = model.tokenizer();
    let mut prefixes = vec![String::new(); tokens.len()];
    let mut lengths = tokens.to_vec();
    lengths.sort_unstable();
    lengths.dedup();
    for (nth, &length) in lengths.iter().enumerate() {
        let mine: Vec<usize> = (0..tokens.len()).filter(|&i| tokens[i] == length).collect();
        let start = |(i, _): (usize, &usize)| -> Result<Vec<u32>> {
            let first = tokenizer.encode(FIRST[i % FIRST.len()])?.ids;
            Ok([tokenizer.prefix(), &first].concat())
        };
        let starts = mine.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
        let n_first = |i: usize| starts[i].len() - tokenizer.prefix().len();
        let n_tokens = length.saturating_sub((0..starts.len()).map(n_first).min().unwrap_or(0));
        let seed = seed.wrapping_add(nth as u64);
        let sampling = Sampling { n_tokens, temperature: 1.0, top_k: 5, seed };
        let said = generate(model, &starts, &sampling, |_, _| true)?;
        for (i, (&place, said)) in mine.iter().zip(&said).enumerate() {
            let said = tokenizer.decode(said)?;
            prefixes[place] = format!("{}{}", FIRST[i % FIRST.len()], clean(&said));
        }
    }
    Ok(prefixes)
}

/// A prefix on one line.
fn clean(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let space = if text.starts_with(char::is_alphanumeric) { "" } else { " " };
    format!("{space}{}", words.join(" "))
}

/// `prompt` bare, and then behind each of `prefixes`, as another sentence.
///
/// # Errors
/// Where a prefix has a slot in it.
pub fn situations(prompt: &Prompt, prefixes: &[String]) -> Result<Vec<Prompt>> {
    let behind = |prefix: &String| Ok(prompt.after(&format!("{prefix}. "))?);
    std::iter::once(Ok(prompt.clone())).chain(prefixes.iter().map(behind)).collect()
}
