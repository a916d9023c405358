//! Checkpoints that are not what they should be, each with the error that says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::DType;
use retcon_kernels::stored::{Bytes, Format, Stored};
use retcon_model::checkpoint::safetensors;
use retcon_model::generate::{Sampling, candidates};
use retcon_model::{Batch, Checkpoint, Container, Error, Model, Options, Precision};

use crate::{fixture, model};

/// A copy of the fixture `llama` with its tensors as `change` leaves them; the error of opening it.
fn broken(change: impl FnOnce(&mut BTreeMap<String, Stored>)) -> Error {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("llama"), folder.path());
    retensor(&folder.path().join("model.safetensors"), change);
    Model::open(folder.path(), &Options::default()).unwrap_err()
}

/// As [`broken`], of the fixture `name` with `from` replaced in the settings.
fn misconfigured(name: &str, from: &str, to: &str) -> Error {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(name), folder.path());
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).unwrap();
    Model::open(folder.path(), &Options::default()).unwrap_err()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn f32s(shape: &[usize], numbers: &[f32]) -> Stored {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    Stored::new(Format::F32, shape.to_vec(), Bytes::from(bytes)).unwrap()
}

fn small(shape: &[usize]) -> Stored {
    f32s(shape, &vec![0.0; shape.iter().product()])
}

const DOWN: &str = "model.layers.1.mlp.down_proj.weight";

/// Adds or changes tensors of the file at `path`.
fn retensor(path: &Path, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    let file = safetensors::open(path).unwrap().file;
    let mut tensors: BTreeMap<String, Stored> =
        file.tensors().map(|(name, stored)| (name.to_owned(), stored.clone())).collect();
    change(&mut tensors);
    safetensors::write(path, &tensors, &BTreeMap::new()).unwrap();
}

/// Whether its head is tied, and the logits after a few tokens.
fn head_of(folder: &Path) -> (bool, Vec<f32>) {
    let model = Model::open(folder, &Options::default()).unwrap();
    let x = model.run(&Batch::new([[5, 6, 7]]).unwrap(), &[2], &mut ()).unwrap();
    let logits = model.logits(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    (model.spec().head.is_tied(), logits)
}

/// Fine-tuning sometimes unties a head and leaves the setting; transformers believes the tensors.
#[test]
fn a_head_that_differs_from_the_embedding_is_used_whatever_the_settings_say() {
    for (name, file, embed) in [
        ("gpt2", "model.safetensors", "wte.weight"),
        ("llama-tied", "model-00001-of-00002.safetensors", "model.embed_tokens.weight"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture(name), folder.path());
        let (file, settings) = (folder.path().join(file), folder.path().join("config.json"));
        let tied = head_of(folder.path());
        assert!(tied.0, "{name}");

        retensor(&file, |tensors| {
            drop(tensors.insert("lm_head.weight".into(), tensors[embed].clone()))
        });
        assert_eq!(head_of(folder.path()), tied, "{name}: a copy changes nothing");

        retensor(&file, |tensors| {
            let mut numbers = tensors[embed].to_vec_f32();
            numbers.reverse();
            drop(tensors.insert("lm_head.weight".into(), f32s(tensors[embed].shape(), &numbers)));
        });
        let apart = head_of(folder.path());
        assert!(!apart.0 && apart.1 != tied.1, "{name}");

        let text = fs::read_to_string(&settings).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["tie_word_embeddings"] = false.into();
        fs::write(&settings, config.to_string()).unwrap();
        assert_eq!(head_of(folder.path()), apart, "{name}: as if the settings said so");
    }
}

/// Greedy decoding would find the largest of no numbers.
#[test]
fn a_model_with_a_weight_that_is_no_number_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("llama"), folder.path());
    retensor(&folder.path().join("model.safetensors"), |tensors| {
        let old = &tensors["model.norm.weight"];
        let mut numbers = old.to_vec_f32();
        numbers[0] = f32::NAN;
        drop(tensors.insert("model.norm.weight".into(), f32s(old.shape(), &numbers)));
    });
    let model = Model::open(folder.path(), &Options::default()).unwrap();
    let said = model.complete("a b", &Sampling::greedy(3));
    assert!(matches!(said, Err(Error::NotFiniteLogits)), "{said:?}");
    let listed = candidates(&model, &Batch::new([[5, 6]]).unwrap(), 1, 3);
    assert!(matches!(listed, Err(Error::NotFiniteLogits)), "{listed:?}");
}

#[test]
fn a_missing_tensor_is_named() {
    let error = broken(|tensors| drop(tensors.remove(DOWN)));
    assert!(matches!(&error, Error::MissingTensor { name, .. } if name == DOWN), "{error}");
}

#[test]
fn an_extra_tensor_is_named() {
    let error =
        broken(|tensors| drop(tensors.insert("model.layers.0.adapter".into(), small(&[2]))));
    assert!(error.to_string().contains("model.layers.0.adapter"), "{error}");
    assert!(matches!(error, Error::UnexpectedTensor { .. }));
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let error = broken(|tensors| drop(tensors.insert(DOWN.into(), small(&[3, 5]))));
    let text = error.to_string();
    assert!(text.contains(DOWN) && text.contains("[3, 5]") && text.contains("expected"), "{text}");
}

#[test]
fn an_unknown_family_names_the_known_ones() {
    let error = misconfigured("llama", "\"llama\"", "\"mamba\"").to_string();
    for name in ["mamba", "llama", "qwen2", "gpt2", "bert", "albert"] {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let error = misconfigured("llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3");
    assert!(error.to_string().contains("num_key_value_heads"), "{error}");
    let error = misconfigured("llama", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 0");
    assert!(error.to_string().contains("num_hidden_layers"), "{error}");
    for groups in ["0", "5"] {
        let to = format!("\"num_hidden_groups\": {groups}");
        let error = misconfigured("albert", "\"num_hidden_groups\": 1", &to).to_string();
        assert!(error.contains("num_hidden_groups") && error.contains("from 1 to 4"), "{error}");
    }
}

#[test]
fn settings_that_the_forward_pass_does_not_have_are_refused() {
    let spiral = "\"rope_scaling\": {\"type\": \"spiral\"}";
    let error = misconfigured("phi3", "\"rope_scaling\": null", spiral).to_string();
    assert!(error.contains("rope_type") && error.contains("spiral"), "{error}");
    let both = "\"use_bidirectional_attention\": true, \"use_cache\"";
    let error = misconfigured("gemma3", "\"use_cache\"", both).to_string();
    assert!(error.contains("use_bidirectional_attention"), "{error}");
    let error = misconfigured("gptj", "\"rotary_dim\": 4", "\"rotary_dim\": 10").to_string();
    assert!(error.contains("rotary_dim") && error.contains("up to the 8"), "{error}");
}

#[test]
fn a_missing_tensor_of_a_group_is_named_in_full() {
    // One group more than the file has.
    let error = misconfigured("albert", "\"num_hidden_groups\": 1", "\"num_hidden_groups\": 2");
    assert!(error.to_string().contains("albert_layer_groups.1.albert_layers.0."), "{error}");
}

#[test]
fn a_family_that_gguf_has_no_names_for_is_refused_there() {
    let mut checkpoint = Checkpoint::open(&fixture("albert")).unwrap();
    checkpoint.container = Container::Gguf;
    let error = Model::of(checkpoint, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("general.architecture") && error.contains("albert"), "{error}");
}

#[test]
fn a_folder_without_config_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = Model::open(folder.path(), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
}

#[test]
fn tokens_and_lengths_that_the_model_has_not_are_refused() {
    let model = model("llama");
    let run = |tokens: Vec<u32>| model.run(&Batch::new([tokens]).unwrap(), &[0], &mut ());
    assert!(matches!(run(vec![1_000_000]), Err(Error::UnknownToken { .. })));
    let long = vec![1; model.spec().n_positions + 1];
    assert!(matches!(run(long), Err(Error::TooLong { .. })));
}

#[test]
fn every_precision_gives_nearly_the_same_logits() {
    let logits = |precision| {
        let options = Options { precision, ..Options::default() };
        let model = Model::open(fixture("llama"), &options).unwrap();
        let x = model.run(&Batch::new([[5, 6, 7]]).unwrap(), &[2], &mut ()).unwrap();
        let logits = model.logits(&x).unwrap();
        logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let stored = logits(Precision::Stored);
    // Half precision keeps 11 and 8 bits of each weight.
    for (dtype, tolerance) in [(DType::F32, 0.0), (DType::F16, 0.02), (DType::BF16, 0.15)] {
        let found = logits(Precision::As(dtype));
        let error = found.iter().zip(&stored).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error <= tolerance, "{dtype:?}: {error}");
    }
}
