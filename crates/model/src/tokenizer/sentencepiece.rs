//! SentencePiece BPE: pieces with scores, unknown characters as bytes, spaces written as `▁`.

#[expect(clippy::disallowed_types, reason = "looked up, never walked")]
use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::{DecoderWrapper, NormalizerWrapper, Result, Tokenizer};

use super::gguf::{Built, Source};

pub(super) fn build(source: &Source<'_>) -> Result<Built> {
    let scores = source.metadata.list("tokenizer.ggml.scores").ok_or("the file has no scores")?;
    let scores: Vec<f64> = scores.numbers().collect();
    if scores.len() != source.tokens.len() {
        return Err(format!("{} tokens, but {} scores", source.tokens.len(), scores.len()).into());
    }
    let mut model = BPE::builder()
        .vocab_and_merges(source.vocab(), merges(&source.tokens, &scores))
        .fuse_unk(true)
        .byte_fallback(true);
    if let Some(unknown) = source.token("unknown_token_id") {
        model = model.unk_token(unknown.to_owned());
    }
    let mut inner = Tokenizer::new(model.build()?);
    let add_space = source.bool_or("add_space_prefix", true);
    inner.with_normalizer(Some(normalizer(add_space)?))?;
    inner.with_decoder(Some(decoder(add_space)?));
    Ok(Built { inner, prefix: source.prefix(true), suffix: source.suffix() })
}

fn normalizer(add_space: bool) -> Result<NormalizerWrapper> {
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if add_space {
        steps.push(Prepend::new("▁".into()).into());
    }
    steps.push(Replace::new(" ", "▁")?.into());
    Ok(Normalizers::new(steps).into())
}

fn decoder(add_space: bool) -> Result<DecoderWrapper> {
    let mut steps: Vec<DecoderWrapper> = vec![
        Replace::new("▁", " ")?.into(),
        ByteFallback::default().into(),
        Fuse::default().into(),
    ];
    if add_space {
        steps.push(Strip::new(' ', 1, 0).into());
    }
    Ok(Decoders::new(steps).into())
}

/// The merges that have the effect of the scores: every way to make a piece of two others, those
/// of the best piece first, and of equally good ones that with the lower id: files that were made
/// of a `tokenizer.json`, which has no scores, give every piece the same, and have them in the order of
/// the merges. Ways to make one piece are in the order of transformers' `generate_merges`.
fn merges(tokens: &[String], scores: &[f64]) -> Vec<(String, String)> {
    struct Merge<'a> {
        score: f64,
        piece: usize,
        ids: (usize, usize),
        halves: (&'a str, &'a str),
    }
    #[expect(clippy::disallowed_types, reason = "looked up, never walked")]
    let ids: HashMap<&str, usize> = tokens.iter().map(String::as_str).zip(0..).collect();
    let mut merges = Vec::new();
    for (piece, (text, &score)) in tokens.iter().zip(scores).enumerate() {
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let mut of_piece: Vec<_> = cuts
            .filter_map(|halves| {
                let ids = (*ids.get(halves.0)?, *ids.get(halves.1)?);
                Some(Merge { score, piece, ids, halves })
            })
            .collect();
        of_piece.sort_by_key(|merge| merge.ids);
        merges.extend(of_piece);
    }
    let lengths =
        |merge: &Merge<'_>| (merge.halves.0.chars().count(), merge.halves.1.chars().count());
    merges.sort_by(|a, b| {
        let of_pieces = b.score.total_cmp(&a.score).then(a.piece.cmp(&b.piece));
        of_pieces.then_with(|| lengths(b).cmp(&lengths(a)))
    });
    merges.into_iter().map(|merge| (merge.halves.0.into(), merge.halves.1.into())).collect()
}
