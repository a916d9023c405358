//! Language models inside of models that read more than text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::stored::{Format, Stored};
use retcon_model::checkpoint::safetensors;
use retcon_model::delta::merge::merge;
use retcon_model::{Batch, Delta, Error, Model, Options, Part, Record, Update, WeightId};
use serde_json::{Value, json};

use crate::fixture;

/// The fixture `name` in `folder` as the language model of a larger one, each tensor under the name that
/// `rename` gives it, beside one that looks at images.
fn wrap(name: &str, folder: &Path, rename: impl Fn(&str) -> String) {
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture(name).join(file), folder.join(file)).unwrap();
    }
    let text = fs::read(fixture(name).join("config.json")).unwrap();
    let text: Value = serde_json::from_slice(&text).unwrap();
    let config = json!({"model_type": "llava", "hidden_size": 7, "text_config": text});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let file = safetensors::open(&fixture(name).join("model.safetensors")).unwrap().file;
    let mut tensors: BTreeMap<String, Stored> =
        file.tensors().map(|(name, stored)| (rename(name), stored.clone())).collect();
    let eye = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let eye = Stored::encode(&eye, Format::F32).unwrap();
    tensors.insert("vision_tower.patch.weight".into(), eye.clone());
    tensors.insert("multi_modal_projector.weight".into(), eye);
    safetensors::write(&folder.join("model.safetensors"), &tensors, &BTreeMap::new()).unwrap();
}

/// As some files have them since transformers 4.52, and others before.
fn newer(name: &str) -> String {
    name.replace("model.", "model.language_model.")
}

/// As SmolVLM has them.
fn text_model(name: &str) -> String {
    name.replace("model.", "model.text_model.")
}

fn older(name: &str) -> String {
    format!("language_model.{name}")
}

fn open(folder: &Path) -> Model {
    Model::open(folder, &Options::default()).unwrap()
}

fn logits(model: &Model) -> Vec<f32> {
    let x = model.run(&Batch::new([[3u32, 1, 4, 1, 5]]).unwrap(), &[4], &mut ()).unwrap();
    model.logits(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_language_model_inside_of_another_is_the_same() {
    for name in ["gemma3", "llama", "mistral", "qwen2"] {
        let plain = logits(&open(&fixture(name)));
        for rename in [newer, text_model, older] {
            let folder = tempfile::tempdir().unwrap();
            wrap(name, folder.path(), rename);
            assert_eq!(logits(&open(folder.path())), plain, "{name}");
        }
    }
}

#[test]
fn an_edit_is_merged_into_the_tensors_of_the_language_model() {
    let id = WeightId::of_block(1, Part::Down);
    for rename in [newer, older] {
        let folder = tempfile::tempdir().unwrap();
        wrap("gemma3", folder.path(), rename);
        let model = open(folder.path());
        let weight = model.weight(id).unwrap().to_tensor(model.device()).unwrap();
        let updates = BTreeMap::from([(id, Update::Dense((weight * 0.5).unwrap()))]);
        let delta = Delta::new(&model, updates, Record::default()).unwrap();
        let edited = model.with(delta).unwrap();
        let out = folder.path().join("out");
        merge(&edited, &out).unwrap();
        let (found, expected) = (logits(&open(&out)), logits(&edited));
        let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // The file rounds to bfloat16.
        assert!(error < 0.01, "{error}");
        let [before, after] = [folder.path(), &out].map(|folder| {
            let file = safetensors::open(&folder.join("model.safetensors")).unwrap().file;
            let bytes =
                |(name, stored): (&str, &Stored)| (name.to_owned(), stored.bytes().to_vec());
            file.tensors().map(bytes).collect::<BTreeMap<_, _>>()
        });
        assert!(before.keys().eq(after.keys()));
        let changed: Vec<_> =
            before.iter().filter(|(name, bytes)| &after[*name] != *bytes).collect();
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].0, &rename("model.layers.1.mlp.down_proj.weight"));
    }
}

#[test]
fn what_a_language_model_lacks_or_has_too_many_is_told_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let broken = |name: &str| match name {
        "model.layers.0.mlp.up_proj.weight" => older("model.layers.0.mlp.other.weight"),
        name => older(name),
    };
    wrap("llama", folder.path(), broken);
    let error = Model::open(folder.path(), &Options::default()).unwrap_err();
    let Error::MissingTensor { name, .. } = error else { panic!("{error}") };
    assert_eq!(name, "language_model.model.layers.0.mlp.up_proj.weight");
}
