//! What was typed. Nothing is checked here beyond the type of each word; see [`crate::job`].

mod bench;
mod data;
mod stats;
mod trace;

use std::path::PathBuf;

use clap::{ArgAction, Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell as CompletionShell;

pub(crate) use bench::{Bench, Metrics, Report, Verify};
pub(crate) use data::Data;
pub(crate) use stats::{Statistics, Stats, Text, Tune};
pub(crate) use trace::Trace;

const NOTES: &str = "\
A MODEL is a folder (config.json, safetensors, tokenizer.json), a .gguf file, a stack file made by
`retcon apply`, a hub id such as `owner/name` or `owner/name:file.gguf`, or `demo`.

Results go to stdout, progress and messages to stderr. With --json, stdout holds one JSON value;
where a command fails, that is {\"error\": ..., \"hint\": ...}, and stderr has the message as text.

Exit codes:
  0    done
  1    error
  2    the command line makes no sense
  3    the edit failed: some edited prompt does not get its new answer
  4    `retcon verify` found a limit exceeded
  130  canceled by Ctrl-C or SIGTERM; nothing is left half-written

Environment:
  RETCON_CACHE  where the demo's model, statistics, null spaces and tuned settings are kept;
                otherwise `retcon` in the user's cache folder
  RETCON_LOG    what is logged, such as `retcon=debug`; overrides -v
  HF_HOME, HF_ENDPOINT, HF_TOKEN  where hub models are kept, come from, and the token to get them
  NO_COLOR      no colors";

/// The heading of [`Aliases`].
const SHORT: &str = "Short for --set";

/// Edit facts in language models, undo the edits, see what moved.
#[derive(Debug, Parser)]
#[command(name = "retcon", version, max_term_width = 100, after_help = NOTES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Group)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Common {
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress, no messages; only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log more: -v what is done, -vv how
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Threads to compute with; all processors otherwise
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// Where models run: cpu, cuda, cuda:1, metal
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    pub(crate) device: String,
    /// How weights are held in memory
    #[arg(long, global = true, value_enum, default_value_t = DtypeName::Stored)]
    pub(crate) dtype: DtypeName,
}

/// A precision, by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DtypeName {
    /// As the checkpoint stores them
    Stored,
    /// 32-bit floats
    F32,
    /// The upper half of 32-bit floats
    Bf16,
    /// 16-bit IEEE floats
    F16,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: fetch a small model, change three facts, undo it all, prove it
    Demo(Demo),
    /// Let a model continue prompts, or list what it finds most likely
    Ask(Ask),
    /// Change what a model says, and write the change to a delta file
    Edit(Box<Edit>),
    /// Compute the statistics of a model that rome, memit and their kin need
    Stats(Stats),
    /// Choose blocks and numbers of a method for a model by trial edits, for all edits that follow
    Tune(Tune),
    /// Find where a model keeps a fact: hide its subject in noise, restore states one by one
    Trace(Box<Trace>),
    /// Let a model memorize a set of facts
    Train(Box<Train>),
    /// Carry out an experiment: memorize facts, modify some, measure, draw
    Experiment(Experiment),
    /// Compare editing methods on the cases of a data set, into a store that survives anything
    Bench(Box<Bench>),
    /// Report what a store of `retcon bench` has come to: tables, a page, raw records
    Report(Report),
    /// List the metrics of reports, or describe one
    Metrics(Metrics),
    /// Check that an edit does what it should and nothing else, for a pipeline
    Verify(Verify),
    /// Put deltas on a model's stack, so that they are used with it
    Apply(Apply),
    /// Take deltas off a model's stack
    Undo(Undo),
    /// List the deltas on a model's stack
    Stack(Stack),
    /// Write a model with its deltas as a checkpoint of the same kind
    Merge(Merge),
    /// Describe a model, a stack or a delta
    Inspect(Inspect),
    /// List formats of benchmarks, describe one, or read, check and convert a file of cases
    Data(Data),
    /// List editing methods, or describe one and its settings
    Methods(Methods),
    /// Print shell completions
    Completions(Completions),
}

#[derive(Debug, Group)]
pub(crate) struct Demo {
    /// Run on this model instead
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Where the delta is written
    #[arg(long, short, default_value = "retcon-demo.safetensors", value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Ask {
    /// The model
    pub(crate) model: String,
    /// What to continue; for encoders, a text with [MASK] in it
    #[arg(required = true, value_name = "PROMPT")]
    pub(crate) prompts: Vec<String>,
    /// Lay this delta on first; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) delta: Vec<PathBuf>,
    /// List the N most likely next tokens (encoders: fillings of [MASK]) instead
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// Tokens to write at most
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub(crate) tokens: usize,
    /// Divides the logits before drawing; 0 takes the most likely token
    #[arg(long, default_value_t = 0.0, value_name = "T")]
    pub(crate) temperature: f64,
    /// Draw from the K most likely tokens only; 0 from all
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) top_k: usize,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Group)]
pub(crate) struct Edit {
    /// The model
    pub(crate) model: String,
    /// Facts, with the subject in braces: "The capital of {France} is => Berlin"
    #[arg(value_name = "FACT")]
    pub(crate) facts: Vec<String>,
    /// Facts from a file, one a line, or .jsonl; `-` is stdin
    #[arg(long = "facts", value_name = "FILE")]
    pub(crate) facts_file: Vec<PathBuf>,
    /// The editing method; see `retcon methods`
    #[arg(long, default_value = "ft")]
    pub(crate) method: String,
    /// A setting of the method, as JSON or plain text; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) aliases: Aliases,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Numbers that were published for a model, by its name; `retcon methods NAME` lists them
    #[arg(long, value_name = "MODEL")]
    pub(crate) preset: Option<String>,
    /// Take the method's own numbers, and blocks by depth, not what trial edits choose or have chosen
    #[arg(long)]
    pub(crate) no_tune: bool,
    /// Hold the change back until the mean divergence on unrelated text, in nats, is at most this
    #[arg(long, value_name = "NATS", allow_negative_numbers = true)]
    pub(crate) max_drift: Option<f64>,
    /// Edit on top of this delta; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) delta: Vec<PathBuf>,
    /// Where the new delta is written
    #[arg(long, short, default_value = "edit.delta.safetensors", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Write over what is at --out
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the delta even where the edit failed
    #[arg(long)]
    pub(crate) keep_failed: bool,
    // Last, as its heading is over all that follows.
    #[command(flatten)]
    pub(crate) statistics: Statistics,
}

/// Short ways to say `--set` for what is set most often.
#[derive(Debug, Group)]
pub(crate) struct Aliases {
    /// Blocks that may change: auto, all, 3, 4-7, -1
    #[arg(long, help_heading = SHORT, value_name = "BLOCKS", allow_hyphen_values = true)]
    pub(crate) blocks: Option<String>,
    /// What of them may change: attention, attention-qv, mlp, mlp-up, mlp-down, norms, embeddings, head,
    /// all
    #[arg(long, help_heading = SHORT, value_name = "A,B")]
    pub(crate) components: Option<String>,
    /// What holds the weights near their old values: none, l2, linf
    #[arg(long, help_heading = SHORT, value_name = "KIND")]
    pub(crate) constraint: Option<String>,
    /// How near: the radius of that ball, in the unit of the method's settings
    #[arg(long, help_heading = SHORT, value_name = "R", allow_negative_numbers = true)]
    pub(crate) radius: Option<String>,
    /// Passes over the facts at most
    #[arg(long, help_heading = SHORT, value_name = "N")]
    pub(crate) steps: Option<String>,
    /// The learning rate
    #[arg(long, help_heading = SHORT, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) lr: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Train {
    /// The model
    pub(crate) model: String,
    /// The facts: `world`, our own, or a file or folder of facts
    #[arg(long, default_value = "world", value_name = "SOURCE")]
    pub(crate) facts: String,
    /// Train on these: templates, evidences, questions
    #[arg(long, default_value = "templates")]
    pub(crate) texts: String,
    /// At most so many facts, drawn
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<usize>,
    /// Start from weights drawn at random
    #[arg(long)]
    pub(crate) random: bool,
    /// Blocks that are trained: all, 3, 4-7, -1
    #[arg(long, default_value = "all", allow_hyphen_values = true)]
    pub(crate) blocks: String,
    /// What of them: attention, attention-qv, mlp, mlp-up, mlp-down, norms, embeddings, head, all
    #[arg(long, default_value = "all", value_name = "A,B", value_delimiter = ',')]
    pub(crate) components: Vec<String>,
    /// A setting of the course of training: steps, batch, accumulate, learning_rate, warmup, decay,
    /// weight_decay, constraint (as {"kind":"linf","radius":0.001}); repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The trained model: a checkpoint of the same kind, or a delta where it ends in .safetensors
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct Experiment {
    /// The plan, a .toml file
    pub(crate) plan: PathBuf,
    /// The model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// How much: the plan's table of that name is laid over the rest
    #[arg(long, value_enum, default_value_t = ScaleName::Small)]
    pub(crate) scale: ScaleName,
    /// The facts, in place of the plan's
    #[arg(long, value_name = "SOURCE")]
    pub(crate) facts: Option<String>,
    /// The folder of results; what is in it already is not done again
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
}

/// A scale, by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ScaleName {
    /// Minutes on a laptop
    Small,
    /// About an hour on two cores, with thousands of facts
    Hour,
    /// Hours, or a GPU
    Full,
}

#[derive(Debug, Group)]
pub(crate) struct Apply {
    /// The model, or its stack file
    pub(crate) model: String,
    /// Delta files, the lowest first
    #[arg(required = true, value_name = "DELTA")]
    pub(crate) deltas: Vec<PathBuf>,
    /// The stack file; otherwise NAME.retcon.json beside the model, or here
    #[arg(long, value_name = "FILE")]
    pub(crate) stack: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Undo {
    /// The model, or its stack file
    pub(crate) model: String,
    /// The delta to take off, by id or the beginning of one; otherwise the last
    #[arg(conflicts_with_all = ["all", "last"])]
    pub(crate) id: Option<String>,
    /// Take off all
    #[arg(long, conflicts_with = "last")]
    pub(crate) all: bool,
    /// Take off the last (as without ID)
    #[arg(long)]
    pub(crate) last: bool,
    /// The stack file; otherwise NAME.retcon.json beside the model, or here
    #[arg(long, value_name = "FILE")]
    pub(crate) stack: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Stack {
    /// The model, or its stack file
    pub(crate) model: String,
    /// The stack file; otherwise NAME.retcon.json beside the model, or here
    #[arg(long, value_name = "FILE")]
    pub(crate) stack: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Merge {
    /// The model, or a stack
    pub(crate) model: String,
    /// Deltas to merge, beside those of the stack
    #[arg(value_name = "DELTA")]
    pub(crate) deltas: Vec<PathBuf>,
    /// The new checkpoint: a folder for a folder, a .gguf file for a .gguf file
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// Keep the checkpoint even where rounding has undone an edit
    #[arg(long)]
    pub(crate) keep_failed: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Inspect {
    /// A model, a stack file, or a delta file (.safetensors)
    #[arg(value_name = "MODEL|DELTA")]
    pub(crate) what: String,
}

#[derive(Debug, Group)]
pub(crate) struct Methods {
    /// Describe this one
    pub(crate) name: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: CompletionShell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }
}
