//! The tokenizer that GGUF metadata describes: its vocabulary, its kind, its special tokens.

use std::path::Path;

use tokenizers::AddedToken;

use super::pre_tokenizer::Pre;
use super::{Special, Tokenizer, byte_level, sentencepiece, wordpiece};
use crate::checkpoint::gguf::Metadata;
use crate::error::{Error, Result};

/// Numbers of `tokenizer.ggml.token_type`, from llama.cpp's `llama_token_type`.
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;

/// What a kind of tokenizer is built from.
pub(super) struct Source<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) tokens: Vec<String>,
}

/// A tokenizer as its kind builds it, and what surrounds a sequence.
pub(super) struct Built {
    pub(super) inner: tokenizers::Tokenizer,
    pub(super) prefix: Option<u32>,
    pub(super) suffix: Option<u32>,
}

impl Source<'_> {
    /// The id under `tokenizer.ggml.` and `key`.
    pub(super) fn id(&self, key: &str) -> Option<u32> {
        let id = self.metadata.count(&format!("tokenizer.ggml.{key}"))?;
        (id < self.tokens.len() as u64).then_some(id as u32)
    }

    /// The text of that id.
    pub(super) fn token(&self, key: &str) -> Option<&str> {
        self.id(key).map(|id| self.tokens[id as usize].as_str())
    }

    /// All tokens with their ids.
    pub(super) fn vocab(&self) -> tokenizers::models::bpe::Vocab {
        self.tokens.iter().zip(0..).map(|(token, id)| (token.clone(), id)).collect()
    }

    /// The mark of the beginning, if the file says that sequences have it, or else by `default`.
    pub(super) fn prefix(&self, default: bool) -> Option<u32> {
        self.id("bos_token_id").filter(|_| self.bool_or("add_bos_token", default))
    }

    /// The mark of the end, if the file says that sequences have it.
    pub(super) fn suffix(&self) -> Option<u32> {
        self.id("eos_token_id").filter(|_| self.bool_or("add_eos_token", false))
    }

    /// The answer under `tokenizer.ggml.` and `key`, or else `default`.
    pub(super) fn bool_or(&self, key: &str, default: bool) -> bool {
        self.metadata.bool(&format!("tokenizer.ggml.{key}")).unwrap_or(default)
    }
}

pub(super) fn build(path: &Path, metadata: &Metadata) -> Result<Tokenizer> {
    let (inner, special) =
        build_any(path, metadata).map_err(|error| match error.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::tokenizer(path)(other),
        })?;
    Tokenizer::new(path, inner, special)
}

fn build_any(
    path: &Path,
    metadata: &Metadata,
) -> tokenizers::Result<(tokenizers::Tokenizer, Special)> {
    let kind = metadata.text("tokenizer.ggml.model").ok_or("the file has none")?;
    let tokens = metadata.list("tokenizer.ggml.tokens").ok_or("the file has no tokens")?;
    let mut source = Source { metadata, tokens: tokens.texts().collect() };
    let mut built = match kind {
        "gpt2" => {
            let pre = metadata.text("tokenizer.ggml.pre").unwrap_or_default();
            let unknown =
                || Error::UnknownPreTokenizer { path: path.to_owned(), found: pre.to_owned() };
            byte_level::build(&source, Pre::of(pre).ok_or_else(unknown)?)?
        }
        "llama" => sentencepiece::build(&source)?,
        "bert" => {
            wordpiece::restore(&mut source.tokens);
            wordpiece::build(&source)?
        }
        _ => return Err(format!("unknown kind `{kind}`").into()),
    };
    built.inner.add_tokens(special_tokens(&source))?;
    let special = special(&source, built.prefix, built.suffix);
    Ok((built.inner, special))
}

/// The tokens that are cut out of a text before anything else is done with it.
fn special_tokens(source: &Source<'_>) -> Vec<AddedToken> {
    let types = source.metadata.list("tokenizer.ggml.token_type");
    let types = types.into_iter().flat_map(|types| types.numbers());
    source
        .tokens
        .iter()
        .zip(types)
        .filter(|(_, kind)| [CONTROL, USER_DEFINED].contains(kind))
        .map(|(token, kind)| AddedToken::from(token, kind == CONTROL).normalized(false))
        .collect()
}

fn special(source: &Source<'_>, prefix: Option<u32>, suffix: Option<u32>) -> Special {
    let mut special = Special {
        prefix: prefix.into_iter().collect(),
        suffix: suffix.into_iter().collect(),
        bos: source.id("bos_token_id"),
        mask: source.id("mask_token_id"),
        ..Special::default()
    };
    let ends = ["eos_token_id", "eot_token_id", "eom_token_id"];
    ends.into_iter().filter_map(|key| source.id(key)).for_each(|id| special.add_eos(id));
    special
}
