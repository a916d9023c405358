//! Texts that a model writes: how varied they are, and how near to texts about the new object.
//!
//! The entropy of word n-grams is that of Zhang et al. 2018 (arXiv 1809.05972) as ROME weighs it; it is
//! high for word salad too. Nearness is the cosine of word counts, common words left out; ROME's
//! weighs words by their rarity in a collection that it ships.

use std::collections::BTreeMap;

use retcon_model::Model;
use retcon_model::generate::{Sampling, begin, go_on};

use super::answer::normalized;
use crate::error::Result;

/// Goes on from each of `prompts` to `n_tokens` tokens in total, drawn from the five most likely ones
/// (ROME's sampling). Empty where `model` is no decoder.
///
/// # Errors
/// What the tokenizer and the model report.
pub fn write(model: &Model, prompts: &[&str], n_tokens: usize, seed: u64) -> Result<Vec<String>> {
    if !model.spec().is_causal() || prompts.is_empty() {
        return Ok(vec![String::new(); prompts.len()]);
    }
    let openings = prompts
        .iter()
        .map(|prompt| model.tokenizer().opening(prompt))
        .collect::<Result<Vec<_>, _>>()?;
    let sampling = Sampling { n_tokens, temperature: 1.0, top_k: 5, seed };
    let mut lengths: Vec<usize> = openings.iter().map(Vec::len).collect();
    let (past, logits) = begin(model, &openings)?;
    let written = go_on(model, past, logits, &sampling, |index, _| {
        lengths[index] += 1;
        lengths[index] < n_tokens
    })?;
    written.iter().map(|ids| Ok(model.tokenizer().decode(ids)?)).collect()
}

/// `⅓ H_2 + ⅔ H_3`, where `H_n` is the entropy of the n-grams of a text's words, in bits; `None` for
/// fewer than three words.
#[must_use]
pub fn entropy(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (words.len() > 2).then(|| of_grams(&words, 2) / 3.0 + of_grams(&words, 3) * 2.0 / 3.0)
}

fn of_grams(words: &[&str], n: usize) -> f64 {
    let mut counts: BTreeMap<&[&str], usize> = BTreeMap::new();
    for gram in words.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    let shares = counts.values().map(|&count| count as f64 / total as f64);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

/// The cosine of the word counts of two texts; `None` where one has no words that count.
#[must_use]
pub fn nearness(a: &str, b: &str) -> Option<f64> {
    let [a, b] = [a, b].map(counts);
    let dot: f64 = a.iter().map(|(word, n)| n * b.get(word).copied().unwrap_or_default()).sum();
    let [a, b] = [a, b].map(|counts| counts.values().map(|n| n * n).sum::<f64>().sqrt());
    (a * b > 0.0).then(|| dot / (a * b))
}

/// Words that say nothing about a subject.
const COMMON: &[&str] = &[
    "and", "as", "at", "be", "been", "but", "by", "for", "from", "had", "has", "have", "he", "her",
    "his", "in", "is", "it", "its", "not", "of", "on", "or", "she", "that", "their", "they",
    "this", "to", "was", "were", "which", "who", "with",
];

fn counts(text: &str) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for word in
        normalized(text).split(' ').filter(|word| !word.is_empty() && !COMMON.contains(word))
    {
        *counts.entry(word.to_owned()).or_default() += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_of_bigrams_and_trigrams() {
        // Four different bigrams and three different trigrams.
        let expected = 2.0 / 3.0 + 3f64.log2() * 2.0 / 3.0;
        assert!((entropy("a b c d e").unwrap() - expected).abs() < 1e-12);
        assert!(entropy("a a a a a").unwrap().abs() < 1e-12);
        assert_eq!(entropy("a b"), None);
    }

    #[test]
    fn nearness_is_a_cosine_of_words_that_count() {
        assert!((nearness("Paris is the city", "city, Paris!").unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(nearness("Paris", "Rome"), Some(0.0));
        assert_eq!(nearness("it is", "Rome"), None);
    }
}
