//! OLMo 2: Llama's decoder, whose branches are normalized only after they have run, as are queries and
//! keys, all heads in one.

use super::{Family, llama, plain};
use crate::checkpoint::{Checkpoint, Container};
use crate::error::Result;
use crate::layout::Layout;
use crate::spec::{Biases, Norm, NormOrder, QkNorm, Spec};
use crate::weight_id::Part;

pub(super) const FAMILY: Family =
    Family { name: "olmo", covers: "OLMo 2", model_types: &["olmo2"], spec, layout };

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    let bias = config.get_or("attention_bias", false)?;
    Ok(Spec {
        norm: Norm::Rms { eps: config.get_or("rms_norm_eps", 1e-5)? },
        norm_order: NormOrder::Branch,
        qk_norm: QkNorm::Whole,
        biases: Biases { qkv: bias, o: bias, mlp: false },
        ..llama::decoder(checkpoint, FAMILY.name)?
    })
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
