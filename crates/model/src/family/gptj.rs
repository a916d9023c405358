//! GPT-J: attention and MLP side by side behind one norm, and a rotary embedding of neighboring
//! numbers in a part of each head.

use retcon_kernels::rope::Pairing;

use super::{Family, Sizes, activation, plain};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Biases, Head, Norm, Position, Residual, Rotary, Scaling, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family =
    Family { name: "gptj", covers: "GPT-J 6B", model_types: &["gptj"], spec, layout };

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    if checkpoint.container == Container::Gguf {
        let expected = "one of those that llama.cpp runs";
        return Err(config.bad("general.architecture", expected, FAMILY.name));
    }
    let sizes = Sizes::read(config)?;
    let rotary = Rotary {
        theta: 1e4,
        width: rotary_width(config, sizes.d_head)?,
        pairing: Pairing::Adjacent,
        scaling: Scaling::None,
        amplitude: 1.0,
    };
    Ok(Spec {
        d_mlp: config.get_or("intermediate_size", 4 * sizes.d_model)?,
        norm: Norm::Layer { eps: config.get_or("layer_norm_epsilon", 1e-5)? },
        residual: Residual::Shared,
        position: Position::Rotary(vec![rotary; sizes.n_blocks]),
        activation: activation(config, "activation_function", "gelu_new")?,
        biases: Biases { mlp: true, ..Biases::default() },
        head: Head::Plain { tied: config.get_or("tie_word_embeddings", false)?, bias: true },
        ..sizes.decoder(FAMILY.name)
    })
}

fn rotary_width(config: &Config, d_head: usize) -> Result<usize> {
    match config.get_or("rotary_dim", 64)? {
        width if width <= d_head && width % 2 == 0 => Ok(width),
        width => {
            let expected = format!("an even number up to the {d_head} of a head");
            Err(config.bad("rotary_dim", expected, width.to_string()))
        }
    }
}

fn layout(spec: &Spec, _: Container) -> Layout {
    let mut rules = plain(&[
        (Part::Embed, "wte.weight"),
        (Part::AttnNorm, "h.{b}.ln_1.weight"),
        (Part::AttnNormBias, "h.{b}.ln_1.bias"),
        (Part::Q, "h.{b}.attn.q_proj.weight"),
        (Part::K, "h.{b}.attn.k_proj.weight"),
        (Part::V, "h.{b}.attn.v_proj.weight"),
        (Part::O, "h.{b}.attn.out_proj.weight"),
        (Part::Up, "h.{b}.mlp.fc_in.weight"),
        (Part::UpBias, "h.{b}.mlp.fc_in.bias"),
        (Part::Down, "h.{b}.mlp.fc_out.weight"),
        (Part::DownBias, "h.{b}.mlp.fc_out.bias"),
        (Part::FinalNorm, "ln_f.weight"),
        (Part::FinalNormBias, "ln_f.bias"),
        (Part::Unembed, "/lm_head.weight"),
        (Part::UnembedBias, "/lm_head.bias"),
    ]);
    rules.retain(|rule| spec.has(rule.part));
    Layout {
        prefixes: &["transformer.", ""],
        spellings: &[],
        rules,
        copies: &[(Part::Embed, "lm_head.weight")],
        architecture: None,
        ignored: &["attn.bias", "attn.masked_bias", "lm_head.weight"],
    }
}
