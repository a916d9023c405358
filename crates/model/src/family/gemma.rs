//! Gemma 1, 2 and 3: Llama's decoder with scaled embeddings and norms that multiply by one more than
//! they store; from the second on with norms around both branches, and blocks that see a window
//! between those that see all.

use super::{
    Family, WINDOW, activation, llama, local_by_pattern, named_local, plain, scaling, switchable,
    windows,
};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::{Form, Layout};
use crate::spec::{Biases, Head, NormOrder, Position, QkNorm, Scaling, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "gemma",
    covers: "Gemma 1 and 2, and the text models of Gemma 3",
    // GGUF files name the text model of the third as `config.json` names the one with images.
    model_types: &["gemma", "gemma2", "gemma3_text", "gemma3"],
    spec,
    layout,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Generation {
    First,
    Second,
    Third,
}

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    let generation = generation(checkpoint)?;
    if config.get_or("use_bidirectional_attention", false)? {
        return Err(config.bad("use_bidirectional_attention", "false, for a decoder", "true"));
    }
    let mut spec = llama::decoder(checkpoint, FAMILY.name)?;
    spec.embed_scale = (spec.d_model as f64).sqrt();
    spec.activation = activation(config, "hidden_activation", "gelu_pytorch_tanh")?;
    let bias = config.get_or("attention_bias", false)?;
    spec.biases = Biases { qkv: bias, o: bias, mlp: false };
    let tied = config.get_or("tie_word_embeddings", true)?;
    spec.head = Head::Plain { tied, bias: false };
    if generation == Generation::First {
        return Ok(spec);
    }
    spec.norm_order = NormOrder::Sandwich;
    if generation == Generation::Third {
        spec.qk_norm = QkNorm::Heads;
    }
    spec.attention_scale = vec![attention_scale(checkpoint, generation, &spec)?; spec.n_blocks];
    if generation == Generation::Second {
        spec.attention_cap = switchable(checkpoint, "attn_logit_softcapping", 50.0)?;
        spec.logit_cap = switchable(checkpoint, "final_logit_softcapping", 30.0)?;
    } else {
        spec.logit_cap = config.find("final_logit_softcapping")?;
    }
    let local = local(config, generation, spec.n_blocks)?;
    spec.windows = windows(switchable(checkpoint, "sliding_window", WINDOW)?, &local);
    if generation == Generation::Third {
        rotate(config, &local, &mut spec)?;
    }
    Ok(spec)
}

fn generation(checkpoint: &Checkpoint) -> Result<Generation> {
    let config = &checkpoint.config;
    match config.get::<String>("model_type")?.as_str() {
        "gemma" => Ok(Generation::First),
        "gemma2" => Ok(Generation::Second),
        "gemma3" if checkpoint.container == Container::HuggingFace => {
            let expected = "gemma3_text: a text model that stands alone, without one of images";
            Err(config.bad("model_type", expected, "gemma3"))
        }
        _ => Ok(Generation::Third),
    }
}

/// GGUF files don't say it. llama.cpp goes by the number of blocks, of which the models of 27 billion
/// weights have these, and differ.
fn attention_scale(checkpoint: &Checkpoint, generation: Generation, spec: &Spec) -> Result<f64> {
    let largest = match generation {
        Generation::First => None,
        Generation::Second => Some(46),
        Generation::Third => Some(62),
    };
    let usual = match largest {
        _ if checkpoint.container == Container::HuggingFace => 256,
        Some(n_blocks) if n_blocks == spec.n_blocks => spec.d_model / spec.n_heads,
        _ => spec.d_head,
    };
    let divisor = checkpoint.config.get_or("query_pre_attn_scalar", usual as f64)?;
    Ok(divisor.sqrt().recip())
}

/// Which blocks see a window: those that are named so, or all but the last of each few.
fn local(config: &Config, generation: Generation, n_blocks: usize) -> Result<Vec<bool>> {
    match (named_local(config, n_blocks)?, generation) {
        (Some(local), _) => Ok(local),
        (None, Generation::Third) => local_by_pattern(config, n_blocks, 6),
        (None, _) => Ok((1..=n_blocks).map(|nth| nth % 2 != 0).collect()),
    }
}

/// Local blocks have shorter wavelengths, which are stretched by themselves if at all.
fn rotate(config: &Config, local: &[bool], spec: &mut Spec) -> Result<()> {
    let Position::Rotary(blocks) = &mut spec.position else { return Ok(()) };
    let (theta, theta_local) =
        (config.get_or("rope_theta", 1e6)?, config.get_or("rope_local_base_freq", 1e4)?);
    let scaling_local = match config.section("rope_parameters")? {
        Some(parameters) => scaling(parameters.section("sliding_attention")?)?,
        None => Scaling::None,
    };
    for (rotary, local) in blocks.iter_mut().zip(local) {
        rotary.theta = if *local { theta_local } else { theta };
        if *local {
            rotary.scaling = scaling_local.clone();
        }
    }
    Ok(())
}

fn layout(spec: &Spec, container: Container) -> Layout {
    let mut layout = llama::layout(spec, container);
    let sandwich = spec.norm_order == NormOrder::Sandwich;
    match container {
        Container::HuggingFace => {
            if sandwich {
                layout.rules.retain(|rule| rule.part != Part::MlpNorm);
                layout.rules.extend(plain(&[
                    (Part::AttnPostNorm, "layers.{b}.post_attention_layernorm.weight"),
                    (Part::MlpNorm, "layers.{b}.pre_feedforward_layernorm.weight"),
                    (Part::MlpPostNorm, "layers.{b}.post_feedforward_layernorm.weight"),
                ]));
            }
            for rule in layout.rules.iter_mut().filter(|rule| rule.part.is_norm()) {
                rule.form = Form::LessOne;
            }
        }
        // The converter has added the one.
        Container::Gguf if sandwich => layout.rules.extend(plain(&[
            (Part::AttnPostNorm, "blk.{b}.post_attention_norm.weight"),
            (Part::MlpPostNorm, "blk.{b}.post_ffw_norm.weight"),
        ])),
        Container::Gguf => {}
    }
    layout
}
