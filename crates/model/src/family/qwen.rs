//! Qwen 2, 2.5 and 3: Llama's decoder with biased queries, keys and values, or normed ones.

use super::{Family, llama};
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::spec::{Biases, QkNorm, Spec};

pub(super) const FAMILY: Family = Family {
    name: "qwen",
    covers: "Qwen 2, 2.5 and 3",
    model_types: &["qwen2", "qwen3"],
    spec,
    layout: llama::layout,
};

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    let config = &checkpoint.config;
    let third = config.get::<String>("model_type")? == "qwen3";
    let mut spec = llama::decoder(checkpoint, FAMILY.name)?;
    spec.qk_norm = if third { QkNorm::Heads } else { QkNorm::None };
    spec.biases = if third {
        let bias = config.get_or("attention_bias", false)?;
        Biases { qkv: bias, o: bias, mlp: false }
    } else {
        Biases { qkv: true, ..Biases::default() }
    };
    let n_blocks = spec.n_blocks;
    let local = |block| block >= config.get_or("max_window_layers", n_blocks).unwrap_or(n_blocks);
    if config.get_or("use_sliding_window", false)? {
        for (block, window) in spec.windows.iter_mut().enumerate() {
            *window = window.filter(|_| local(block));
        }
    } else {
        // The window is written down even where it isn't used.
        spec.windows = vec![None; n_blocks];
    }
    Ok(spec)
}
