//! Llama 2 and 3, Mistral, SmolLM2 and 3: RMS norm, rotary positions, grouped heads, gated MLP.

use retcon_kernels::rope::Pairing;
use serde_json::{Value, json};

use super::positions::{rotary, rotated};
use super::{
    Family, Sizes, WINDOW, activation, complete, gguf_decoder, named_local, one_each, plain,
    switchable, windows,
};
use crate::checkpoint::{Checkpoint, Config, Container, OUTER};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Biases, Head, Norm, Position, Rotary, Scaling, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family = Family {
    name: "llama",
    covers: "Llama 2 and 3, Mistral, SmolLM2 and 3",
    model_types: &["llama", "mistral", "smollm3"],
    spec,
    layout,
};

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let checkpoint = &*complete(checkpoint, &usual(&checkpoint.config)?);
    let config = &checkpoint.config;
    let mut spec = decoder(checkpoint, FAMILY.name)?;
    spec.biases = biases(checkpoint)?;
    // Both go by one name in GGUF files. Llama has no window, whatever its settings say.
    if checkpoint.container == Container::Gguf || config.get::<String>("model_type")? == "mistral" {
        let local = named_local(config, spec.n_blocks)?;
        let local = local.unwrap_or_else(|| vec![true; spec.n_blocks]);
        spec.windows = windows(switchable(checkpoint, "sliding_window", WINDOW)?, &local);
    }
    unrotate(config, &mut spec)?;
    // The converter to GGUF reorders the rows of queries and keys so that pairs lie together.
    if let (Container::Gguf, Position::Rotary(blocks)) = (checkpoint.container, &mut spec.position)
    {
        blocks.iter_mut().for_each(|rotary| rotary.pairing = Pairing::Adjacent);
    }
    Ok(spec)
}

/// What folders leave out as a rule: models around one write down only what is other than this.
fn usual(config: &Config) -> Result<Value> {
    let is_inside = config.value(OUTER).is_some();
    Ok(match config.get::<String>("model_type")?.as_str() {
        "smollm3" => json!({"rope_theta": 2e6, "tie_word_embeddings": true}),
        "llama" if is_inside => json!({
            "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008,
            "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048,
        }),
        "mistral" if is_inside => json!({
            "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "max_position_embeddings": 131_072,
        }),
        _ => Value::Null,
    })
}

/// SmolLM3 knows no positions in one of four blocks, or in those that a list has as 0.
fn unrotate(config: &Config, spec: &mut Spec) -> Result<()> {
    const KEY: &str = "no_rope_layers";
    let Position::Rotary(blocks) = &mut spec.position else { return Ok(()) };
    if config.get::<String>("model_type")? != "smollm3" {
        return Ok(());
    }
    if config.get_or("use_sliding_window", false)? {
        return Err(config.bad("use_sliding_window", "false", "true"));
    }
    let every: usize = config.get_or("no_rope_layer_interval", 4)?;
    let is_rotated = match config.find::<Vec<usize>>(KEY)? {
        Some(list) => list,
        None => (1..=blocks.len()).map(|nth| usize::from(!nth.is_multiple_of(every))).collect(),
    };
    one_each(config, KEY, is_rotated.len(), blocks.len())?;
    for (rotary, is_rotated) in blocks.iter_mut().zip(is_rotated) {
        rotary.width *= is_rotated.min(1);
    }
    Ok(())
}

/// GGUF files tell by their tensors alone which biases there are.
fn biases(checkpoint: &Checkpoint) -> Result<Biases> {
    let config = &checkpoint.config;
    let has = |name: &str| checkpoint.tensors.contains_key(name);
    Ok(match checkpoint.container {
        Container::HuggingFace => {
            let bias = config.get_or("attention_bias", false)?;
            Biases { qkv: bias, o: bias, mlp: config.get_or("mlp_bias", false)? }
        }
        Container::Gguf => Biases {
            qkv: has("blk.0.attn_q.bias"),
            o: has("blk.0.attn_output.bias"),
            mlp: has("blk.0.ffn_up.bias"),
        },
    })
}

/// The decoder that Llama made common and others vary; without a window.
pub(super) fn decoder(checkpoint: &Checkpoint, family: &'static str) -> Result<Spec> {
    let config = &checkpoint.config;
    let partial = match checkpoint.container {
        // In transformers these models rotate all of a head, whatever the settings say.
        Container::HuggingFace => 1.0,
        Container::Gguf => rotated(config, 1.0)?,
    };
    let mut rotary = rotary(config, Sizes::read(config)?.d_head, partial)?;
    if let Some(factors) = checkpoint.tensors.get("rope_freqs.weight") {
        rotary.scaling = Scaling::Factors(factors.to_vec_f32().iter().map(|&f| f.into()).collect());
    }
    decoder_with(checkpoint, family, rotary)
}

/// As [`decoder`], with another rotary embedding.
pub(super) fn decoder_with(
    checkpoint: &Checkpoint,
    family: &'static str,
    rotary: Rotary,
) -> Result<Spec> {
    let config = &checkpoint.config;
    let sizes = Sizes::read(config)?;
    Ok(Spec {
        d_mlp: config.get("intermediate_size")?,
        norm: Norm::Rms { eps: config.get_or("rms_norm_eps", 1e-6)? },
        position: Position::Rotary(vec![rotary; sizes.n_blocks]),
        activation: activation(config, "hidden_act", "silu")?,
        gated: true,
        head: Head::Plain { tied: config.get_or("tie_word_embeddings", false)?, bias: false },
        ..sizes.decoder(family)
    })
}

const TIED: &[(&str, &str)] = &[("model.embed_tokens.weight", "lm_head.weight")];

/// Where its weights lie; those that a model lacks are left out by the spec.
pub(super) fn layout(spec: &Spec, container: Container) -> Layout {
    let mut rules = match container {
        Container::HuggingFace => plain(&[
            (Part::Embed, "embed_tokens.weight"),
            (Part::AttnNorm, "layers.{b}.input_layernorm.weight"),
            (Part::Q, "layers.{b}.self_attn.q_proj.weight"),
            (Part::QBias, "layers.{b}.self_attn.q_proj.bias"),
            (Part::K, "layers.{b}.self_attn.k_proj.weight"),
            (Part::KBias, "layers.{b}.self_attn.k_proj.bias"),
            (Part::V, "layers.{b}.self_attn.v_proj.weight"),
            (Part::VBias, "layers.{b}.self_attn.v_proj.bias"),
            (Part::QNorm, "layers.{b}.self_attn.q_norm.weight"),
            (Part::KNorm, "layers.{b}.self_attn.k_norm.weight"),
            (Part::O, "layers.{b}.self_attn.o_proj.weight"),
            (Part::OBias, "layers.{b}.self_attn.o_proj.bias"),
            (Part::MlpNorm, "layers.{b}.post_attention_layernorm.weight"),
            (Part::Gate, "layers.{b}.mlp.gate_proj.weight"),
            (Part::GateBias, "layers.{b}.mlp.gate_proj.bias"),
            (Part::Up, "layers.{b}.mlp.up_proj.weight"),
            (Part::UpBias, "layers.{b}.mlp.up_proj.bias"),
            (Part::Down, "layers.{b}.mlp.down_proj.weight"),
            (Part::DownBias, "layers.{b}.mlp.down_proj.bias"),
            (Part::FinalNorm, "norm.weight"),
            (Part::Unembed, "/lm_head.weight"),
        ]),
        Container::Gguf => {
            let mut rules = gguf_decoder();
            rules.extend(plain(&[
                (Part::Q, "blk.{b}.attn_q.weight"),
                (Part::QBias, "blk.{b}.attn_q.bias"),
                (Part::K, "blk.{b}.attn_k.weight"),
                (Part::KBias, "blk.{b}.attn_k.bias"),
                (Part::V, "blk.{b}.attn_v.weight"),
                (Part::VBias, "blk.{b}.attn_v.bias"),
                (Part::QNorm, "blk.{b}.attn_q_norm.weight"),
                (Part::KNorm, "blk.{b}.attn_k_norm.weight"),
                (Part::OBias, "blk.{b}.attn_output.bias"),
                (Part::Gate, "blk.{b}.ffn_gate.weight"),
                (Part::GateBias, "blk.{b}.ffn_gate.bias"),
                (Part::UpBias, "blk.{b}.ffn_up.bias"),
                (Part::DownBias, "blk.{b}.ffn_down.bias"),
                (Part::Unembed, "output.weight"),
            ]));
            rules
        }
    };
    rules.retain(|rule| spec.has(rule.part));
    Layout {
        prefixes: match container {
            Container::HuggingFace => &["model.", ""],
            Container::Gguf => &[""],
        },
        // Where they are the same, a file may have either.
        spellings: if spec.head.is_tied() { TIED } else { &[] },
        rules,
        copies: &[(Part::Embed, "lm_head.weight")],
        architecture: None,
        ignored: &["rotary_emb.inv_freq", "rope_freqs.weight", "rope_factors_", "lm_head.weight"],
    }
}
