//! GPT-2: layer norm, learned positions, and weights that lie transposed and fused.

use super::{Family, QKV, QKV_BIASES, Sizes, activation, fused, gguf_decoder, plain};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::{Form, Layout, Rule};
use crate::spec::{Biases, Head, Norm, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "gpt2",
    covers: "GPT-2 of every size, DistilGPT-2",
    model_types: &["gpt2"],
    spec,
    layout,
};

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    let sizes = Sizes::read(config)?;
    Ok(Spec {
        attention_scale: attention_scale(config, &sizes)?,
        d_mlp: config.get_or("intermediate_size", 4 * sizes.d_model)?,
        norm: Norm::Layer { eps: config.get_or("layer_norm_epsilon", 1e-5)? },
        activation: activation(config, "activation_function", "gelu_new")?,
        biases: Biases { qkv: true, o: true, mlp: true },
        head: Head::Plain { tied: config.get_or("tie_word_embeddings", true)?, bias: false },
        ..sizes.decoder(FAMILY.name)
    })
}

/// What multiplies products of queries and keys, block by block: those of Stanford's CRFM get smaller
/// with depth.
fn attention_scale(config: &Config, sizes: &Sizes) -> Result<Vec<f64>> {
    let by_width = config.get_or("scale_attn_weights", true)?;
    let by_depth = config.get_or("scale_attn_by_inverse_layer_idx", false)?;
    let divisor = |block| {
        let of_width = if by_width { (sizes.d_head as f64).sqrt() } else { 1.0 };
        if by_depth { of_width * (block + 1) as f64 } else { of_width }
    };
    Ok((0..sizes.n_blocks).map(|block| divisor(block).recip()).collect())
}

fn layout(spec: &Spec, container: Container) -> Layout {
    let third = |index| Form::Share { index, of: 3 };
    let mut rules = match container {
        Container::HuggingFace => {
            let mut rules = plain(&[
                (Part::Embed, "wte.weight"),
                (Part::Position, "wpe.weight"),
                (Part::AttnNorm, "h.{b}.ln_1.weight"),
                (Part::AttnNormBias, "h.{b}.ln_1.bias"),
                (Part::OBias, "h.{b}.attn.c_proj.bias"),
                (Part::MlpNorm, "h.{b}.ln_2.weight"),
                (Part::MlpNormBias, "h.{b}.ln_2.bias"),
                (Part::UpBias, "h.{b}.mlp.c_fc.bias"),
                (Part::DownBias, "h.{b}.mlp.c_proj.bias"),
                (Part::FinalNorm, "ln_f.weight"),
                (Part::FinalNormBias, "ln_f.bias"),
                (Part::Unembed, "/lm_head.weight"),
            ]);
            // The `Conv1D` of the original keeps weights as [d_in, d_out].
            let conv1d = |part, name| Rule::new(part, name, Form::Transposed);
            rules.push(conv1d(Part::O, "h.{b}.attn.c_proj.weight"));
            rules.push(conv1d(Part::Up, "h.{b}.mlp.c_fc.weight"));
            rules.push(conv1d(Part::Down, "h.{b}.mlp.c_proj.weight"));
            rules.extend(fused("h.{b}.attn.c_attn.weight", QKV, |index| Form::TransposedShare {
                index,
                of: 3,
            }));
            rules.extend(fused("h.{b}.attn.c_attn.bias", QKV_BIASES, third));
            rules
        }
        Container::Gguf => {
            let mut rules = gguf_decoder();
            rules.extend(plain(&[
                (Part::Position, "position_embd.weight"),
                (Part::AttnNormBias, "blk.{b}.attn_norm.bias"),
                (Part::OBias, "blk.{b}.attn_output.bias"),
                (Part::MlpNormBias, "blk.{b}.ffn_norm.bias"),
                (Part::UpBias, "blk.{b}.ffn_up.bias"),
                (Part::DownBias, "blk.{b}.ffn_down.bias"),
                (Part::FinalNormBias, "output_norm.bias"),
                (Part::Unembed, "output.weight"),
            ]));
            rules.extend(fused("blk.{b}.attn_qkv.weight", QKV, third));
            rules.extend(fused("blk.{b}.attn_qkv.bias", QKV_BIASES, third));
            rules
        }
    };
    rules.retain(|rule| spec.has(rule.part));
    Layout {
        prefixes: match container {
            Container::HuggingFace => &["transformer.", ""],
            Container::Gguf => &[""],
        },
        spellings: &[],
        rules,
        copies: &[(Part::Embed, "lm_head.weight")],
        architecture: None,
        ignored: &["attn.bias", "attn.masked_bias", "lm_head.weight", "output.weight"],
    }
}
