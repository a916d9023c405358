//! Checkpoints that are not what they should be, each with the error that says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::DType;
use retcon_kernels::stored::{Bytes, Format, Stored};
use retcon_model::checkpoint::safetensors;
use retcon_model::{Batch, Checkpoint, Container, Error, Model, Options, Precision};

use crate::{fixture, model};

/// A copy of the fixture `llama` with its tensors as `change` leaves them; the error of opening it.
fn broken(change: impl FnOnce(&mut BTreeMap<String, Stored>)) -> Error {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("llama"), folder.path());
    let path = folder.path().join("model.safetensors");
    let file = safetensors::open(&path).unwrap().file;
    let mut tensors: BTreeMap<String, Stored> =
        file.tensors().map(|(name, stored)| (name.to_owned(), stored.clone())).collect();
    change(&mut tensors);
    safetensors::write(&path, &tensors, &BTreeMap::new()).unwrap();
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

fn small(shape: &[usize]) -> Stored {
    let bytes = vec![0; 4 * shape.iter().product::<usize>()];
    Stored::new(Format::F32, shape.to_vec(), Bytes::from(bytes)).unwrap()
}

const DOWN: &str = "model.layers.1.mlp.down_proj.weight";

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
    let error = misconfigured("gemma3", "\"gemma3_text\"", "\"gemma3\"").to_string();
    assert!(error.contains("expected gemma3_text"), "{error}");
    let longrope = "\"rope_scaling\": {\"type\": \"longrope\"}";
    let error = misconfigured("phi3", "\"rope_scaling\": null", longrope).to_string();
    assert!(error.contains("rope_type") && error.contains("longrope"), "{error}");
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
