//! BERT: an encoder that normalizes after each addition and predicts masked tokens.

use retcon_kernels::attention::Mask;

use super::{Family, Sizes, plain};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Biases, Head, Norm, NormOrder, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "bert",
    covers: "BertForMaskedLM, and BertModel with a fresh head",
    model_types: &["bert"],
    spec,
    layout,
};

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    if config.get_or("is_decoder", false)? {
        return Err(config.bad("is_decoder", "false, for an encoder", "true"));
    }
    encoder(config, "gelu")
}

/// An encoder of this kind, with `activation` where the config names none.
pub(super) fn encoder(config: &Config, activation: &str) -> Result<Spec> {
    let sizes = Sizes::read(config)?;
    let activation = super::activation(config, "hidden_act", activation)?;
    Ok(Spec {
        d_mlp: config.get("intermediate_size")?,
        mask: Mask::Bidirectional,
        norm: Norm::Layer { eps: config.get_or("layer_norm_eps", 1e-12)? },
        norm_order: NormOrder::Post,
        activation,
        biases: Biases { qkv: true, o: true, mlp: true },
        n_segments: n_segments(config)?,
        head: Head::MaskedLm { activation, tied: config.get_or("tie_word_embeddings", true)? },
        ..sizes.decoder(FAMILY.name)
    })
}

fn n_segments(config: &Config) -> Result<usize> {
    match config.get_or("type_vocab_size", 2)? {
        0 => Err(config.bad("type_vocab_size", "at least 1", "0")),
        n => Ok(n),
    }
}

/// The tensor of the bias of the logits: one that is tied to that of the decoder, as the decoder to the
/// embedding, or the decoder's own.
pub(super) fn unembed_bias(spec: &Spec, tied: &'static str, own: &'static str) -> &'static str {
    if spec.head.is_tied() { tied } else { own }
}

fn layout(spec: &Spec, container: Container) -> Layout {
    let mut rules = match container {
        Container::HuggingFace => plain(&[
            (Part::Embed, "embeddings.word_embeddings.weight"),
            (Part::Position, "embeddings.position_embeddings.weight"),
            (Part::Segment, "embeddings.token_type_embeddings.weight"),
            (Part::EmbedNorm, "embeddings.LayerNorm.weight"),
            (Part::EmbedNormBias, "embeddings.LayerNorm.bias"),
            (Part::Q, "encoder.layer.{b}.attention.self.query.weight"),
            (Part::QBias, "encoder.layer.{b}.attention.self.query.bias"),
            (Part::K, "encoder.layer.{b}.attention.self.key.weight"),
            (Part::KBias, "encoder.layer.{b}.attention.self.key.bias"),
            (Part::V, "encoder.layer.{b}.attention.self.value.weight"),
            (Part::VBias, "encoder.layer.{b}.attention.self.value.bias"),
            (Part::O, "encoder.layer.{b}.attention.output.dense.weight"),
            (Part::OBias, "encoder.layer.{b}.attention.output.dense.bias"),
            (Part::AttnNorm, "encoder.layer.{b}.attention.output.LayerNorm.weight"),
            (Part::AttnNormBias, "encoder.layer.{b}.attention.output.LayerNorm.bias"),
            (Part::Up, "encoder.layer.{b}.intermediate.dense.weight"),
            (Part::UpBias, "encoder.layer.{b}.intermediate.dense.bias"),
            (Part::Down, "encoder.layer.{b}.output.dense.weight"),
            (Part::DownBias, "encoder.layer.{b}.output.dense.bias"),
            (Part::MlpNorm, "encoder.layer.{b}.output.LayerNorm.weight"),
            (Part::MlpNormBias, "encoder.layer.{b}.output.LayerNorm.bias"),
            (Part::HeadDense, "/cls.predictions.transform.dense.weight"),
            (Part::HeadDenseBias, "/cls.predictions.transform.dense.bias"),
            (Part::HeadNorm, "/cls.predictions.transform.LayerNorm.weight"),
            (Part::HeadNormBias, "/cls.predictions.transform.LayerNorm.bias"),
            (Part::Unembed, "/cls.predictions.decoder.weight"),
            (
                Part::UnembedBias,
                unembed_bias(spec, "/cls.predictions.bias", "/cls.predictions.decoder.bias"),
            ),
        ]),
        Container::Gguf => plain(&[
            (Part::Embed, "token_embd.weight"),
            (Part::Position, "position_embd.weight"),
            (Part::Segment, "token_types.weight"),
            (Part::EmbedNorm, "token_embd_norm.weight"),
            (Part::EmbedNormBias, "token_embd_norm.bias"),
            (Part::Q, "blk.{b}.attn_q.weight"),
            (Part::QBias, "blk.{b}.attn_q.bias"),
            (Part::K, "blk.{b}.attn_k.weight"),
            (Part::KBias, "blk.{b}.attn_k.bias"),
            (Part::V, "blk.{b}.attn_v.weight"),
            (Part::VBias, "blk.{b}.attn_v.bias"),
            (Part::O, "blk.{b}.attn_output.weight"),
            (Part::OBias, "blk.{b}.attn_output.bias"),
            (Part::AttnNorm, "blk.{b}.attn_output_norm.weight"),
            (Part::AttnNormBias, "blk.{b}.attn_output_norm.bias"),
            (Part::Up, "blk.{b}.ffn_up.weight"),
            (Part::UpBias, "blk.{b}.ffn_up.bias"),
            (Part::Down, "blk.{b}.ffn_down.weight"),
            (Part::DownBias, "blk.{b}.ffn_down.bias"),
            (Part::MlpNorm, "blk.{b}.layer_output_norm.weight"),
            (Part::MlpNormBias, "blk.{b}.layer_output_norm.bias"),
            // Files of this kind hold encoders for embeddings, without this head.
            (Part::HeadDense, "cls.dense.weight"),
            (Part::HeadDenseBias, "cls.dense.bias"),
            (Part::HeadNorm, "cls.norm.weight"),
            (Part::HeadNormBias, "cls.norm.bias"),
            (Part::UnembedBias, "cls.output.bias"),
        ]),
    };
    rules.retain(|rule| spec.has(rule.part));
    Layout {
        prefixes: match container {
            Container::HuggingFace => &["bert.", ""],
            Container::Gguf => &[""],
        },
        spellings: &[
            ("LayerNorm.weight", "LayerNorm.gamma"),
            ("LayerNorm.bias", "LayerNorm.beta"),
            ("cls.predictions.bias", "cls.predictions.decoder.bias"),
        ],
        rules,
        copies: &[
            (Part::Embed, "cls.predictions.decoder.weight"),
            (Part::UnembedBias, "cls.predictions.decoder.bias"),
        ],
        architecture: Some("BertForMaskedLM"),
        ignored: &[
            "position_ids",
            "pooler.",
            "seq_relationship.",
            "predictions.decoder.",
            "predictions.bias",
        ],
    }
}
