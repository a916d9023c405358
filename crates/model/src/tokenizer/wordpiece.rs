//! WordPiece, the tokens of BERT: words cut at spaces and punctuation, then into known pieces.

use tokenizers::decoders::wordpiece::WordPiece as Decoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Result, Tokenizer};

use super::gguf::{Built, Source};

/// Writes the tokens as BERT does: the converters to GGUF take the `##` off the pieces inside of
/// words, and mark all others but those in brackets with `▁`.
pub(super) fn restore(tokens: &mut [String]) {
    // Files by other means have them as BERT does already.
    if !tokens.iter().any(|token| token.starts_with('▁')) {
        return;
    }
    for token in tokens {
        let bracketed = token.starts_with('[') && token.ends_with(']');
        *token = match token.strip_prefix('▁') {
            Some(word) => word.to_owned(),
            None if bracketed => continue,
            None => format!("##{token}"),
        };
    }
}

pub(super) fn build(source: &Source<'_>) -> Result<Built> {
    let unknown = source.token("unknown_token_id").unwrap_or("[UNK]").to_owned();
    let model = WordPiece::builder().vocab(source.vocab()).unk_token(unknown).build()?;
    let mut inner = Tokenizer::new(model);
    // No metadata says whether case matters; only a vocabulary where it does has capitals.
    let is_cased = |token: &String| {
        !token.starts_with('[') && token.contains(|c: char| c.is_ascii_uppercase())
    };
    let lowercase = !source.tokens.iter().any(is_cased);
    inner.with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)))?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(Decoder::default()));
    // Whatever else a file says: BERT was never trained without its frame. Older files have its
    // marks under the names of a decoder's; the misspelled name is the format's own.
    Ok(Built {
        inner,
        prefix: source.id("cls_token_id").or(source.id("bos_token_id")),
        suffix: source.id("seperator_token_id").or(source.id("eos_token_id")),
    })
}
