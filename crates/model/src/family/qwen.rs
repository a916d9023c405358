//! Qwen 2, 2.5 and 3: Llama's decoder with biased queries, keys and values, or normed ones.

use super::{Family, WINDOW, llama, named_local, switchable, windows};
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

/// The first block with a window in transformers, where nothing is said of it.
const FIRST_LOCAL: usize = 28;

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
    // The window is written down even where it isn't used.
    if config.get_or("use_sliding_window", false)? {
        let n_blocks = spec.n_blocks;
        let local = match named_local(config, n_blocks)? {
            Some(local) => local,
            None => {
                let first = config.get_or("max_window_layers", FIRST_LOCAL)?;
                (0..n_blocks).map(|block| block >= first).collect()
            }
        };
        spec.windows = windows(switchable(checkpoint, "sliding_window", WINDOW)?, &local);
    }
    Ok(spec)
}
