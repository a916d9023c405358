//! What is typed after `data`.

use std::path::PathBuf;

use clap::Args as Group;

#[derive(Debug, Group)]
pub(crate) struct Data {
    /// A format to describe, a file or folder of cases to check, or `world`, our own facts
    #[arg(value_name = "FORMAT|FILE")]
    pub(crate) what: Option<String>,
    /// The file's format; otherwise as its first record has it
    #[arg(long, value_name = "FORMAT", requires = "what")]
    pub(crate) from: Option<String>,
    /// ParaRel's patterns, to make paraphrases of
    #[arg(long, value_name = "FILE", requires = "what")]
    pub(crate) patterns: Option<PathBuf>,
    /// Of everything drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// At most so many cases, drawn
    #[arg(long, value_name = "N", requires = "what")]
    pub(crate) count: Option<std::num::NonZeroUsize>,
    /// Write the cases in this format
    #[arg(long, value_name = "FORMAT", requires = "out")]
    pub(crate) to: Option<String>,
    /// Where they are written
    #[arg(long, short, value_name = "FILE", requires = "to")]
    pub(crate) out: Option<PathBuf>,
    /// Write over what is at --out
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}
