//! The real SmolLM2, where `RETCON_SMOLLM2_GGUF` says where its file is.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use retcon_model::Checkpoint;
use serde_json::{Value, json};

fn open() -> Option<Checkpoint> {
    #[expect(clippy::disallowed_methods, reason = "says where the real model is")]
    let path = PathBuf::from(std::env::var_os("RETCON_SMOLLM2_GGUF")?);
    Some(Checkpoint::open(&path).unwrap())
}

#[test]
fn smollm2_tokenizes_as_the_reference_does() {
    let Some(checkpoint) = open() else { return };
    let tokenizer = checkpoint.tokenizer().unwrap();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/smollm2/tokenizer.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let encoding = tokenizer.encode(text).unwrap();
        assert_eq!(json!(encoding.ids), case["ids"], "{text:?}");
        let reach = encoding.offsets.iter().map(|offsets| offsets.1).max();
        assert_eq!(reach.unwrap_or(0), text.len(), "{text:?}");
    }
    let paris = tokenizer.encode(" Paris").unwrap().ids;
    assert_eq!(tokenizer.encode_continuation("Paris").unwrap(), paris);
    assert_eq!((tokenizer.prefix(), tokenizer.eos()), (&[][..], &[2][..]));
    assert_eq!(tokenizer.n_vocab(), 49152);
}

#[test]
fn smollm2_has_the_sizes_that_it_is_published_with() {
    let Some(Checkpoint { config, tensors, .. }) = open() else { return };
    let sizes = [
        ("num_hidden_layers", 30),
        ("hidden_size", 576),
        ("intermediate_size", 1536),
        ("num_attention_heads", 9),
        ("num_key_value_heads", 3),
        ("vocab_size", 49152),
    ];
    for (key, size) in sizes {
        assert_eq!(config.get::<usize>(key).unwrap(), size, "{key}");
    }
    assert!(config.get::<bool>("tie_word_embeddings").unwrap());
    assert_eq!(tensors["token_embd.weight"].shape(), [49152, 576]);
}
