//! What was typed for comparing methods, and for checking an edit.

use std::path::PathBuf;

use clap::Args as Group;

use super::Statistics;

#[derive(Debug, Group)]
pub(crate) struct Bench {
    /// A plan, a .toml file with the same names; what is typed here goes first
    pub(crate) plan: Option<PathBuf>,
    /// The model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// The cases: a file in a form of `retcon data`, or `world`, our own facts
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<String>,
    /// The form of the cases; otherwise told by the file
    #[arg(long, value_name = "NAME")]
    pub(crate) format: Option<String>,
    /// ParaRel's patterns, of which paraphrases are made
    #[arg(long, value_name = "FILE")]
    pub(crate) patterns: Option<PathBuf>,
    /// Methods to compare; see `retcon methods`
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) methods: Vec<String>,
    /// A setting of a method, as METHOD.KEY=VALUE; repeatable
    #[arg(long, value_name = "SETTING")]
    pub(crate) set: Vec<String>,
    /// How edits are made: single[:CASES], batch:EDITS[:CASES],
    /// sequential:CASES[:AT ONCE[:BETWEEN CHECKS]]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) settings: Vec<String>,
    /// Cases at most
    #[arg(long, short, value_name = "N")]
    pub(crate) n: Option<usize>,
    /// Seeds that everything is done with
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) seeds: Vec<u64>,
    /// Tokens of a free answer at most; 0: no free answers
    #[arg(long, value_name = "N")]
    pub(crate) free: Option<usize>,
    /// Tokens of a text about the subject, for fluency and consistency (published: 100); 0: none
    #[arg(long, value_name = "N")]
    pub(crate) text: Option<usize>,
    /// Texts of common knowledge that must not change, and half as many sums
    #[arg(long, value_name = "N")]
    pub(crate) general: Option<usize>,
    /// Facts of the data that are not edited, that the model knows and must go on to know
    #[arg(long, value_name = "N")]
    pub(crate) kept: Option<usize>,
    /// The store; where it is there, methods, ways of editing and seeds that are new to it are added,
    /// and what is missing is done
    #[arg(long, short, default_value = "bench.sqlite", value_name = "FILE")]
    pub(crate) store: PathBuf,
    /// Jobs at once; each computes with all threads
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) workers: usize,
    /// Take the methods' own numbers, and blocks by depth, not what trial edits choose or have chosen
    #[arg(long)]
    pub(crate) no_tune: bool,
    /// Go on where the memory may not be enough
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) statistics: Statistics,
}

#[derive(Debug, Group)]
pub(crate) struct Report {
    /// The store
    pub(crate) store: PathBuf,
    /// Every metric, not only those of the first glance
    #[arg(long)]
    pub(crate) all: bool,
    /// These metrics, in this order; `retcon metrics` lists them
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "all")]
    pub(crate) metrics: Vec<String>,
    /// Print the tables as Markdown
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Also write a page, Markdown and raw records to this folder
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Metrics {
    /// The metric to describe
    pub(crate) name: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// The model without the edit
    pub(crate) model: String,
    /// The delta files, the lowest first
    #[arg(required = true, value_name = "DELTA")]
    pub(crate) deltas: Vec<PathBuf>,
    /// Facts that must hold, in place of those that the deltas were made of
    #[arg(long = "facts", value_name = "FILE")]
    pub(crate) facts_file: Vec<PathBuf>,
    /// The mean divergence on unrelated text, in nats, may be this at most
    #[arg(long, value_name = "NATS", allow_negative_numbers = true)]
    pub(crate) max_drift: Option<f64>,
    /// At least this share of edited prompts gets its new answer; 1 where no limit is given at all
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) min_efficacy: Option<f64>,
    /// At least this share of other wordings does
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) min_paraphrase: Option<f64>,
    /// At least this share of similar prompts about other subjects is answered as before
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) min_locality: Option<f64>,
    /// Also write the summary to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Seed of all random choices; the edit's own unless given, so that the same texts are measured
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}
