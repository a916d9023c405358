//! One combination of a plan's choices, and what came of it.

use serde::{Deserialize, Serialize};

use super::choice::{Data, From, Memory, Start, is_default};
use crate::edit::scope::Target;
use crate::train::Constraint;

/// One combination of a plan's choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// What draws the facts, their new objects and the order of texts.
    pub seed: u64,
    /// The model before it has seen facts.
    pub start: Start,
    /// How many facts are modified.
    pub size: usize,
    /// What is trained on.
    pub data: Data,
    /// What is modified.
    pub from: From,
    /// What becomes of the facts in its memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory: Memory,
    /// The blocks that may change.
    pub blocks: String,
    /// What of them.
    pub component: Target,
    /// What training keeps to.
    pub constraint: Constraint,
}

impl Cell {
    /// All weights, within no bounds; from the model that has memorized the facts, unless it is
    /// trained anew.
    #[must_use]
    pub fn whole(seed: u64, start: Start, size: usize, data: Data) -> Self {
        Self {
            seed,
            start,
            size,
            data,
            from: if data == Data::Retrain { From::Start } else { From::Memorized },
            memory: Memory::Kept,
            blocks: "all".to_owned(),
            component: Target::All,
            constraint: Constraint::None,
        }
    }

    /// What tells it apart from all others of its plan.
    #[must_use]
    pub fn key(&self) -> String {
        serde_json::to_string(self).expect("a cell has string keys")
    }
}

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The cell.
    pub cell: Cell,
    /// Before the first step, and after every few; where a memory is rewritten, before that too.
    pub points: Vec<Point>,
    /// How many modified facts, and how many others, were measured.
    pub n: [usize; 2],
    /// After the last step, for each relation that has modified facts: how many of the modified
    /// and of the other facts are said, and how many there are.
    pub by_relation: Vec<(String, [usize; 4])>,
    /// After the last step, how far each weight is from where it started: Euclidean distance, and
    /// the largest difference.
    pub moved: Vec<(String, f64, f64)>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What was measured at a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Steps taken.
    pub step: usize,
    /// The share of modified facts whose new object is said.
    pub modified: f64,
    /// That in other words, which were not trained.
    pub reworded: f64,
    /// The share of the other facts whose object is said.
    pub kept: f64,
    /// That in other words.
    pub kept_reworded: f64,
}

impl Point {
    /// The mean of both accuracies.
    #[must_use]
    pub fn mean(&self) -> f64 {
        f64::midpoint(self.modified, self.kept)
    }
}
