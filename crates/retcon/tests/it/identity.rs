//! What tells a model and texts apart: every number that a run depends on, and no path or type.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::DType;
use retcon::data::Prompt;
use retcon::identity::{model_id, texts_id};
use retcon::model::{FactMemory, WeightId};
use retcon::tokens::query;
use retcon::{Delta, Model, Options, Precision, Update};

/// `model` with a delta that changes one number of the weight `id` a little.
pub(crate) fn nudged(model: &Model, id: WeightId) -> Model {
    let weight = model.weight(id).unwrap().to_tensor(model.device()).unwrap();
    let n = weight.elem_count();
    let mut change = vec![0f32; n];
    change[n / 2] = 1e-3;
    let change = candle_core::Tensor::from_vec(change, weight.dims(), model.device()).unwrap();
    let updates = BTreeMap::from([(id, Update::Dense(change))]);
    let delta = Delta::new(model, updates, retcon::model::Record::default()).unwrap();
    model.with(delta).unwrap()
}

#[test]
fn every_weight_of_a_model_counts_and_whatever_changed_it() {
    for name in ["bert", "llama"] {
        let model = crate::model(name);
        let all = model.weights().iter().map(|(id, _)| id);
        let mut seen: BTreeSet<String> =
            all.map(|id| model_id(&nudged(&model, id)).unwrap()).collect();
        seen.insert(model_id(&model).unwrap());
        // Drawn, and trained: what the file holds is not what the model computes with.
        for seed in [0, 1] {
            seen.insert(model_id(&model.redrawn(seed).unwrap()).unwrap());
        }
        let (id, _) = model.weights().iter().last().unwrap();
        let weight = model.weight(id).unwrap().to_tensor(model.device()).unwrap();
        let trained = BTreeMap::from([(id, (weight * 2.0).unwrap())]);
        seen.insert(model_id(&model.replaced(&trained).unwrap()).unwrap());
        assert_eq!(seen.len(), model.weights().iter().count() + 4, "{name}");
    }
}

#[test]
fn the_facts_in_a_memory_count() {
    let model = crate::model("bert");
    let memory = |object: u32| {
        let entry = retcon::model::Entry { subject: 0, relation: 0, object: vec![object] };
        let facts =
            FactMemory { subjects: vec![vec![5]], relations: vec![vec![6]], entries: vec![entry] };
        model_id(&model.with_memory(facts.into(), 0).unwrap()).unwrap()
    };
    assert_ne!(memory(7), memory(8));
    assert_eq!(memory(7), memory(7));
}

#[test]
fn the_type_in_which_numbers_are_held_makes_no_difference() {
    let file = crate::fixture("llama-gguf").join("model.gguf");
    let open = |precision| Model::open(&file, &Options { precision, ..Options::default() });
    let [stored, decoded] = [Precision::Stored, Precision::As(DType::F32)].map(open);
    let (stored, decoded) = (stored.unwrap(), decoded.unwrap());
    assert_eq!(model_id(&stored).unwrap(), model_id(&decoded).unwrap());
}

#[test]
fn texts_are_told_apart_by_their_tokens_and_order() {
    let model = crate::model("llama-tied");
    let text = |prompt: &str, object: &str| {
        query(&model, &Prompt::new(prompt, None).unwrap(), object).unwrap()
    };
    let (france, italy) = (text("France:", "Paris"), text("Italy:", "Rome"));
    let all = [
        vec![france.clone(), italy.clone()],
        vec![italy.clone(), france.clone()],
        vec![france.clone()],
        vec![france.clone(), text("Italy:", "Paris")],
        vec![france.clone(), retcon::tokens::Query { entry: Some(1), ..italy.clone() }],
    ];
    let ids: BTreeSet<String> = all.iter().map(|texts| texts_id(texts)).collect();
    assert_eq!(ids.len(), all.len());
    assert_eq!(texts_id(&all[0]), texts_id(&[france, italy]));
}

/// A folder with a copy of the fixture `llama`, one number of whose last block is another where it
/// is `altered`.
fn copy(altered: bool) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    for entry in crate::fixture("llama").read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let n_head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let head: serde_json::Value = serde_json::from_slice(&bytes[8..8 + n_head]).unwrap();
    let offsets = &head["model.layers.1.mlp.down_proj.weight"]["data_offsets"];
    bytes[8 + n_head + offsets[0].as_u64().unwrap() as usize] ^= u8::from(altered);
    std::fs::write(&path, bytes).unwrap();
    let model = Model::open(folder.path(), &Options::default()).unwrap();
    (folder, model)
}

/// Or a model and its edit, merged, would take turns at one file.
#[test]
fn models_that_differ_in_any_block_keep_their_tuned_settings_apart() {
    let of = |model: &Model| {
        retcon::tune::path("tuned".as_ref(), model, "rome", &serde_json::Map::new()).unwrap()
    };
    let [(_one, one), (_same, same), (_other, other)] = [false, false, true].map(copy);
    assert_eq!(of(&one), of(&same));
    assert_ne!(of(&one), of(&other));
    // Deltas are no part of what is tuned.
    let (id, _) = one.weights().iter().find(|(id, _)| id.block == Some(1)).unwrap();
    assert_eq!(of(&nudged(&one, id)), of(&one));
}
