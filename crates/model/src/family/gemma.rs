//! Gemma 1, 2 and 3: Llama's decoder with scaled embeddings and norms that multiply by one more than
//! they store; from the second on with norms around both branches, and blocks that see a window
//! between those that see all.

use serde_json::{Value, json};

use super::positions::localize;
use super::{
    Family, WINDOW, activation, complete, llama, local_by_pattern, named_local, plain, switchable,
    windows,
};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::{Form, Layout};
use crate::spec::{Biases, Head, NormOrder, Position, QkNorm, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "gemma",
    covers: "Gemma 1, 2 and 3",
    // GGUF files name the third as `config.json` names the one with images.
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
    let generation = generation(checkpoint)?;
    let usual = match generation {
        // The files of those with images leave out most (`Gemma3TextConfig`).
        Generation::Third => json!({
            "vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4,
            "head_dim": 256, "max_position_embeddings": 131_072, "rope_theta": 1e6,
        }),
        _ => Value::Null,
    };
    let checkpoint = &*complete(checkpoint, &usual);
    let config = &checkpoint.config;
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
    if let (Generation::Third, Position::Rotary(blocks)) = (generation, &mut spec.position) {
        localize(config, blocks, &local, 1e4)?;
    }
    Ok(spec)
}

fn generation(checkpoint: &Checkpoint) -> Result<Generation> {
    let config = &checkpoint.config;
    match config.get::<String>("model_type")?.as_str() {
        "gemma" => Ok(Generation::First),
        "gemma2" => Ok(Generation::Second),
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
