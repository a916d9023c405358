//! What a benchmark came to, as reports show it: plain numbers and texts, without a store or a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use retcon::eval::bootstrap::{Difference, Estimate};
use retcon::eval::reading::Reading;

/// All results of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What was run.
    pub about: About,
    /// The metrics that have a number anywhere, in the order of tables.
    pub metrics: Vec<MetricInfo>,
    /// One row a method and setting, the unedited model first for each setting.
    pub rows: Vec<Row>,
    /// The cases, which [`CaseResult`]s name by index.
    pub cases: Vec<CaseInfo>,
    /// What was said to each case under each row.
    pub results: Vec<CaseResult>,
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The version of this program.
    pub version: String,
    /// The model, as people call it.
    pub model: String,
    /// What tells it apart, its deltas too.
    pub fingerprint: String,
    /// The data file, and the name of its format.
    pub data: String,
    /// The format of the data.
    pub dataset: String,
    /// Seeds that everything was run with.
    pub seeds: Vec<u64>,
    /// Jobs in all, and of these done.
    pub jobs: [usize; 2],
}

/// A metric, as a report explains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricInfo {
    /// Its name, such as `rewrite.free.exact`.
    pub name: String,
    /// What publications call it; may be empty.
    pub also: String,
    /// What it is, in words.
    pub summary: String,
    /// Where it is defined.
    pub source: String,
    /// How its numbers are shown.
    pub unit: Unit,
    /// Whether more is better.
    pub better: Better,
    /// Whether tables show it unless asked for all.
    pub headline: bool,
}

/// How numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A share, as a percentage.
    Share,
    /// A plain number.
    Number,
    /// Seconds.
    Seconds,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
}

/// The name of the model without an edit, in the place of a method.
pub const UNEDITED: &str = "unedited";

/// A method under a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The method, or `unedited`.
    pub method: String,
    /// All of its settings.
    pub settings: Map<String, Value>,
    /// How edits were made: `single`, `batch 100`, `sequential 1 x 300`.
    pub setting: String,
    /// Cases that have been measured under it, over all seeds.
    pub n_done: usize,
    /// Cases that should be.
    pub n_planned: usize,
    /// Cases whose edit ended in an error; their numbers are those of the model without it.
    pub n_failed: usize,
    /// Each metric, over all cases, each the mean over its seeds; at the end of a sequence.
    pub scores: BTreeMap<String, Estimate>,
    /// Each metric by group of cases, such as their relations.
    pub by_group: BTreeMap<String, BTreeMap<String, Estimate>>,
    /// Each metric after so many edits of a sequence; empty elsewhere.
    pub curve: Vec<Point>,
    /// Against each later row of the same setting, at the headline metrics: how it differs from it.
    pub versus: Vec<Versus>,
}

/// A point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Edits so far.
    pub n_edits: usize,
    /// Each metric over all cases so far, and of the model as it is then.
    pub scores: BTreeMap<String, Estimate>,
}

/// A comparison of two rows on the same cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versus {
    /// The other row, by index.
    pub row: usize,
    /// The metric.
    pub metric: String,
    /// This row minus the other.
    pub difference: Difference,
}

/// A case, as people read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseInfo {
    /// What its data set calls it.
    pub id: String,
    /// Its group, such as its relation; may be empty.
    pub group: String,
    /// What was edited, each as `The capital of {France} is => Berlin`.
    pub edits: Vec<String>,
    /// What was asked.
    pub questions: Vec<QuestionInfo>,
}

/// A question, as people read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionInfo {
    /// The name of its axis.
    pub axis: String,
    /// What was asked.
    pub prompt: String,
    /// The answer that is wanted; may be empty.
    pub wanted: String,
    /// The answer that it competes with; may be empty.
    pub other: String,
    /// Whether the answer should change.
    pub should_change: bool,
}

/// What was said to a case under a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The row, by index.
    pub row: usize,
    /// The case, by index.
    pub case: usize,
    /// The seed.
    pub seed: u64,
    /// Edits so far, in a sequence; those of the batch elsewhere.
    pub n_edits: usize,
    /// Why the edit failed, where it did.
    pub error: Option<String>,
    /// Each metric of this case alone.
    pub numbers: BTreeMap<String, f64>,
    /// Before and after, one a question.
    pub answers: Vec<[Reading; 2]>,
    /// Whether each answer is as it should be: the new object said first, or the same text as before.
    pub as_wanted: Vec<Option<bool>>,
}
