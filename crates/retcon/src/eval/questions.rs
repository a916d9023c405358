//! What is asked before and after an edit: the prompt itself, paraphrases, neighbors, the rest.

use crate::data::case::Axis;
use crate::data::{Fact, Probe, Prompt, known_answer, neighbors, paraphrases, unrelated};
use crate::error::Result;

/// What [`questions`] are asked for, in the order in which reports have it.
pub const AXES: [Axis; 4] = [Axis::Rewrite, Axis::Paraphrase, Axis::Neighbor, Axis::Unrelated];

/// Something to ask a model, and the two answers whose probabilities matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What it is asked for.
    pub axis: Axis,
    /// The edit that it belongs to, by index; of unrelated ones the first.
    pub edit: usize,
    /// What is asked.
    pub prompt: Prompt,
    /// The answer before the edit; `None` where only the model knows it.
    pub old: Option<String>,
    /// The edit's object.
    pub new: String,
}

/// How many questions of each axis, per edit where they belong to one.
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
        let about = |axis, prompt: Prompt| {
            let (old, new) = (old.clone(), fact.target_new.clone());
            Question { axis, edit, prompt, old, new }
        };
        questions.push(about(Axis::Rewrite, fact.prompt.clone()));
        let given = fact.paraphrases.iter().cloned();
        let made = paraphrases(&fact.prompt, counts.paraphrases).into_iter();
        let wordings = given.chain(made).take(counts.paraphrases.max(fact.paraphrases.len()));
        questions.extend(wordings.map(|prompt| about(Axis::Paraphrase, prompt)));
        let n_made = counts.neighbors.saturating_sub(fact.neighbors.len());
        let probes = fact.neighbors.iter().cloned().chain(neighbors(fact, n_made, seed));
        for probe in probes {
            questions.push(question(Axis::Neighbor, edit, probe, &fact.target_new)?);
        }
    }
    if let Some(first) = facts.first() {
        for probe in unrelated(facts, counts.unrelated, seed) {
            questions.push(question(Axis::Unrelated, 0, probe, &first.target_new)?);
        }
    }
    Ok(questions)
}

fn question(axis: Axis, edit: usize, probe: Probe, new: &str) -> Result<Question> {
    let prompt = Prompt::new(&probe.prompt, None)?;
    Ok(Question { axis, edit, prompt, old: probe.answer, new: new.to_owned() })
}
