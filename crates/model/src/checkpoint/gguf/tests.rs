//! What GGUF files say, and what hostile ones cannot do.

use std::path::Path;

use proptest::prelude::*;
use retcon_kernels::stored::{Format, Stored};

use super::sample::Sample;
use super::*;
use crate::checkpoint::{Checkpoint, Config};

fn model() -> Sample {
    Sample::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .u32("llama.attention.head_count", 4)
        .u32("llama.embedding_length", 32)
        .ints("llama.feed_forward_length", &[64, 64])
        .u32("llama.rope.dimension_count", 4)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .text("llama.rope.scaling.type", "linear")
        .f32("llama.rope.scaling.factor", 2.0)
        .bool("tokenizer.ggml.add_bos_token", false)
        .texts("tokenizer.ggml.tokens", &["a", "b", ""])
        .floats("tokenizer.ggml.scores", &[0.5, -1.0, 0.0])
        .tensor("token_embd.weight", &[32, 3], 8, &[1; 3 * 34])
        .tensor("output_norm.weight", &[2], 0, &[0, 0, 128, 63, 0, 0, 0, 64])
}

fn config_of(sample: &Sample) -> Config {
    let gguf = sample.open().unwrap();
    let tensors = gguf.file.tensors().map(|(name, t)| (name.to_owned(), t.clone())).collect();
    config(Path::new("m.gguf"), &gguf.metadata, &tensors).unwrap()
}

fn error(sample: &Sample) -> String {
    sample.open().unwrap_err().to_string()
}

#[test]
fn tensors_have_their_outermost_dimension_first() {
    let gguf = model().open().unwrap();
    let embedding = gguf.file.get("token_embd.weight").unwrap();
    assert_eq!(embedding.shape(), [3, 32]);
    assert_eq!(embedding.format().to_string(), "Q8_0");
    let norm = gguf.file.get("output_norm.weight").unwrap();
    assert_eq!((norm.format(), norm.to_vec_f32()), (Format::F32, vec![1.0, 2.0]));
}

#[test]
fn types_that_candle_lacks_are_read() {
    let sample =
        Sample::default().tensor("a", &[32], 20, &[0; 18]).tensor("b", &[256], 23, &[0; 136]);
    let file = sample.open().unwrap().file;
    let formats = ["a", "b"].map(|name| file.get(name).unwrap().format().to_string());
    assert_eq!(formats, ["IQ4_NL", "IQ4_XS"]);
}

#[test]
fn metadata_is_read() {
    let metadata = model().open().unwrap().metadata;
    assert_eq!(metadata.text("general.architecture"), Some("llama"));
    assert_eq!(metadata.bool("tokenizer.ggml.add_bos_token"), Some(false));
    let texts: Vec<_> = metadata.list("tokenizer.ggml.tokens").unwrap().texts().collect();
    assert_eq!(texts, ["a", "b", ""]);
    let scores: Vec<_> = metadata.list("tokenizer.ggml.scores").unwrap().numbers().collect();
    assert_eq!(scores, [0.5, -1.0, 0.0]);
}

#[test]
fn settings_read_like_those_of_a_folder() {
    let config = config_of(&model());
    assert_eq!(config.get::<String>("model_type").unwrap(), "llama");
    assert_eq!(config.get::<usize>("num_hidden_layers").unwrap(), 2);
    assert_eq!(config.get::<usize>("n_layer").unwrap(), 2);
    assert_eq!(config.get::<usize>("intermediate_size").unwrap(), 64);
    assert_eq!(config.get::<usize>("vocab_size").unwrap(), 3);
    assert_eq!(config.get::<f64>("rms_norm_eps").unwrap(), 1e-5);
    assert_eq!(config.get::<f64>("partial_rotary_factor").unwrap(), 0.5);
    assert!(config.get::<bool>("tie_word_embeddings").unwrap());
    let scaling = config.section("rope_scaling").unwrap().unwrap();
    assert_eq!(scaling.get::<f64>("factor").unwrap(), 2.0);
}

#[test]
fn a_factor_without_a_kind_scales_positions_linearly() {
    let llama = || Sample::default().text("general.architecture", "llama");
    let scaling = |sample: Sample| config_of(&sample).section("rope_scaling").unwrap();
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        let scaled = scaling(llama().f32(key, 4.0)).unwrap();
        assert_eq!(scaled.get::<String>("rope_type").unwrap(), "linear");
        assert_eq!(scaled.get::<f64>("factor").unwrap(), 4.0);
        assert!(scaling(llama().f32(key, 0.0)).is_none());
    }
    let kind = |kind: &str| scaling(llama().text("llama.rope.scaling.type", kind));
    assert!(kind("none").is_none() && kind("linear").is_none() && kind("yarn").is_some());
}

#[test]
fn unsupported_types_are_named() {
    let quants = Sample::default().tensor("w", &[256], 16, &[0; 66]);
    assert_eq!(error(&quants), "m.gguf: tensor `w` has an unsupported type: IQ2_XXS");
    let unknown = Sample::default().tensor("w", &[1], 77, &[0; 4]);
    assert!(error(&unknown).ends_with("type: number 77"));
}

#[test]
fn lies_about_tensors_are_refused() {
    let plain = || Sample::default().tensor("a", &[8], 0, &[0; 32]);
    let lies = [
        (plain().tensor_at("b", &[8], 0, 0), "tensors `a` and `b` overlap"),
        (plain().tensor_at("b", &[8], 0, 32), "past the end"),
        (plain().tensor_at("b", &[1], 0, 4), "no multiple of 32"),
        (plain().tensor_at("b", &[1], 0, 1 << 63), "past the end"),
        (plain().tensor_at("b", &[u64::MAX, 2], 0, 0), "impossible"),
        (plain().tensor_at("b", &[0, u64::MAX, 8], 0, 0), "impossible"),
        (plain().tensor_at("b", &[31], 8, 0), "impossible in the format Q8_0"),
        (plain().tensor_at("b", &[1; 5], 0, 0), "5 dimensions"),
        (plain().tensor("a", &[1], 0, &[0; 4]), "`a` is there twice"),
        (plain().u32("general.alignment", 0), "`general.alignment`"),
        (plain().text("general.alignment", "8"), "`general.alignment`"),
    ];
    for (lie, what) in lies {
        assert!(error(&lie).contains(what), "{}", error(&lie));
    }
}

#[test]
fn lies_about_metadata_are_refused() {
    let many = [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
    let deep: Vec<u8> =
        (0..9).flat_map(|_| [&[9, 0, 0, 0][..], &1u64.to_le_bytes()].concat()).collect();
    let lies = [
        (Sample::default().u32("a", 1).u32("a", 1), "`a` is there twice"),
        (Sample::default().raw("a", 13, &[]), "unknown type of value 13"),
        (Sample::default().raw("a", 9, &many), "values at byte"),
        (Sample::default().raw("a", 9, &deep), "more than 4 deep"),
    ];
    for (lie, what) in lies {
        assert!(error(&lie).contains(what), "{}", error(&lie));
    }
    let mut big_endian = model().bytes();
    big_endian[4..8].copy_from_slice(&3u32.to_be_bytes());
    let error = read(Path::new("m.gguf"), big_endian.into()).unwrap_err().to_string();
    assert!(error.contains("big-endian"), "{error}");
}

#[test]
fn parts_are_opened_together_and_exported_apart() {
    let folder = tempfile::tempdir().unwrap();
    let name = |index| format!("m-0000{index}-of-00002.gguf");
    let second = Sample::default().tensor("blk.0.ffn_up.weight", &[1], 0, &[0; 4]);
    for (index, part) in [(1, model()), (2, second)] {
        std::fs::write(folder.path().join(name(index)), part.bytes()).unwrap();
    }
    let whole = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(whole.tensors.len(), 3);
    assert_eq!(whole.config.get::<usize>("num_hidden_layers").unwrap(), 2);
    let (up, out) = ("blk.0.ffn_up.weight", folder.path().join("out"));
    let new = Stored::new(Format::F32, vec![1], vec![0, 0, 128, 63].into()).unwrap();
    whole.export(&out, &[(up.to_owned(), new)].into()).unwrap();
    let again = Checkpoint::open(&out.join(name(2))).unwrap();
    assert_eq!(again.path, out.join(name(1)));
    assert_eq!(again.tensor(up).unwrap().to_vec_f32(), [1.0]);
    assert_eq!(again.tensors["token_embd.weight"].bytes().len(), 3 * 34);
}

/// Opens `bytes` and touches all that a reader of them would.
fn explore(bytes: Vec<u8>) {
    let path = Path::new("m.gguf");
    let Ok(gguf) = read(path, bytes.into()) else { return };
    for (_, value) in gguf.metadata.iter() {
        if let Value::List(list) = value {
            assert_eq!(list.values().count(), list.len());
        }
    }
    let tensors = gguf.file.tensors().map(|(name, t)| (name.to_owned(), t.clone())).collect();
    let _ = config(path, &gguf.metadata, &tensors);
    tensors.values().for_each(|tensor| assert!(tensor.to_vec_f32().len() < 1 << 20));
}

#[test]
fn no_single_byte_makes_it_panic() {
    let bytes = model().bytes();
    for at in 0..bytes.len() {
        for value in [0, 1, 3, 9, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            explore(bytes);
        }
        explore(bytes[..at].to_vec());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 1usize..9), 1..8),
        random in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = model().bytes();
        for (at, value, width) in noise {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        explore(bytes);
        explore([&model().bytes()[..24], &random].concat());
    }
}
