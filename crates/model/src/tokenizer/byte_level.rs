//! Byte-level BPE as GPT-2 introduced it.

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Result, Tokenizer};

use super::gguf::{Built, Source};
use super::pre_tokenizer::Pre;

pub(super) fn build(source: &Source<'_>, pre: &Pre) -> Result<Built> {
    let model = BPE::builder()
        .vocab_and_merges(source.vocab(), merges(source)?)
        .ignore_merges(pre.ignore_merges)
        .build()?;
    let mut inner = Tokenizer::new(model);
    if pre.nfc {
        inner.with_normalizer(Some(NFC))?;
    }
    inner.with_pre_tokenizer(Some(pre.pre_tokenizer()?));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok(Built { inner, prefix: source.prefix(pre.add_bos), suffix: source.suffix() })
}

fn merges(source: &Source<'_>) -> Result<Vec<(String, String)>> {
    let merges = source.metadata.list("tokenizer.ggml.merges").ok_or("the file has no merges")?;
    let halves = |merge: String| match merge.split_once(' ') {
        Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
        None => Err(format!("a merge of one half: `{merge}`").into()),
    };
    merges.texts().map(halves).collect()
}
