//! Byte-level BPE as GPT-2 introduced it: the ways of cutting text into words before the merges.

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, Result, SplitDelimiterBehavior, Tokenizer};

use super::gguf::{Built, Source};

/// Words of Llama 3, from its `tokenizer.json`: up to three digits together.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words of Qwen 2, from its `tokenizer.json`: each digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How text is cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Gpt2,
    /// As GPT-2, with each digit alone.
    Digits,
    /// Those of Llama 3, of which each is made by merges, even where it is a token.
    Cl100k,
    Llama3,
    Qwen2,
}

/// The values of `tokenizer.ggml.pre`, as llama.cpp's `llama-vocab.cpp` groups them.
const PRE: &[(&str, Words)] = &[
    ("default", Words::Gpt2),
    ("gpt-2", Words::Gpt2),
    ("jina-v2-code", Words::Gpt2),
    ("mpt", Words::Gpt2),
    ("olmo", Words::Gpt2),
    ("phi-2", Words::Gpt2),
    ("codeshell", Words::Digits),
    ("command-r", Words::Digits),
    ("refact", Words::Digits),
    ("smollm", Words::Digits),
    ("starcoder", Words::Digits),
    ("dbrx", Words::Cl100k),
    ("smaug-bpe", Words::Cl100k),
    ("falcon3", Words::Llama3),
    ("llama-bpe", Words::Llama3),
    ("llama-v3", Words::Llama3),
    ("llama3", Words::Llama3),
    ("deepseek-r1-qwen", Words::Qwen2),
    ("qwen2", Words::Qwen2),
    ("stablelm2", Words::Qwen2),
];

pub(super) fn build(source: &Source<'_>) -> Result<Built> {
    let words = words(source.metadata.text("tokenizer.ggml.pre"));
    let model = BPE::builder()
        .vocab_and_merges(source.vocab(), merges(source)?)
        .ignore_merges(words == Words::Llama3)
        .build()?;
    let mut inner = Tokenizer::new(model);
    if words == Words::Qwen2 {
        inner.with_normalizer(Some(NFC))?;
    }
    inner.with_pre_tokenizer(Some(words.pre_tokenizer()?));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok(Built { inner, prefix: source.prefix(words == Words::Llama3), suffix: source.suffix() })
}

fn words(pre: Option<&str>) -> Words {
    let Some(pre) = pre else { return Words::Gpt2 };
    let known = PRE.iter().find(|(name, _)| *name == pre);
    known.map_or_else(
        || {
            tracing::warn!(pre, "unknown way of cutting text into words, taking GPT-2's");
            Words::Gpt2
        },
        |(_, words)| *words,
    )
}

impl Words {
    fn pre_tokenizer(self) -> Result<PreTokenizerWrapper> {
        let bytes = ByteLevel::new(false, false, false);
        let cut = |pattern: &str| -> Result<PreTokenizerWrapper> {
            let pattern = SplitPattern::Regex(pattern.into());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
            Ok(Sequence::new(vec![split.into(), bytes.into()]).into())
        };
        match self {
            Self::Gpt2 => Ok(bytes.use_regex(true).into()),
            Self::Digits => {
                let digits = Digits::new(true);
                Ok(Sequence::new(vec![digits.into(), bytes.use_regex(true).into()]).into())
            }
            Self::Cl100k | Self::Llama3 => cut(LLAMA3),
            Self::Qwen2 => cut(QWEN2),
        }
    }
}

fn merges(source: &Source<'_>) -> Result<Vec<(String, String)>> {
    let merges = source.metadata.list("tokenizer.ggml.merges").ok_or("the file has no merges")?;
    let halves = |merge: String| match merge.split_once(' ') {
        Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
        None => Err(format!("a merge of one half: `{merge}`").into()),
    };
    merges.texts().map(halves).collect()
}
