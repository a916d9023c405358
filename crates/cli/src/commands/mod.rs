//! The commands, one file each: what was meant in, results and an outcome out.

pub(crate) mod apply;
pub(crate) mod ask;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod edit;
pub(crate) mod experiment;
pub(crate) mod inspect;
pub(crate) mod merge;
pub(crate) mod methods;
pub(crate) mod metrics;
pub(crate) mod report;
pub(crate) mod stack;
pub(crate) mod stats;
pub(crate) mod trace;
pub(crate) mod train;
pub(crate) mod tune;
pub(crate) mod undo;
pub(crate) mod verify;

use retcon::Delta;
use serde_json::Value;

/// How a command ended that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// Some edited prompt does not get its new answer.
    EditFailed,
    /// A limit that was asked for is exceeded.
    OverLimit,
}

/// The edits of a delta, for people: `The capital of {France} is => Berlin`.
pub(crate) fn edits(delta: &Delta) -> Vec<String> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("?").to_owned();
    let edits = delta.record.edits.iter();
    edits.map(|e| format!("{} => {}", text(e, "prompt"), text(e, "target_new"))).collect()
}
