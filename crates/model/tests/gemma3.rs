//! The real Gemma 3 270M, where `RETCON_GEMMA3_GGUF` says where its file is.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::PathBuf;

use retcon_model::Checkpoint;

fn open() -> Option<Checkpoint> {
    #[expect(clippy::disallowed_methods, reason = "says where the real model is")]
    let path = PathBuf::from(std::env::var_os("RETCON_GEMMA3_GGUF")?);
    Some(Checkpoint::open(&path).unwrap())
}

#[test]
fn gemma3_tokens_are_those_of_sentencepiece_and_give_the_text_back() {
    let Some(checkpoint) = open() else { return };
    let tokenizer = checkpoint.tokenizer().unwrap();
    for text in [
        "The capital of France is Paris.",
        " Berlin",
        "It's 12,345 km from Rome -- don't drive!",
        "naïve café, Zürich, 東京 \u{1f642} \u{1f1eb}\u{1f1f7}",
        "  two  spaces\n\nnew lines\tand a tab ",
        "<start_of_turn>user\nWHERE IS MADRID?<end_of_turn>\n",
        "\u{10348} \u{e000}",
    ] {
        let encoding = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&encoding.ids).unwrap(), text);
        let reach = encoding.offsets.iter().map(|offsets| offsets.1).max();
        assert_eq!(reach.unwrap_or(0), text.len(), "{text:?}");
    }
    let tokens = |text: &str| {
        let ids = tokenizer.encode(text).unwrap().ids;
        ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect::<Vec<_>>()
    };
    // Runs of spaces and of line breaks are tokens that nothing else is merged into.
    assert_eq!(tokens("a  b\n\nc"), ["a", "  ", "b", "\n\n", "c"]);
    assert_eq!(tokens("<start_of_turn>user"), ["<start_of_turn>", "user"]);
    assert_eq!(tokenizer.encode_continuation("Paris").unwrap(), [9079]);
    assert_eq!((tokenizer.prefix(), tokenizer.suffix()), (&[2][..], &[][..]));
    assert!(tokenizer.adds_bos());
    assert_eq!((tokenizer.eos(), tokenizer.n_vocab()), (&[1][..], 262_144));
}

#[test]
fn gemma3_has_the_sizes_that_it_is_published_with() {
    let Some(Checkpoint { config, tensors, .. }) = open() else { return };
    let sizes = [
        ("num_hidden_layers", 18),
        ("hidden_size", 640),
        ("intermediate_size", 2048),
        ("num_attention_heads", 4),
        ("num_key_value_heads", 1),
        ("head_dim", 256),
        ("sliding_window", 512),
        ("vocab_size", 262_144),
    ];
    for (key, size) in sizes {
        assert_eq!(config.get::<usize>(key).unwrap(), size, "{key}");
    }
    assert!(config.get::<bool>("tie_word_embeddings").unwrap());
    assert_eq!(tensors["token_embd.weight"].shape(), [262_144, 640]);
}
