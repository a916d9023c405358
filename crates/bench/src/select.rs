//! Choosing cases: those that a model can be edited with and asked, each prompt once.

use std::collections::BTreeSet;

use retcon::Model;
use retcon::data::case::{Axis, Case, Question};
use retcon::edit::lookup::{fits, query};

use crate::plan::Asking;

/// The cases of a benchmark.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those that are edited.
    pub cases: Vec<Case>,
    /// Those that are not, whose old objects must stay.
    pub kept: Vec<Case>,
    /// The ids of those that can't be, and why.
    pub left_out: Vec<(String, String)>,
}

/// The first `n` of `cases` that `model` can be edited with, and the first of the others whose old object
/// is known, as many as `asking` wants kept.
///
/// A case is left out where its edit can't be put into tokens, or an earlier one edits the same prompt,
/// which a batch or a sequence could not hold.
#[must_use]
pub fn select(model: &Model, cases: Vec<Case>, n: Option<usize>, asking: Asking) -> Selection {
    let mut selection = Selection::default();
    let mut prompts = BTreeSet::new();
    for case in cases {
        let is_full = n.is_some_and(|n| selection.cases.len() >= n);
        if is_full && selection.kept.len() >= asking.kept {
            break;
        }
        let edits = || case.edits.iter().map(|edit| edit.prompt.text().to_owned());
        let is_again = edits().any(|prompt| prompts.contains(&prompt));
        let problem = match is_again {
            true => Some("an earlier case edits the same prompt".to_owned()),
            false => problem(model, &case),
        };
        if let Some(problem) = problem {
            selection.left_out.push((case.id, problem));
            continue;
        }
        prompts.extend(edits());
        if !is_full {
            selection.cases.push(if asking.text > 0 { with_generation(case) } else { case });
        } else if case.edits.len() == 1 && case.edits[0].target_true.is_some() {
            selection.kept.push(case);
        }
    }
    selection
}

/// Why a model can't be edited with a case.
fn problem(model: &Model, case: &Case) -> Option<String> {
    for edit in &case.edits {
        match query(model, &edit.prompt, &edit.target_new) {
            Err(error) => return Some(error.to_string()),
            Ok(query) if query.subject.as_ref().is_none_or(std::ops::Range::is_empty) => {
                return Some("no token of the prompt is its subject's".to_owned());
            }
            Ok(_) => {}
        }
        match fits(model, &edit.prompt, &edit.target_new) {
            Err(error) => return Some(error.to_string()),
            Ok(false) => return Some("its edit is longer than what the model takes".to_owned()),
            Ok(true) => {}
        }
    }
    None
}

/// Gives a case that has no beginning of a text one: its edited prompt.
fn with_generation(mut case: Case) -> Case {
    let has_one = case.questions.iter().any(|question| question.axis == Axis::Generation);
    if let (false, Some(edit)) = (has_one, case.edits.first()) {
        case.questions.push(Question::new(Axis::Generation, edit.prompt.clone()));
    }
    case
}
