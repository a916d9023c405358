//! Phi 3 and 4: Llama's decoder, where queries, keys and values share a tensor, and gate and
//! up-projection another.

use serde_json::json;

use super::positions::{rotary, rotated};
use super::{Family, Sizes, complete, llama, windows};
use crate::checkpoint::{Checkpoint, Container};
use crate::error::Result;
use crate::layout::{Form, Layout, Rule};
use crate::spec::{Norm, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family =
    Family { name: "phi3", covers: "Phi 3, 3.5 and 4", model_types: &["phi3"], spec, layout };

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let checkpoint = &*complete(checkpoint, &json!({"original_max_position_embeddings": 4096}));
    let config = &checkpoint.config;
    let rotary = rotary(config, Sizes::read(config)?.d_head, rotated(config, 1.0)?)?;
    let spec = llama::decoder_with(checkpoint, FAMILY.name, rotary)?;
    Ok(Spec {
        windows: windows(config.find("sliding_window")?, &vec![true; spec.n_blocks]),
        norm: Norm::Rms { eps: config.get_or("rms_norm_eps", 1e-5)? },
        ..spec
    })
}

fn layout(spec: &Spec, container: Container) -> Layout {
    let (qkv, gate_up) = match container {
        Container::HuggingFace => {
            ("layers.{b}.self_attn.qkv_proj.weight", "layers.{b}.mlp.gate_up_proj.weight")
        }
        Container::Gguf => ("blk.{b}.attn_qkv.weight", "blk.{b}.ffn_up.weight"),
    };
    let (d_q, d_kv) = (spec.n_heads * spec.d_head, spec.n_kv_heads * spec.d_head);
    let rows = |start| Form::Rows { start, of: d_q + 2 * d_kv };
    let half = |index| Form::Share { index, of: 2 };
    let mut layout = llama::layout(spec, container);
    for rule in &mut layout.rules {
        let (name, form) = match rule.part {
            Part::Q => (qkv, rows(0)),
            Part::K => (qkv, rows(d_q)),
            Part::V => (qkv, rows(d_q + d_kv)),
            Part::Gate => (gate_up, half(0)),
            Part::Up => (gate_up, half(1)),
            _ => continue,
        };
        *rule = Rule::new(rule.part, name, form);
    }
    layout
}
