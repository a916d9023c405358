//! The settings in GGUF metadata under the names that `config.json` gives them.

use std::collections::BTreeMap;
use std::path::Path;

use retcon_kernels::stored::Stored;
use serde_json::{Map, Value as Json, json};

use super::value::{Metadata, Value};
use crate::checkpoint::Config;
use crate::error::{Error, Result};

/// Settings that only need another name. The left ones follow the architecture's name and a dot.
///
/// Source: the key tables of gguf-py's `constants.py`.
const NAMES: &[(&str, &str)] = &[
    ("attention.causal", "is_decoder"),
    ("attention.clamp_kqv", "clip_qkv"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_epsilon", "layer_norm_eps"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.scale", "attention_multiplier"),
    ("attention.sliding_window", "sliding_window"),
    ("attention.sliding_window_pattern", "sliding_window_pattern"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("embedding_scale", "embedding_multiplier"),
    ("expert_count", "num_local_experts"),
    ("expert_used_count", "num_experts_per_tok"),
    ("feed_forward_length", "intermediate_size"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("logit_scale", "logit_scale"),
    ("residual_scale", "residual_multiplier"),
    ("rope.dimension_count", "rotary_dim"),
    ("rope.freq_base", "rope_theta"),
    ("rope.freq_base_swa", "rope_local_base_freq"),
    ("use_parallel_residual", "use_parallel_residual"),
];

/// Settings of the tokenizer that `config.json` repeats.
const TOKENS: &[(&str, &str)] = &[
    ("tokenizer.ggml.bos_token_id", "bos_token_id"),
    ("tokenizer.ggml.eos_token_id", "eos_token_id"),
    ("tokenizer.ggml.padding_token_id", "pad_token_id"),
    ("tokenizer.ggml.token_type_count", "type_vocab_size"),
];

/// What `rope_scaling` holds; the left names follow `rope.scaling.`.
const SCALING: &[(&str, &str)] = &[
    ("type", "rope_type"),
    ("factor", "factor"),
    ("original_context_length", "original_max_position_embeddings"),
    ("attn_factor", "attention_factor"),
    ("yarn_beta_fast", "beta_fast"),
    ("yarn_beta_slow", "beta_slow"),
];

/// The settings of the file at `path`.
///
/// # Errors
/// [`Error::BadHeader`] where the file doesn't say of which architecture its model is.
pub(crate) fn config(
    path: &Path,
    metadata: &Metadata,
    tensors: &BTreeMap<String, Stored>,
) -> Result<Config> {
    let architecture = metadata.text("general.architecture").ok_or_else(|| {
        Error::header(path)("there is no `general.architecture`, so no model in this file")
    })?;
    let mut values = Map::new();
    values.insert("model_type".into(), json!(architecture));
    for (theirs, ours) in NAMES {
        rename(metadata, &format!("{architecture}.{theirs}"), ours, &mut values);
    }
    for (theirs, ours) in TOKENS {
        rename(metadata, theirs, ours, &mut values);
    }
    if let Some(scaling) = scaling(metadata, architecture, tensors) {
        values.insert("rope_scaling".into(), Json::Object(scaling));
    }
    derive_rotary_fraction(&mut values);
    if let Some(n) = n_vocab(metadata, architecture, tensors) {
        values.insert("vocab_size".into(), json!(n));
    }
    values.insert("tie_word_embeddings".into(), json!(!tensors.contains_key("output.weight")));
    Ok(Config::new(path, values))
}

fn rename(metadata: &Metadata, theirs: &str, ours: &str, values: &mut Map<String, Json>) {
    if let Some(value) = metadata.get(theirs).and_then(json) {
        values.insert(ours.into(), value);
    }
}

/// A value of metadata in JSON. A list with one number per block that are all the same is that
/// number, as only few architectures have blocks that differ.
fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Unsigned(n) => json!(n),
        Value::Signed(n) => json!(n),
        Value::Float(x) => json!(x),
        Value::Bool(answer) => json!(answer),
        Value::Text(text) => json!(text),
        Value::List(list) => {
            let values = list.values().map(|value| json(&value)).collect::<Option<Vec<_>>>()?;
            match values.split_first() {
                Some((first, rest)) if rest.iter().all(|value| value == first) => first.clone(),
                _ => Json::Array(values),
            }
        }
    })
}

fn scaling(
    metadata: &Metadata,
    architecture: &str,
    tensors: &BTreeMap<String, Stored>,
) -> Option<Map<String, Json>> {
    let mut scaling = Map::new();
    for (theirs, ours) in SCALING {
        rename(metadata, &format!("{architecture}.rope.scaling.{theirs}"), ours, &mut scaling);
    }
    if !scaling.contains_key("factor") {
        // As it was called before there were kinds.
        rename(metadata, &format!("{architecture}.rope.scale_linear"), "factor", &mut scaling);
    }
    // These stretch by themselves, whatever else is said.
    let [short, long] = ["rope_factors_short.weight", "rope_factors_long.weight"];
    if tensors.contains_key(short) || tensors.contains_key(long) {
        scaling.insert("rope_type".into(), json!("longrope"));
        if let Some(factors) = tensors.get(short) {
            scaling.insert("short_factor".into(), json!(factors.to_vec_f32()));
        }
        return Some(scaling);
    }
    if scaling.get("rope_type") == Some(&json!("yarn")) {
        scaling.entry("factor").or_insert_with(|| json!(1.0));
        // In llama.cpp it multiplies what it takes the place of in folders.
        if let Some(times) = scaling.remove("attention_factor") {
            scaling.insert("attention_factor_times".into(), times);
        }
    }
    let has_factor = scaling.get("factor").and_then(Json::as_f64).is_some_and(|by| by != 0.0);
    // What llama.cpp takes it to be where nothing is said; without a factor it comes to nothing.
    let kind = scaling.entry("rope_type").or_insert_with(|| json!("linear"));
    let is_scaled = kind != "none" && (kind != "linear" || has_factor);
    is_scaled.then_some(scaling)
}

/// Some families give the rotated part of a head as a width, others as a fraction; here, as both.
fn derive_rotary_fraction(values: &mut Map<String, Json>) {
    let number = |key| values.get(key).and_then(Json::as_f64);
    let Some(rotary) = number("rotary_dim") else { return };
    let head = number("head_dim").or_else(|| {
        Some(number("hidden_size")? / number("num_attention_heads").filter(|n| *n > 0.0)?)
    });
    if let Some(head) = head.filter(|head| rotary <= *head) {
        values.insert("partial_rotary_factor".into(), json!(rotary / head));
    }
}

/// The rows of the embedding, which can be more than the tokens that have a text.
fn n_vocab(
    metadata: &Metadata,
    architecture: &str,
    tensors: &BTreeMap<String, Stored>,
) -> Option<u64> {
    let embedding = tensors.get("token_embd.weight").and_then(|stored| stored.shape().first());
    embedding
        .map(|&rows| rows as u64)
        .or_else(|| metadata.count(&format!("{architecture}.vocab_size")))
        .or_else(|| metadata.list("tokenizer.ggml.tokens").map(|tokens| tokens.len() as u64))
}
