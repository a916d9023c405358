//! OLMo 2 and 3: Llama's decoder, whose branches are normalized only after they have run, as are queries
//! and keys, all heads in one; in the third three of four blocks see a window only.

use serde_json::{Value, json};

use super::positions::localize;
use super::{Family, WINDOW, complete, llama, local_by_pattern, named_local, plain, windows};
use crate::checkpoint::{Checkpoint, Container};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Biases, Norm, NormOrder, Position, QkNorm, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family =
    Family { name: "olmo", covers: "OLMo 2 and 3", model_types: &["olmo2", "olmo3"], spec, layout };

/// OLMo 3's, where nothing is said of it.
const THETA: f64 = 5e5;

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let is_third = checkpoint.config.get::<String>("model_type")? == "olmo3";
    let usual = if is_third { json!({"rope_theta": THETA}) } else { Value::Null };
    let checkpoint = &*complete(checkpoint, &usual);
    let config = &checkpoint.config;
    let bias = config.get_or("attention_bias", false)?;
    let mut spec = Spec {
        norm: Norm::Rms { eps: config.get_or("rms_norm_eps", 1e-5)? },
        norm_order: NormOrder::Branch,
        qk_norm: QkNorm::Whole,
        biases: Biases { qkv: bias, o: bias, mlp: false },
        ..llama::decoder(checkpoint, FAMILY.name)?
    };
    // OLMo 3 goes by the name of OLMo 2 in GGUF files, where a window tells it.
    let window = match checkpoint.container {
        Container::HuggingFace if is_third => config.find_or("sliding_window", WINDOW)?,
        Container::HuggingFace => None,
        Container::Gguf => config.find("sliding_window")?,
    };
    let window = window.filter(|&window| window > 0);
    if let (Some(window), Position::Rotary(blocks)) = (window, &mut spec.position) {
        let local = match named_local(config, spec.n_blocks)? {
            Some(local) => local,
            None => local_by_pattern(config, spec.n_blocks, 4)?,
        };
        spec.windows = windows(Some(window), &local);
        // In transformers the two kinds of blocks have each their own, in llama.cpp one.
        let theta = if is_third { THETA } else { blocks[0].theta };
        localize(config, blocks, &local, theta)?;
    }
    Ok(spec)
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
