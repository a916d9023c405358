//! OLMo 2: Llama's decoder, whose branches are normalized only after they have run, as are queries and
//! keys, all heads in one.

use super::positions::unstretched;
use super::{Family, llama, local_by_pattern, plain, windows};
use crate::checkpoint::{Checkpoint, Config, Container};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Biases, Norm, NormOrder, Position, QkNorm, Rotary, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family =
    Family { name: "olmo", covers: "OLMo 2", model_types: &["olmo2"], spec, layout };

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    let bias = config.get_or("attention_bias", false)?;
    let mut spec = Spec {
        norm: Norm::Rms { eps: config.get_or("rms_norm_eps", 1e-5)? },
        norm_order: NormOrder::Branch,
        qk_norm: QkNorm::Whole,
        biases: Biases { qkv: bias, o: bias, mlp: false },
        ..llama::decoder(checkpoint, FAMILY.name)?
    };
    if checkpoint.container == Container::Gguf {
        localize(config, &mut spec)?;
    }
    Ok(spec)
}

/// OLMo 3 goes by the name of OLMo 2 in GGUF files, where a window tells it. As llama.cpp has it, three
/// of four blocks see that only where no list says which, and their positions are never stretched.
fn localize(config: &Config, spec: &mut Spec) -> Result<()> {
    let local = local_by_pattern(config, spec.n_blocks, 4)?;
    spec.windows = windows(config.find("sliding_window")?, &local);
    let Position::Rotary(blocks) = &mut spec.position else { return Ok(()) };
    for (rotary, window) in blocks.iter_mut().zip(&spec.windows) {
        if window.is_some() {
            let theta = config.get_or("rope_local_base_freq", rotary.theta)?;
            *rotary = Rotary { theta, ..unstretched(rotary) };
        }
    }
    Ok(())
}

fn layout(spec: &Spec, container: Container) -> Layout {
    let mut layout = llama::layout(spec, container);
    layout.rules.extend(plain(match container {
        Container::HuggingFace => &[
            (Part::AttnPostNorm, "layers.{b}.post_attention_layernorm.weight"),
            (Part::MlpPostNorm, "layers.{b}.post_feedforward_layernorm.weight"),
        ],
        Container::Gguf => &[
            (Part::AttnPostNorm, "blk.{b}.post_attention_norm.weight"),
            (Part::MlpPostNorm, "blk.{b}.post_ffw_norm.weight"),
        ],
    }));
    layout
}
