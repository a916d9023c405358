//! From errors to messages, hints and exit codes.

use std::io::{self, Write};

use anyhow::Error;
use retcon::data;
use retcon::model::error::Error as ModelError;
use serde_json::json;

/// Some edited prompt does not get its new answer.
pub(crate) const EDIT_FAILED: u8 = 3;
/// `verify` found a limit exceeded.
pub(crate) const OVER_LIMIT: u8 = 4;
/// The user pressed Ctrl-C, or the process was told to end: 128 and the signal's number, as shells have it.
pub(crate) const CANCELED: u8 = 130;
const ERROR: u8 = 1;
const USAGE: u8 = 2;

/// The command line makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

/// An error that is about the command line.
pub(crate) fn usage(what: impl Into<String>) -> Error {
    Usage(what.into()).into()
}

/// An error with advice.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Advised {
    what: String,
    hint: String,
}

/// An error with advice.
pub(crate) fn advised(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Advised { what: what.into(), hint: hint.into() }.into()
}

/// Tells the user what went wrong, and gives the exit code.
pub(crate) fn report(error: &Error, as_json: bool) -> u8 {
    if is_broken_pipe(error) {
        return 0;
    }
    let (message, hint) = (message(error), hint(error));
    let mut stderr = io::stderr().lock();
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(stderr, "{} {message}", console::style("error:").for_stderr().red().bold());
    if let Some(hint) = &hint {
        let _ = writeln!(stderr, "{} {hint}", console::style("hint:").for_stderr().cyan().bold());
    }
    if as_json {
        let _ = writeln!(io::stdout().lock(), "{}", json!({"error": message, "hint": hint}));
    }
    code(error)
}

/// Tells the user what makes no sense in what was typed, or the help that was asked for, and gives the
/// exit code.
pub(crate) fn report_typed(error: &clap::Error) -> u8 {
    // Where stderr is gone there is nobody to tell.
    let _ = error.print();
    // What was typed can't be read, so the flag is looked for by itself.
    let as_json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
    if as_json && error.use_stderr() {
        let (message, hint) = parts(&error.render().to_string());
        let _ = writeln!(io::stdout().lock(), "{}", json!({"error": message, "hint": hint}));
    }
    error.exit_code().try_into().unwrap_or(USAGE)
}

/// The first paragraph of what the parser says of an error, and the last, which tells what to do.
fn parts(rendered: &str) -> (String, Option<String>) {
    let on_a_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = rendered.trim().split("\n\n");
    let first = on_a_line(paragraphs.next().unwrap_or_default());
    let message = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    (message, paragraphs.last().map(on_a_line))
}

fn code(error: &Error) -> u8 {
    if matches!(
        error.downcast_ref(),
        Some(data::Error::UnknownDataset { .. } | data::Error::NotWritten { .. })
    ) {
        return USAGE;
    }
    if is_canceled(error) {
        return CANCELED;
    }
    if error.is::<Usage>() {
        return USAGE;
    }
    if let Some(
        retcon_bench::Error::BadSetting { .. }
        | retcon_bench::Error::TooFewCases { .. }
        | retcon_bench::Error::UnknownMetric { .. },
    ) = error.downcast_ref()
    {
        return USAGE;
    }
    match error.downcast_ref() {
        Some(
            retcon::Error::BadSetting { .. }
            | retcon::Error::BadSettings { .. }
            | retcon::Error::UnknownMethod { .. }
            | retcon::Error::UnknownPreset { .. },
        ) => USAGE,
        _ => ERROR,
    }
}

fn is_canceled(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(retcon::Error::Canceled))
        || matches!(error.downcast_ref(), Some(retcon_bench::Error::Stopped))
}

/// Whoever read our output, such as `head`, has seen enough.
fn is_broken_pipe(error: &Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes, without those that an outer one repeats.
pub(crate) fn message(error: &Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if message.is_empty() {
            message = text;
        } else if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
    }
    message
}

fn hint(error: &Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(advised) = cause.downcast_ref::<Advised>() {
            return Some(advised.hint.clone());
        }
        if let Some(error) = cause.downcast_ref::<retcon_bench::Error>() {
            return bench_hint(error).map(str::to_owned);
        }
        let hint = match cause.downcast_ref::<retcon::Error>() {
            Some(retcon::Error::Model(error)) => model_hint(error),
            Some(error) => toolkit_hint(error),
            None => match cause.downcast_ref::<ModelError>() {
                Some(error) => model_hint(error),
                None => data_hint(cause.downcast_ref::<data::Error>()?),
            },
        };
        hint.map(str::to_owned)
    })
}

fn bench_hint(error: &retcon_bench::Error) -> Option<&'static str> {
    use retcon_bench::Error as E;
    Some(match error {
        E::Retcon(retcon::Error::Model(error)) => model_hint(error)?,
        E::Retcon(error) => toolkit_hint(error)?,
        E::OtherPlan { .. } => {
            "name another file with --store, or ask for the same again; \
             a method with other settings needs a label of its own, in a plan file"
        }
        E::Full { .. } => "make room, and give the same command again: it goes on",
        E::Store { .. } | E::Io { .. } => {
            "make sure that the file and its folder can be written and that the disk is well, \
             and give the same command again: it goes on"
        }
        E::TooFewCases { .. } => "ask for fewer, or leave the number out where all are wanted",
        E::Damaged { .. } => "restore it from a copy, or start anew with another --store",
        E::NoCases { .. } => "`retcon data FILE` tells what is in a file, and what is left out",
        _ => return None,
    })
}

fn toolkit_hint(error: &retcon::Error) -> Option<&'static str> {
    use retcon::Error as E;
    Some(match error {
        E::Data(error) => data_hint(error)?,
        E::UnknownMethod { .. } => "`retcon methods` lists them",
        E::BadSetting { key: "blocks", .. } => {
            "blocks are numbered from 0, negative ones count from the end; `retcon inspect MODEL` \
             tells how many a model has"
        }
        // What is set in a plan has a path, and the message says where.
        E::BadSetting { key, .. } if key.contains('.') => return None,
        E::BadSetting { .. } | E::BadSettings { .. } => {
            "`retcon methods NAME` lists a method's settings, with what they mean"
        }
        E::SeveralSubjects { .. } => "edit one after the other, or leave `through` as it is",
        E::SlotInDecoder { .. } => "end the prompt where its answer begins, without [MASK]",
        E::NoMask { .. } => "edit a model that was trained to fill masks, or a decoder",
        E::UnknownPreset { .. } => {
            "presets fit the models that they were published for; without one, blocks and numbers \
             are chosen for the model at hand"
        }
        E::TooFewTokens { .. } => {
            "give a longer text with --corpus, or do without its statistics: --set metric=identity"
        }
        E::BadStatistics { .. } => {
            "statistics belong to one model and tokenizer: `retcon stats` makes them"
        }
        E::MissingBlocks { .. } => {
            "`retcon stats MODEL --blocks ... --out FILE` makes those of all that are needed; with \
             --no-tune only those of the blocks that are edited are"
        }
        E::NoTexts { .. } => {
            "`templates` are there for every fact; evidences and questions are those of the source"
        }
        E::NoNullSpace { .. } => "try --set threshold=..., larger, or another method",
        E::TooLarge { .. } => {
            "try fewer steps, a smaller learning_rate, rate or clamp (--set), or another block"
        }
        E::SharedBlocks { .. } => "use ft, which changes shared weights for all of their blocks",
        E::Diverged { .. } => "try a smaller --lr, or a --constraint",
        E::AllLeftOut { .. } => "give a larger --set anchor=..., or none",
        E::OutOfBound { .. } => {
            "allow more with --max-drift, edit fewer facts at once, or take another method: \
             `retcon bench` tells how much each moves"
        }
        _ => return None,
    })
}

fn model_hint(error: &ModelError) -> Option<&'static str> {
    use ModelError as E;
    Some(match error {
        E::NoConfig { .. } => {
            "a model folder holds config.json, tokenizer.json and model.safetensors; \
             a .gguf file is named itself"
        }
        E::NoTokenizer { .. } => {
            "transformers makes one of what is there: in Python, \
             AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
        }
        E::Adapter { .. } => {
            "merge it into its base first (in Python, peft's merge_and_unload, then \
             save_pretrained), and give the folder that results"
        }
        E::Classifier { .. } => "give the language model that it was made from",
        E::Experts { .. } => "give a model whose blocks have one MLP each",
        E::Quantized { .. } => {
            "give the unquantized checkpoint that it was made from, or a GGUF file of the model"
        }
        E::UnknownFamily { .. } => {
            "a fine-tuned model has the type of the model that it came from: see `model_type`"
        }
        E::UnknownPreTokenizer { .. } => {
            "any other would give wrong tokens: use the model's Hugging Face folder, whose \
             tokenizer.json describes it"
        }
        E::BadHeader { .. } => {
            "the file is damaged, or was cut short when it was downloaded or copied: \
             compare its size and fetch it again"
        }
        E::MissingTensor { .. } | E::MissingPart { .. } => {
            "the checkpoint is incomplete: fetch it again, with all of its files"
        }
        E::TensorMismatch { .. } | E::UnexpectedTensor { .. } => {
            "settings and weights do not belong together: \
             take both from one release of a model of a known family"
        }
        E::WrongBase { .. } => {
            "a delta fits the model that it was made for, in the same precision: \
             use that one, or make the edit again on this one"
        }
        E::NotFinite { .. } => "try a smaller step size, fewer steps or a bound",
        E::NotFiniteLogits => {
            "some weight of the model, or of a delta on it, is not finite or far too large: fetch the \
             checkpoint again, or ask it without the delta"
        }
        E::BadDelta { .. } => "deltas are files that `retcon edit` has written",
        E::Exists { .. } => "choose another --out, or remove what is there",
        E::NotADecoder { .. } => "write [MASK] where the missing word goes",
        E::TooLong { .. } => "shorten the prompt, or its object",
        E::NotInCheckpoint { .. } => "keep the delta beside the model instead of merging it",
        _ => return None,
    })
}

fn data_hint(error: &data::Error) -> Option<&'static str> {
    match error.reason() {
        data::Error::UnknownDataset { .. }
        | data::Error::UnknownFormat { .. }
        | data::Error::NotWritten { .. } => {
            Some("`retcon data` lists the formats, and `retcon data FORMAT` the keys of one")
        }
        data::Error::Io { .. } => Some(
            "name a file that can be read: --facts takes facts, one a line, or - for stdin, \
             and --data cases",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = Err::<(), _>(anyhow::anyhow!("no such file")).context("m: no such file");
        assert_eq!(message(&error.unwrap_err()), "m: no such file");
        let error = Err::<(), _>(anyhow::anyhow!("no such file")).context("cannot open m");
        assert_eq!(message(&error.unwrap_err()), "cannot open m: no such file");
    }

    #[test]
    fn codes_follow_the_cause() {
        assert_eq!(code(&usage("x")), 2);
        assert_eq!(code(&Error::from(retcon::Error::Canceled).context("editing")), 130);
        assert_eq!(code(&anyhow::anyhow!("x")), 1);
    }
}
