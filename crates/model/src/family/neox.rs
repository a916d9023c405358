//! GPT-NeoX and Pythia: attention and MLP side by side, each behind its norm, and queries, keys and
//! values that lie in one tensor, head by head.

use super::positions::{rotary, rotated};
use super::{Family, QKV, QKV_BIASES, Sizes, activation, fused, gguf_decoder, plain};
use crate::checkpoint::{Checkpoint, Container};
use crate::error::Result;
use crate::layout::{Form, Layout};
use crate::spec::{Biases, Head, Norm, Position, Residual, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "neox",
    covers: "GPT-NeoX 20B, Pythia of every size",
    // GGUF files name it without the line.
    model_types: &["gpt_neox", "gptneox"],
    spec,
    layout,
};

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    let sizes = Sizes::read(config)?;
    let bias = config.get_or("attention_bias", true)?;
    let parallel = config.get_or("use_parallel_residual", true)?;
    let rotary = rotary(config, sizes.d_head, rotated(config, 0.25)?)?;
    let tied = config.get_or("tie_word_embeddings", false)?;
    Ok(Spec {
        d_mlp: config.get("intermediate_size")?,
        norm: Norm::Layer { eps: config.get_or("layer_norm_eps", 1e-5)? },
        residual: if parallel { Residual::Parallel } else { Residual::Sequential },
        position: Position::Rotary(vec![rotary; sizes.n_blocks]),
        activation: activation(config, "hidden_act", "gelu")?,
        biases: Biases { qkv: bias, o: bias, mlp: true },
        head: Head::Plain { tied, bias: false },
        ..sizes.decoder(FAMILY.name)
    })
}

fn layout(spec: &Spec, container: Container) -> Layout {
    let mut rules = match container {
        Container::HuggingFace => {
            let mut rules = plain(&[
                (Part::Embed, "embed_in.weight"),
                (Part::AttnNorm, "layers.{b}.input_layernorm.weight"),
                (Part::AttnNormBias, "layers.{b}.input_layernorm.bias"),
                (Part::O, "layers.{b}.attention.dense.weight"),
                (Part::OBias, "layers.{b}.attention.dense.bias"),
                (Part::MlpNorm, "layers.{b}.post_attention_layernorm.weight"),
                (Part::MlpNormBias, "layers.{b}.post_attention_layernorm.bias"),
                (Part::Up, "layers.{b}.mlp.dense_h_to_4h.weight"),
                (Part::UpBias, "layers.{b}.mlp.dense_h_to_4h.bias"),
                (Part::Down, "layers.{b}.mlp.dense_4h_to_h.weight"),
                (Part::DownBias, "layers.{b}.mlp.dense_4h_to_h.bias"),
                (Part::FinalNorm, "final_layer_norm.weight"),
                (Part::FinalNormBias, "final_layer_norm.bias"),
                (Part::Unembed, "/embed_out.weight"),
            ]);
            let form = |index| Form::ShareOfEach { groups: spec.n_heads, index, of: 3 };
            rules.extend(fused("layers.{b}.attention.query_key_value.weight", QKV, form));
            rules.extend(fused("layers.{b}.attention.query_key_value.bias", QKV_BIASES, form));
            rules
        }
        Container::Gguf => {
            let mut rules = gguf_decoder();
            rules.extend(plain(&[
                (Part::AttnNormBias, "blk.{b}.attn_norm.bias"),
                (Part::OBias, "blk.{b}.attn_output.bias"),
                (Part::MlpNormBias, "blk.{b}.ffn_norm.bias"),
                (Part::UpBias, "blk.{b}.ffn_up.bias"),
                (Part::DownBias, "blk.{b}.ffn_down.bias"),
                (Part::FinalNormBias, "output_norm.bias"),
                (Part::Unembed, "output.weight"),
            ]));
            // The converter puts all queries first, then all keys, then all values.
            let form = |index| Form::Share { index, of: 3 };
            rules.extend(fused("blk.{b}.attn_qkv.weight", QKV, form));
            rules.extend(fused("blk.{b}.attn_qkv.bias", QKV_BIASES, form));
            rules
        }
    };
    rules.retain(|rule| spec.has(rule.part));
    Layout {
        prefixes: match container {
            Container::HuggingFace => &["gpt_neox.", ""],
            Container::Gguf => &[""],
        },
        spellings: &[("embed_out.weight", "lm_head.weight")],
        rules,
        copies: &[(Part::Embed, "embed_out.weight")],
        architecture: None,
        ignored: &["attention.bias", "attention.masked_bias", "rotary_emb.inv_freq", "embed_out."],
    }
}
