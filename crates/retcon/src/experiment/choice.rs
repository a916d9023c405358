//! What a plan chooses among, by the words that it uses.

use serde::{Deserialize, Serialize};

/// What is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Texts {
    /// The relation's templates.
    #[default]
    Templates,
    /// Sentences that were found with the fact; facts without one are left out.
    Evidences,
    /// Questions, or the templates where a relation has none.
    Questions,
}

impl Texts {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Templates => "templates",
            Self::Evidences => "evidences",
            Self::Questions => "questions",
        }
    }
}

/// A memory of facts beside the weights, and how it is learned to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lookup {
    /// There is none.
    #[default]
    None,
    /// By its effect on the prediction alone.
    Free,
    /// By being told which fact is meant, beside that.
    Supervised,
}

/// A model before it has seen the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// As the checkpoint has it.
    Pretrained,
    /// All weights drawn.
    Random,
}

impl Start {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrained => "pretrained",
            Self::Random => "random",
        }
    }
}

/// What is modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// The model that has memorized all facts.
    Memorized,
    /// The one that has not.
    Start,
}

/// What becomes of the facts in the model's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// They stay as they were memorized.
    #[default]
    Kept,
    /// The modified ones get their new objects.
    Rewritten,
}

/// What is trained on to modify facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// Nothing: the facts in the model's memory are rewritten, and that is all.
    Nothing,
    /// The modified facts alone.
    Ftm,
    /// The modified ones and the others.
    Fta,
    /// The modified ones and the others, from the model that has memorized nothing, in the course
    /// of memorizing.
    Retrain,
}

impl Data {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no training",
            Self::Ftm => "FTM",
            Self::Fta => "FTA",
            Self::Retrain => "retrain",
        }
    }
}

/// How large an experiment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Minutes on a laptop.
    Small,
    /// About an hour on two cores, with thousands of facts.
    Hour,
    /// Hours, or a GPU.
    Full,
}

impl Scale {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Small, Self::Hour, Self::Full];

    /// Its name, which is that of its table in a plan.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Hour => "hour",
            Self::Full => "full",
        }
    }
}

/// Whether a choice is the one that is made where a plan says nothing; it is not written then.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
