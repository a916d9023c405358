//! A case of a benchmark: what is edited, and all that is asked about it; it knows no data set's keys.

use serde::{Deserialize, Serialize};

use super::error::Origin;
use super::fact::Fact;
use super::prompt::Prompt;

/// Edits that belong together, and the questions that tell what they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What its data set calls it.
    pub id: String,
    /// What it is reported under beside all others, such as its relation.
    pub group: Option<String>,
    /// What is edited, at once; one fact in most data sets. Their paraphrases and neighbors are in
    /// `questions`, not in them.
    pub edits: Vec<Fact>,
    /// What is asked before and after, the edited prompts themselves first.
    pub questions: Vec<Question>,
    /// How the questions of each test count together, for questions that are parts of one.
    pub tests: Vec<Test>,
    /// Texts about the new objects, which generated text is compared with.
    pub references: Vec<String>,
    /// Where it was read.
    pub origin: Option<Origin>,
}

/// Something to ask a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is asked for.
    pub axis: Axis,
    /// What is asked; its subject is marked where it is known.
    pub prompt: Prompt,
    /// What has to be said after the edit: each of these, by any of its names, the first of which is
    /// what is scored. None where only a change matters.
    pub answers: Vec<Vec<String>>,
    /// The answer that competes with it: the old object where a new one is wanted, the new one where
    /// the old one is to stay.
    pub other: Option<String>,
    /// The test of [`Case::tests`] that it is a part of.
    pub part: Option<Part>,
}

/// What a question does in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The test, by index.
    pub test: usize,
    /// Whether it has to be right before the edit for the test to count, and is not asked after.
    pub condition: bool,
}

/// How the questions of a test count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Each has to be right.
    All,
    /// One right answer is enough.
    Any,
}

impl Test {
    /// Its name, as files have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
        }
    }
}

/// What a question is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// The edited prompt: the new object.
    Rewrite,
    /// The same in other words: the new object.
    Paraphrase,
    /// A question whose answer follows from the edit and something else that the model knows.
    Reasoning,
    /// The edited fact, its subject by another name.
    Aliasing,
    /// What follows by logic, such as the inverse of a symmetric relation.
    Logical,
    /// One of the facts that a chain goes through.
    SingleHop,
    /// A question whose answer lies at the end of a chain of facts.
    MultiHop,
    /// The same relation of another subject: as before.
    Neighbor,
    /// Another relation of the same subject: as before.
    SameSubject,
    /// Other objects of the same subject and relation: as before.
    Forgetfulness,
    /// Something else: as before.
    Unrelated,
    /// A beginning of a text about the subject, for how fluent and consistent it goes on.
    Generation,
}

impl Axis {
    /// All, in the order in which reports have them.
    pub const ALL: [Self; 12] = [
        Self::Rewrite,
        Self::Paraphrase,
        Self::Reasoning,
        Self::Aliasing,
        Self::Logical,
        Self::SingleHop,
        Self::MultiHop,
        Self::Neighbor,
        Self::SameSubject,
        Self::Forgetfulness,
        Self::Unrelated,
        Self::Generation,
    ];

    /// Its name, as files have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite",
            Self::Paraphrase => "paraphrase",
            Self::Reasoning => "reasoning",
            Self::Aliasing => "aliasing",
            Self::Logical => "logical",
            Self::SingleHop => "single-hop",
            Self::MultiHop => "multi-hop",
            Self::Neighbor => "neighbor",
            Self::SameSubject => "same-subject",
            Self::Forgetfulness => "forgetfulness",
            Self::Unrelated => "unrelated",
            Self::Generation => "generation",
        }
    }

    /// The axis of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|axis| axis.name() == name)
    }

    /// Whether an edit is meant to change the answer.
    #[must_use]
    pub fn should_change(self) -> bool {
        use Axis::{Aliasing, Logical, MultiHop, Paraphrase, Reasoning, Rewrite, SingleHop};
        matches!(self, Rewrite | Paraphrase | Reasoning | Aliasing | Logical | SingleHop | MultiHop)
    }
}

impl Case {
    /// A case of one edit, with its rewrite question.
    #[must_use]
    pub fn of(id: String, edit: Fact) -> Self {
        let rewrite = Question::new(Axis::Rewrite, edit.prompt.clone())
            .answered(&edit.target_new)
            .against(edit.target_true.as_deref());
        let origin = edit.origin.clone();
        Self {
            id,
            group: None,
            edits: vec![edit],
            questions: vec![rewrite],
            tests: Vec::new(),
            references: Vec::new(),
            origin,
        }
    }
}

impl Question {
    /// A question without answers.
    #[must_use]
    pub fn new(axis: Axis, prompt: Prompt) -> Self {
        Self { axis, prompt, answers: Vec::new(), other: None, part: None }
    }

    /// The same question with one answer more that has to be said, by one name.
    #[must_use]
    pub fn answered(mut self, answer: &str) -> Self {
        self.answers.push(vec![answer.to_owned()]);
        self
    }

    /// The same question with one answer more that has to be said, by any of its names.
    #[must_use]
    pub fn named(mut self, names: Vec<String>) -> Self {
        self.answers.push(names);
        self
    }

    /// The same question as a part of a test.
    #[must_use]
    pub fn in_test(mut self, test: usize, condition: bool) -> Self {
        self.part = Some(Part { test, condition });
        self
    }

    /// The same question with what competes with its answer.
    #[must_use]
    pub fn against(mut self, other: Option<&str>) -> Self {
        self.other = other.map(str::to_owned);
        self
    }

    /// The answer that is scored.
    #[must_use]
    pub fn answer(&self) -> Option<&str> {
        self.answers.first()?.first().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_is_found_by_the_name_that_files_have() {
        for axis in Axis::ALL {
            assert_eq!(Axis::find(axis.name()), Some(axis));
            assert_eq!(serde_json::to_value(axis).unwrap(), axis.name());
        }
    }
}
