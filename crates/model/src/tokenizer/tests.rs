//! What tokenizers of every kind do with spaces, bytes and the ids around a text.

use std::path::Path;

use super::*;
use crate::checkpoint::gguf::sample::Sample;

fn open(sample: &Sample) -> Result<Tokenizer> {
    Tokenizer::from_gguf(Path::new("m.gguf"), &sample.open().unwrap().metadata)
}

/// GPT-2's tokens for a few words; `é` is two bytes, which read `Ã©`.
fn byte_level() -> Sample {
    cut_as("smollm")
}

fn cut_as(pre: &str) -> Sample {
    let tokens =
        ["<s>", "</s>", "a", "b", "c", "Ġ", "1", "Ã", "©", "ab", "Ġab", "Ã©", "<mask>", "aa"];
    Sample::default()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", pre)
        .texts("tokenizer.ggml.tokens", &tokens)
        .ints("tokenizer.ggml.token_type", &[3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 1])
        .texts("tokenizer.ggml.merges", &["a b", "Ġ ab", "Ã ©"])
        .u32("tokenizer.ggml.bos_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 1)
        .u32("tokenizer.ggml.mask_token_id", 12)
}

fn sentencepiece() -> Sample {
    let tokens = ["<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "▁", "a", "b", "▁a", "▁ab", "ab"];
    Sample::default()
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &tokens)
        .floats("tokenizer.ggml.scores", &[0., 0., 0., 0., 0., -9., -8., -7., -1., -3., -2.])
        .ints("tokenizer.ggml.token_type", &[2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1])
        .u32("tokenizer.ggml.unknown_token_id", 0)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
}

fn wordpiece() -> Sample {
    let tokens = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁paris", "▁in", "s", "▁,"];
    Sample::default()
        .text("tokenizer.ggml.model", "bert")
        .texts("tokenizer.ggml.tokens", &tokens)
        .ints("tokenizer.ggml.token_type", &[2, 3, 3, 3, 1, 1, 1, 1])
        .u32("tokenizer.ggml.unknown_token_id", 0)
        .u32("tokenizer.ggml.cls_token_id", 1)
        .u32("tokenizer.ggml.seperator_token_id", 2)
        .u32("tokenizer.ggml.mask_token_id", 3)
}

#[test]
fn byte_level_words_carry_their_space() {
    let tokenizer = open(&byte_level()).unwrap();
    assert_eq!(tokenizer.encode("ab ab11").unwrap().ids, [9, 10, 6, 6]);
    assert_eq!(tokenizer.decode(&[9, 10, 6, 1]).unwrap(), "ab ab1</s>");
    for text in ["ab", " ab", "\n  ab"] {
        assert_eq!(tokenizer.encode_continuation(text).unwrap(), [10], "{text:?}");
    }
    assert_eq!(tokenizer.encode_continuation(" ").unwrap(), [0u32; 0]);
}

#[test]
fn offsets_are_bytes_and_cover_the_space() {
    let tokenizer = open(&byte_level()).unwrap();
    let encoding = tokenizer.encode("é ab<s>c").unwrap();
    assert_eq!(encoding.ids, [11, 10, 0, 4]);
    assert_eq!(encoding.offsets, [(0, 2), (2, 5), (5, 8), (8, 9)]);
    assert_eq!(encoding.span_of(3..5), Some(1..2));
    assert_eq!(encoding.span_of(1..3), Some(0..2));
    assert_eq!(encoding.span_of(8..40), Some(3..4));
    assert_eq!(encoding.span_of(3..3), None);
    assert_eq!(encoding.span_of(9..12), None);
}

#[test]
fn a_decoder_is_surrounded_as_its_metadata_says() {
    let plain = open(&byte_level()).unwrap();
    assert_eq!((plain.prefix(), plain.suffix()), (&[][..], &[][..]));
    assert_eq!((plain.bos(), plain.adds_bos()), (Some(0), false));
    assert_eq!((plain.eos(), plain.mask(), plain.n_vocab()), (&[1][..], Some(12), 14));
    let marked = open(&byte_level().bool("tokenizer.ggml.add_bos_token", true)).unwrap();
    assert_eq!((marked.prefix(), marked.adds_bos()), (&[0][..], true));
}

#[test]
fn sentencepiece_spaces_and_bytes_round_trip() {
    let tokenizer = open(&sentencepiece()).unwrap();
    assert_eq!(tokenizer.encode("ab aé").unwrap().ids, [9, 8, 3, 4]);
    assert_eq!(tokenizer.decode(&[9, 8, 3, 4]).unwrap(), "ab aé");
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[1][..], &[][..]));
    for text in ["a", " a", "   a"] {
        assert_eq!(tokenizer.encode_continuation(text).unwrap(), [8], "{text:?}");
    }
}

#[test]
fn sentencepiece_without_a_space_before_texts_continues_with_one() {
    let tokenizer = open(&sentencepiece().bool("tokenizer.ggml.add_space_prefix", false)).unwrap();
    assert_eq!(tokenizer.encode("ab").unwrap().ids, [10]);
    assert_eq!(tokenizer.encode_continuation("a").unwrap(), [8]);
    assert_eq!(tokenizer.decode(&[10, 8]).unwrap(), "ab a");
}

/// As converters write them that find a `tokenizer.json`, which has merges and no scores.
#[test]
fn pieces_of_one_score_are_made_in_the_order_of_their_ids() {
    let tokens = ["<unk>", "a", "b", "c", "d", "ab", "cd", "abc"];
    let sample = Sample::default()
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &tokens)
        .floats("tokenizer.ggml.scores", &[-1000.0; 8])
        .ints("tokenizer.ggml.token_type", &[2, 1, 1, 1, 1, 1, 1, 1])
        .u32("tokenizer.ggml.unknown_token_id", 0)
        .bool("tokenizer.ggml.add_space_prefix", false);
    assert_eq!(open(&sample).unwrap().encode("abcd").unwrap().ids, [5, 6]);
}

#[test]
fn wordpiece_is_framed_and_ignores_case_and_spaces() {
    let tokenizer = open(&wordpiece()).unwrap();
    assert_eq!(tokenizer.encode("In  PARISS, [MASK]").unwrap().ids, [5, 4, 6, 7, 3]);
    assert_eq!(tokenizer.encode_continuation("  Paris").unwrap(), [4]);
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[1][..], &[2][..]));
    assert_eq!(tokenizer.mask(), Some(3));
    assert_eq!(tokenizer.token(6).as_deref(), Some("##s"));
}

/// A guess would make tokens that the model never saw, and nobody would notice.
#[test]
fn an_unknown_pre_tokenizer_is_refused_by_its_name() {
    let error = open(&cut_as("nobody-knows")).unwrap_err();
    assert!(
        matches!(&error, Error::UnknownPreTokenizer { found, .. } if found == "nobody-knows"),
        "{error}"
    );
    for known in ["", "default", "tekken"] {
        open(&cut_as(known)).unwrap();
    }
}

#[test]
fn words_of_tekken_are_tokens_whole_and_sequences_have_a_mark() {
    let tokenizer = open(&cut_as("tekken")).unwrap();
    assert_eq!(tokenizer.prefix(), [0]);
    // The merges alone would leave it in two.
    assert_eq!(tokenizer.encode("aa").unwrap().ids, [13]);
    let merged = open(&byte_level()).unwrap();
    assert_eq!(merged.encode("aa").unwrap().ids, [2, 2]);
}

#[test]
fn broken_tokenizers_are_explained() {
    let broken = [
        (Sample::default(), "tokenizer: the file has none"),
        (Sample::default().text("tokenizer.ggml.model", "gpt2"), "no tokens"),
        (
            Sample::default()
                .text("tokenizer.ggml.model", "t5")
                .texts("tokenizer.ggml.tokens", &["a"]),
            "unknown kind `t5`",
        ),
        (
            Sample::default()
                .text("tokenizer.ggml.model", "gpt2")
                .texts("tokenizer.ggml.tokens", &["a"])
                .texts("tokenizer.ggml.merges", &["ab"]),
            "a merge of one half: `ab`",
        ),
    ];
    for (sample, what) in broken {
        let error = open(&sample).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
