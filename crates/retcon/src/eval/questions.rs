//! What is asked before and after an edit: the prompt itself, paraphrases, neighbors, the rest.

use serde::{Deserialize, Serialize};

use crate::data::{Fact, Probe, Prompt, known_answer, neighbors, paraphrases, unrelated};
use crate::error::Result;

/// What a question is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The edited prompt: should have changed.
    Edit,
    /// The same in other words: should have changed.
    Paraphrase,
    /// The same of another subject: should not have changed.
    Neighbor,
    /// Something else: should not have changed.
    Unrelated,
}

impl Kind {
    /// Whether an edit is meant to change the answer.
    pub fn should_change(self) -> bool {
        matches!(self, Self::Edit | Self::Paraphrase)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Paraphrase => "paraphrase",
            Self::Neighbor => "neighbor",
            Self::Unrelated => "unrelated",
        }
    }
}

/// Something to ask a model, and the two answers whose probabilities matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What it is asked for.
    pub kind: Kind,
    /// The edit that it belongs to, by index; of unrelated ones the first.
    pub edit: usize,
    /// What is asked.
    pub prompt: Prompt,
    /// The answer before the edit; `None` where only the model knows it.
    pub old: Option<String>,
    /// The edit's object.
    pub new: String,
}

/// How many questions of each kind, per edit where they belong to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Paraphrases of each edit.
    pub paraphrases: usize,
    /// Neighbors of each edit.
    pub neighbors: usize,
    /// Unrelated prompts in all.
    pub unrelated: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self { paraphrases: 2, neighbors: 3, unrelated: 3 }
    }
}

/// The questions about `facts`: those that come with a fact first, then made ones.
///
/// # Errors
/// Where a probe's text is no prompt.
pub fn questions(facts: &[Fact], counts: Counts, seed: u64) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    for (edit, fact) in facts.iter().enumerate() {
        let known = || known_answer(&fact.prompt).map(str::to_owned);
        let old = fact.target_true.clone().or_else(known);
        let about = |kind, prompt: Prompt| {
            let (old, new) = (old.clone(), fact.target_new.clone());
            Question { kind, edit, prompt, old, new }
        };
        questions.push(about(Kind::Edit, fact.prompt.clone()));
        let given = fact.paraphrases.iter().cloned();
        let made = paraphrases(&fact.prompt, counts.paraphrases).into_iter();
        let wordings = given.chain(made).take(counts.paraphrases.max(fact.paraphrases.len()));
        questions.extend(wordings.map(|prompt| about(Kind::Paraphrase, prompt)));
        let n_made = counts.neighbors.saturating_sub(fact.neighbors.len());
        let probes = fact.neighbors.iter().cloned().chain(neighbors(fact, n_made, seed));
        for probe in probes {
            questions.push(question(Kind::Neighbor, edit, probe, &fact.target_new)?);
        }
    }
    if let Some(first) = facts.first() {
        for probe in unrelated(facts, counts.unrelated, seed) {
            questions.push(question(Kind::Unrelated, 0, probe, &first.target_new)?);
        }
    }
    Ok(questions)
}

fn question(kind: Kind, edit: usize, probe: Probe, new: &str) -> Result<Question> {
    let prompt = Prompt::new(&probe.prompt, None)?;
    Ok(Question { kind, edit, prompt, old: probe.answer, new: new.to_owned() })
}
