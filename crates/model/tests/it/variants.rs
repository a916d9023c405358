//! Fixtures under other settings, or with other tensors, against what the reference makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::stored::Stored;
use retcon_model::checkpoint::safetensors;
use retcon_model::{Batch, Model, Options};
use serde_json::Value;

use crate::{expected, fixture, ids};

/// As in the comparison of whole fixtures, relative to the largest logit.
const TOLERANCE: f64 = 1e-4;

fn variant(name: &str) -> Value {
    let text = fs::read_to_string(fixture("variants").join("variants.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all[name].clone()
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap())
}

/// The fixture that `variant` is one of, as it wants it, in `folder`.
fn build(variant: &Value, folder: &Path) {
    let base = fixture(variant["base"].as_str().unwrap());
    for entry in fs::read_dir(base).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let settings = config.as_object_mut().unwrap();
    settings.extend(variant["set"].as_object().cloned().unwrap_or_default());
    for key in names(&variant["drop"]) {
        settings.remove(key).unwrap();
    }
    fs::write(&path, config.to_string()).unwrap();
    let path = folder.join("model.safetensors");
    let file = safetensors::open(&path).unwrap().file;
    let mut tensors: BTreeMap<String, Stored> =
        file.tensors().map(|(name, stored)| (name.to_owned(), stored.clone())).collect();
    let made = variant["tensors"].as_object().cloned().unwrap_or_default();
    let made: Vec<_> =
        made.into_iter().map(|(name, recipe)| (name, cook(&recipe, &tensors))).collect();
    names(&variant["without"]).for_each(|name| drop(tensors.remove(name).unwrap()));
    tensors.extend(made);
    safetensors::write(&path, &tensors, &BTreeMap::new()).unwrap();
}

/// As many rows of another tensor, times a number.
fn cook(recipe: &Value, tensors: &BTreeMap<String, Stored>) -> Stored {
    let source = &tensors[recipe[0].as_str().unwrap()];
    let rows = recipe[1].as_u64().map_or(source.shape()[0], |rows| rows as usize);
    let tensor = source.to_tensor(DType::F32, &Device::Cpu).unwrap();
    let tensor = tensor.narrow(0, 0, rows).unwrap() * recipe[2].as_f64().unwrap();
    Stored::encode(&tensor.unwrap(), source.format()).unwrap()
}

fn logits(model: &Model, tokens: &[u32]) -> Tensor {
    let last = tokens.len() as u32 - 1;
    let x = model.run(&Batch::new([tokens]).unwrap(), &[last], &mut ()).unwrap();
    model.logits(&x).unwrap().flatten_all().unwrap()
}

fn check(name: &str) {
    let variant = variant(name);
    let base = variant["base"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    build(&variant, folder.path());
    let model = Model::open(folder.path(), &Options::default()).unwrap();
    let tokens = ids(&expected(base)["tokens"][0]);
    let file = safetensors::open(&fixture("variants").join("expected.safetensors")).unwrap().file;
    let reference = file.get(name).unwrap().to_vec_f32();
    let found = logits(&model, &tokens).to_vec1::<f32>().unwrap();
    let largest = reference.iter().fold(0f32, |max, x| max.max(x.abs()));
    let error = found.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert_eq!(found.len(), reference.len());
    assert!(f64::from(error / largest) < TOLERANCE, "{name}: {error} of {largest}");
}

#[test]
fn gpt2_that_attends_less_with_depth_equals_the_reference() {
    check("gpt2-by-depth");
    check("gpt2-unscaled");
}

#[test]
fn gemma_that_says_nothing_of_its_caps_equals_the_reference() {
    check("gemma2-silent");
    check("gemma2-null");
    check("gemma3-silent");
}

#[test]
fn gemma3_with_stretched_local_blocks_equals_the_reference() {
    check("gemma3-local-scaled");
}

#[test]
fn either_form_of_rope_parameters_equals_the_reference() {
    check("llama-both-null");
    check("llama-both");
    check("llama-theta-inside");
}

#[test]
fn dynamic_scaling_within_the_positions_of_a_model_equals_the_reference() {
    check("llama-dynamic");
}

#[test]
fn contexts_that_were_stretched_equal_the_reference() {
    check("llama-yarn");
    check("qwen3-yarn-weighed");
    check("phi3-longrope");
    check("phi3-yarn");
    check("llama-original");
}

#[test]
fn olmo3_that_says_nothing_of_its_local_blocks_equals_the_reference() {
    check("olmo3-silent");
}

#[test]
fn llama_with_left_over_settings_equals_the_reference() {
    check("llama-left-over");
}

#[test]
fn blocks_that_are_named_local_equal_the_reference() {
    check("mistral-layer-types");
    check("qwen2-layer-types");
}

#[test]
fn a_tied_model_with_nothing_but_a_head_equals_the_reference() {
    check("qwen2-only-head");
}

#[test]
fn encoders_with_a_decoder_of_their_own_equal_the_reference() {
    check("bert-untied");
    check("albert-untied");
}

#[test]
fn bert_with_one_segment_equals_the_reference() {
    check("bert-one-segment");
}

#[test]
fn bert_with_its_bias_under_the_other_name_equals_the_reference() {
    check("bert-other-bias");
}

#[test]
fn every_variant_is_compared() {
    let source = include_str!("variants.rs");
    let text = fs::read_to_string(fixture("variants").join("variants.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    for name in all.as_object().unwrap().keys() {
        assert!(source.contains(&format!("check(\"{name}\")")), "{name}");
    }
}
