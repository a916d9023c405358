//! The report of an edit: every question before and after, the drift, the verdict.

use retcon_model::Model;
use serde::{Deserialize, Serialize};

use super::answer::{begins_with, first};
use super::belief::{Belief, believe, believe_and_note};
use super::drift::{Drift, N_PROMPTS, drift, unrelated_prompts};
use super::questions::{Counts, Question, questions};
use crate::data::Fact;
use crate::data::case::Axis;
use crate::error::Result;
use crate::tokens::fits;

/// What an edit did. Its JSON is the contract of docs/formats.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether every edited prompt gets its new object, teacher-forced and said freely.
    pub success: bool,
    /// One row a question.
    pub rows: Vec<Row>,
    /// The drift on unrelated prompts.
    pub drift: Drift,
}

/// A question, and the answers before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is asked for.
    pub axis: Axis,
    /// The edit that it belongs to.
    pub edit: usize,
    /// What is asked.
    pub prompt: String,
    /// The answer before the edit.
    pub old: Option<String>,
    /// The edit's object.
    pub new: String,
    /// What the model believed.
    pub before: Belief,
    /// What it believes now.
    pub after: Belief,
}

impl Row {
    /// Whether the answer is as it should be: the new object, or the same as before up to the
    /// first mark or the third word.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        if self.axis.should_change() {
            self.after.new_leads && begins_with(&self.after.says, &self.new)
        } else {
            first(&self.before.says) == first(&self.after.says)
        }
    }
}

impl Report {
    /// How many rows of an axis are as wanted, and how many there are.
    #[must_use]
    pub fn tally(&self, axis: Axis) -> (usize, usize) {
        let rows = || self.rows.iter().filter(|row| row.axis == axis);
        (rows().filter(|row| row.is_as_wanted()).count(), rows().count())
    }
}

/// Asks both models about `facts`, and measures the drift between them.
///
/// # Errors
/// What the tokenizer and the models report.
pub fn compare(
    before: &Model,
    after: &Model,
    facts: &[Fact],
    counts: Counts,
    seed: u64,
) -> Result<Report> {
    let mut questions = fitting(before, questions(facts, counts, seed)?)?;
    let old = believe_and_note(before, &mut questions)?;
    let new = believe(after, &questions)?;
    let rows = questions.into_iter().zip(old.into_iter().zip(new)).map(row);
    let rows: Vec<Row> = rows.collect();
    let edits = || rows.iter().filter(|row| row.axis == Axis::Rewrite);
    let success = edits().all(Row::is_as_wanted);
    let drift = drift(before, after, &unrelated_prompts(facts, N_PROMPTS, seed)?)?;
    Ok(Report { success, rows, drift })
}

/// The questions that are no longer, with their answers, than the model takes. Those that are made
/// here may be, where a model takes few positions; those about edits stay in any case.
fn fitting(model: &Model, questions: Vec<Question>) -> Result<Vec<Question>> {
    let mut fitting = Vec::new();
    for mut question in questions {
        let fits = |object: &str| fits(model, &question.prompt, object);
        let old_fits = question.old.as_deref().map_or(Ok(true), fits)?;
        if question.axis == Axis::Rewrite {
            question.old = question.old.filter(|_| old_fits);
            fitting.push(question);
        } else if old_fits && fits(&question.new)? {
            fitting.push(question);
        }
    }
    Ok(fitting)
}

fn row((question, (before, after)): (Question, (Belief, Belief))) -> Row {
    Row {
        axis: question.axis,
        edit: question.edit,
        prompt: question.prompt.text().to_owned(),
        old: question.old,
        new: question.new,
        before,
        after,
    }
}

/// The facts among `facts` whose new object the model says already, by index.
///
/// # Errors
/// What the tokenizer and the model report.
pub fn already_said(model: &Model, facts: &[Fact]) -> Result<Vec<usize>> {
    let none = Counts { paraphrases: 0, neighbors: 0, unrelated: 0 };
    let questions: Vec<_> = questions(facts, none, 0)?
        .into_iter()
        .filter(|question| question.axis == Axis::Rewrite)
        .collect();
    let beliefs = believe(model, &questions)?;
    let said = questions
        .iter()
        .zip(&beliefs)
        .filter(|(question, belief)| belief.new_leads && begins_with(&belief.says, &question.new));
    Ok(said.map(|(question, _)| question.edit).collect())
}
