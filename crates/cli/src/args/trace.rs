//! What was typed for a trace.

use std::path::PathBuf;

use clap::Args as Group;

#[derive(Debug, Group)]
pub(crate) struct Trace {
    /// The model
    pub(crate) model: String,
    /// Prompts, with the subject in braces: "The capital of {France} is"
    #[arg(value_name = "PROMPT")]
    pub(crate) prompts: Vec<String>,
    /// Prompts from a file of facts, with their old answers where it has them; `-` is stdin
    #[arg(long = "facts", value_name = "FILE")]
    pub(crate) facts_file: Vec<PathBuf>,
    /// What is restored: hidden, mlp, attention, severed-mlp, severed-attention; or neurons; or all
    #[arg(long, default_value = "hidden", value_name = "A,B", value_delimiter = ',')]
    pub(crate) kind: Vec<String>,
    /// The answer to each PROMPT; otherwise what the model says
    #[arg(long, value_name = "TEXT")]
    pub(crate) object: Option<String>,
    /// How strong the noise is, in standard deviations of the embeddings of subjects
    #[arg(long, default_value_t = 3.0, value_name = "FACTOR", allow_negative_numbers = true)]
    pub(crate) noise: f64,
    /// Draws of noise to average over
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) samples: usize,
    /// Blocks whose MLPs, or attention, are restored together
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) window: usize,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Lay this delta on first; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) delta: Vec<PathBuf>,
    /// Where pictures are written: a folder, or a file .svg or .png where there is one picture
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
}
