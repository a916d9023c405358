//! What was typed for statistics and what is chosen with them.

use std::path::PathBuf;

use clap::Args as Group;

/// Where statistics come from: the second moments of keys, `Σ k kᵀ` over what the MLPs' down-projections
/// read.
#[derive(Debug, Group)]
#[command(next_help_heading = "Statistics")]
pub(crate) struct Statistics {
    /// Statistics of this file, in place of those in the cache
    #[arg(long, value_name = "FILE", conflicts_with_all = ["corpus", "window", "tokens", "tolerance"])]
    pub(crate) stats: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) text: Text,
}

/// The text that statistics are computed over, and how.
#[derive(Debug, Group)]
#[command(next_help_heading = "Statistics")]
pub(crate) struct Text {
    /// A text, one a line, or .jsonl with the key `text`; `-` is stdin, `own` a small one of ours
    #[arg(long, default_value = "own", value_name = "FILE")]
    pub(crate) corpus: String,
    /// Tokens in a sequence at most
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) window: usize,
    /// Stop at the end of the sequence that brings it to so many tokens; otherwise after the whole text,
    /// or where the estimate has converged
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<u64>,
    /// The estimate has converged where keys of new text are at most this much more surprising than
    /// those that were counted; 0 reads the whole text
    #[arg(long, default_value_t = 0.15, value_name = "SHARE")]
    pub(crate) tolerance: f64,
}

#[derive(Debug, Group)]
pub(crate) struct Stats {
    /// The model
    pub(crate) model: String,
    /// Of these blocks: all, 5, 4-8; otherwise of those that rome and memit choose by depth
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) blocks: Option<String>,
    /// Add up these files, of one model and several texts, in place of computing; repeatable
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with_all = ["blocks", "corpus", "window", "tokens", "tolerance"])]
    pub(crate) merge: Vec<PathBuf>,
    /// Also write them to this file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    // Last, as its heading is over all that follows.
    #[command(flatten)]
    pub(crate) text: Text,
}

#[derive(Debug, Group)]
pub(crate) struct Tune {
    /// The model
    pub(crate) model: String,
    /// The editing method
    #[arg(long, default_value = "rome")]
    pub(crate) method: String,
    /// Choose anew where a choice is kept
    #[arg(long)]
    pub(crate) again: bool,
    /// Begin no trial after so many minutes; otherwise all are made. The sweep that a first edit starts
    /// by itself has 30
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) minutes: Option<f64>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    // Last, as its heading is over all that follows.
    #[command(flatten)]
    pub(crate) statistics: Statistics,
}
