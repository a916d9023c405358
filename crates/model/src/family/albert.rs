//! ALBERT: BERT with narrow embeddings, and few stored blocks, each of which runs several times.

use super::bert::{encoder, unembed_bias};
use super::{Family, plain};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Groups, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "albert",
    covers: "AlbertForMaskedLM, and AlbertModel with a fresh head",
    model_types: &["albert"],
    spec,
    layout,
};

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    if checkpoint.container == Container::Gguf {
        let expected = "one of those that GGUF files have names for";
        return Err(config.bad("general.architecture", expected, FAMILY.name));
    }
    let bert = encoder(config, "gelu_new")?;
    let groups = groups(config, bert.n_blocks)?;
    let n_blocks = bert.n_blocks * groups.n_inner;
    Ok(Spec {
        family: FAMILY.name,
        n_blocks,
        groups: Some(groups),
        factorized: Some(between(config, "embedding_size", 128, usize::MAX)?),
        windows: vec![None; n_blocks],
        attention_scale: vec![bert.attention_scale[0]; n_blocks],
        ..bert
    })
}

/// How the groups are run, of which there are no more than `n_rounds`.
fn groups(config: &Config, n_rounds: usize) -> Result<Groups> {
    /// Published models have one; a hundred times what the paper tried is no model.
    const MOST_INNER: usize = 100;
    Ok(Groups {
        n_groups: between(config, "num_hidden_groups", 1, n_rounds)?,
        n_inner: between(config, "inner_group_num", 1, MOST_INNER)?,
    })
}

/// The setting `key`, or else `default`, from 1 to `most`.
fn between(config: &Config, key: &str, default: usize, most: usize) -> Result<usize> {
    match config.get_or(key, default)? {
        n if (1..=most).contains(&n) => Ok(n),
        n => Err(config.bad(key, format!("from 1 to {most}"), n.to_string())),
    }
}

fn layout(spec: &Spec, _: Container) -> Layout {
    let mut rules = plain(&[
        (Part::Embed, "embeddings.word_embeddings.weight"),
        (Part::Position, "embeddings.position_embeddings.weight"),
        (Part::Segment, "embeddings.token_type_embeddings.weight"),
        (Part::EmbedNorm, "embeddings.LayerNorm.weight"),
        (Part::EmbedNormBias, "embeddings.LayerNorm.bias"),
        (Part::EmbedMap, "encoder.embedding_hidden_mapping_in.weight"),
        (Part::EmbedMapBias, "encoder.embedding_hidden_mapping_in.bias"),
        (Part::Q, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.query.weight"),
        (Part::QBias, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.query.bias"),
        (Part::K, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.key.weight"),
        (Part::KBias, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.key.bias"),
        (Part::V, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.value.weight"),
        (Part::VBias, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.value.bias"),
        (Part::O, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.dense.weight"),
        (Part::OBias, "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.dense.bias"),
        (
            Part::AttnNorm,
            "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.LayerNorm.weight",
        ),
        (
            Part::AttnNormBias,
            "encoder.albert_layer_groups.{g}.albert_layers.{i}.attention.LayerNorm.bias",
        ),
        (Part::Up, "encoder.albert_layer_groups.{g}.albert_layers.{i}.ffn.weight"),
        (Part::UpBias, "encoder.albert_layer_groups.{g}.albert_layers.{i}.ffn.bias"),
        (Part::Down, "encoder.albert_layer_groups.{g}.albert_layers.{i}.ffn_output.weight"),
        (Part::DownBias, "encoder.albert_layer_groups.{g}.albert_layers.{i}.ffn_output.bias"),
        (
            Part::MlpNorm,
            "encoder.albert_layer_groups.{g}.albert_layers.{i}.full_layer_layer_norm.weight",
        ),
        (
            Part::MlpNormBias,
            "encoder.albert_layer_groups.{g}.albert_layers.{i}.full_layer_layer_norm.bias",
        ),
        (Part::HeadDense, "/predictions.dense.weight"),
        (Part::HeadDenseBias, "/predictions.dense.bias"),
        (Part::HeadNorm, "/predictions.LayerNorm.weight"),
        (Part::HeadNormBias, "/predictions.LayerNorm.bias"),
        (Part::Unembed, "/predictions.decoder.weight"),
        (Part::UnembedBias, unembed_bias(spec, "/predictions.bias", "/predictions.decoder.bias")),
    ]);
    rules.retain(|rule| spec.has(rule.part));
    Layout {
        prefixes: &["albert.", ""],
        spellings: &[("predictions.bias", "predictions.decoder.bias")],
        rules,
        copies: &[
            (Part::Embed, "predictions.decoder.weight"),
            (Part::UnembedBias, "predictions.decoder.bias"),
        ],
        architecture: Some("AlbertForMaskedLM"),
        ignored: &[
            "position_ids",
            "pooler.",
            "sop_classifier.",
            "predictions.decoder.",
            "predictions.bias",
        ],
    }
}
