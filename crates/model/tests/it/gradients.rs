//! Gradients through a whole model equal the reference implementation's.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_kernels::loss::cross_entropy;
use retcon_model::checkpoint::safetensors;
use retcon_model::{Batch, WeightId};

use crate::{expected, fixture, ids, model};

/// Which weight each of the reference's gradients is of.
const LLAMA: &[(&str, &str)] = &[
    ("model.layers.1.mlp.down_proj.weight", "blocks.1.mlp.down"),
    ("model.layers.1.self_attn.q_proj.weight", "blocks.1.attn.q"),
    ("model.layers.1.input_layernorm.weight", "blocks.1.attn.norm"),
    ("model.embed_tokens.weight", "embed"),
];

const GEMMA2: &[(&str, &str)] = &[
    ("model.layers.1.mlp.down_proj.weight", "blocks.1.mlp.down"),
    ("model.layers.0.self_attn.k_proj.weight", "blocks.0.attn.k"),
    ("model.layers.0.post_attention_layernorm.weight", "blocks.0.attn.post_norm"),
    ("model.embed_tokens.weight", "embed"),
];

const BERT: &[(&str, &str)] = &[
    ("bert.encoder.layer.1.output.dense.weight", "blocks.1.mlp.down"),
    ("bert.encoder.layer.1.attention.self.query.weight", "blocks.1.attn.q"),
    ("bert.encoder.layer.1.attention.output.LayerNorm.gamma", "blocks.1.attn.norm"),
    ("bert.embeddings.word_embeddings.weight", "embed"),
];

/// Sums over the four blocks that run with these weights.
const ALBERT: &[(&str, &str)] = &[
    ("albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight", "blocks.0.mlp.down"),
    (
        "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight",
        "blocks.0.attn.q",
    ),
    (
        "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.weight",
        "blocks.0.attn.norm",
    ),
    ("albert.encoder.embedding_hidden_mapping_in.weight", "embed_map"),
    ("albert.embeddings.word_embeddings.weight", "embed"),
];

fn check(name: &str, weights: &[(&str, &str)]) {
    let (model, expected) = (model(name), expected(name));
    let grads = &expected["grads"];
    let tokens = ids(&expected["tokens"][grads["sequence"].as_u64().unwrap() as usize]);
    let (rows, targets) = (ids(&grads["positions"]), ids(&grads["targets"]));
    let weight_ids: Vec<WeightId> = weights.iter().map(|(_, id)| id.parse().unwrap()).collect();
    let unknown = |&id: &WeightId| {
        let weight = model.weight(id).unwrap().to_tensor(&Device::Cpu).unwrap();
        (id, Var::unknown(weight.contiguous().unwrap()))
    };
    let unknowns: BTreeMap<WeightId, Var> = weight_ids.iter().map(unknown).collect();
    let open = model.with_unknowns(&unknowns).unwrap();
    let x = open.run(&Batch::new([&tokens]).unwrap(), &rows, &mut ()).unwrap();
    let bias = open.head_bias().unwrap();
    let head = open.head(bias.as_ref()).unwrap();
    let shares = vec![1.0 / rows.len() as f64; rows.len()];
    let scored = cross_entropy(&x, &head, &targets, &shares).unwrap();
    let loss = f64::from(scored.loss.value().to_scalar::<f32>().unwrap());
    assert!((loss - grads["loss"].as_f64().unwrap()).abs() < 1e-4, "{name}: {loss}");

    let vars: Vec<&Var> = weight_ids.iter().map(|id| &unknowns[id]).collect();
    let found = scored.loss.gradients(&vars).unwrap();
    let file = safetensors::open(&fixture(name).join("expected_grads.safetensors")).unwrap().file;
    for ((theirs, ours), found) in weights.iter().zip(&found) {
        let stored = file.get(theirs).unwrap_or_else(|| {
            let names: Vec<_> = file.tensors().map(|(name, _)| name.to_owned()).collect();
            panic!("{theirs} among {names:?}")
        });
        let expected = stored.to_tensor(DType::F32, &Device::Cpu).unwrap();
        let error = norm(&found.sub(&expected).unwrap()) / norm(&expected);
        // Both are f32, and a gradient sums more terms than a logit.
        assert!(error < 1e-4, "{name}, {ours}: {error:e}");
    }
}

fn norm(tensor: &Tensor) -> f64 {
    let squares = tensor.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap();
    squares.to_scalar::<f64>().unwrap().sqrt()
}

#[test]
fn llama_gradients_equal_the_reference() {
    check("llama", LLAMA);
}

#[test]
fn gemma2_gradients_equal_the_reference() {
    check("gemma2", GEMMA2);
}

#[test]
fn bert_gradients_equal_the_reference() {
    check("bert", BERT);
}

#[test]
fn gradients_of_shared_weights_are_sums_as_the_reference_has_them() {
    check("albert", ALBERT);
}
