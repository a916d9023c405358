//! Choosing cases: those that a model can be edited with and asked, none against another.

use std::collections::BTreeMap;

use retcon::data::case::{Axis, Case, Question};
use retcon::eval::accuracy::said;
use retcon::tokens::{fits, query};
use retcon::{Ctx, Model, Progress};

use crate::error::Result;
use crate::plan::Asking;

/// Facts that are asked for each one that is wanted kept, before the search for more is given up.
const ASKED: usize = 64;

/// Facts that are asked at once.
const AT_ONCE: usize = 32;

/// The cases of a benchmark.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those that are edited.
    pub cases: Vec<Case>,
    /// Those that are not, whose old objects the model knows and must go on to know.
    pub kept: Vec<Case>,
    /// How many others there were to choose those from.
    pub n_others: usize,
    /// The ids of those that can't be, and why.
    pub left_out: Vec<(String, String)>,
}

/// The first `n` of `cases` that `model` can be edited with, and the first of the others whose old object
/// it says, as many as `asking` wants kept: what a model does not know, no edit can make it forget.
/// There are fewer where the model knows too few of those that are asked, 64 for each.
///
/// A case is left out where its edit can't be put into tokens, or where an earlier one gives the same
/// prompt another object, which a batch or a sequence could not hold.
///
/// # Errors
/// Where the model can't be run.
pub fn select(
    ctx: &Ctx<'_>,
    model: &Model,
    cases: Vec<Case>,
    n: Option<usize>,
    asking: Asking,
) -> Result<Selection> {
    let mut selection = Selection::default();
    let mut others = Vec::new();
    let mut objects: BTreeMap<String, String> = BTreeMap::new();
    for case in cases {
        let is_full = n.is_some_and(|n| selection.cases.len() >= n);
        if is_full && others.len() >= ASKED * asking.kept {
            break;
        }
        let mut again = case.edits.iter().filter_map(|edit| {
            objects.get(edit.prompt.text()).map(|object| *object == edit.target_new)
        });
        // What is edited can't be kept, whatever it is edited to.
        let problem = match again.find(|is_same| is_full || !is_same) {
            Some(true) => Some("an earlier case edits the same prompt".to_owned()),
            Some(false) => Some("an earlier case gives the same prompt another object".to_owned()),
            None => problem(model, &case),
        };
        if let Some(problem) = problem {
            selection.left_out.push((case.id, problem));
            continue;
        }
        let edits = case.edits.iter();
        objects.extend(edits.map(|edit| (edit.prompt.text().to_owned(), edit.target_new.clone())));
        if !is_full {
            selection.cases.push(if asking.text > 0 { with_generation(case) } else { case });
        } else if case.edits.len() == 1 && case.edits[0].target_true.is_some() {
            others.push(case);
        }
    }
    selection.n_others = others.len();
    selection.kept = known(ctx, model, others, asking.kept)?;
    Ok(selection)
}

/// Whether two cases edit the same prompt, so that no model can hold both.
#[must_use]
pub fn meet(a: &Case, b: &Case) -> bool {
    a.edits.iter().any(|a| b.edits.iter().any(|b| a.prompt.text() == b.prompt.text()))
}

/// The first `n` of `cases` whose old object `model` says.
fn known(ctx: &Ctx<'_>, model: &Model, cases: Vec<Case>, n: usize) -> Result<Vec<Case>> {
    let mut known = Vec::new();
    for (i, chunk) in cases.chunks(AT_ONCE).enumerate() {
        ctx.report(&Progress::new("choosing facts that stay", i * AT_ONCE, cases.len()))?;
        let asked = chunk.iter().filter_map(|case| {
            let edit = &case.edits[0];
            Some((case, query(model, &edit.prompt, edit.target_true.as_ref()?).ok()?))
        });
        let (cases, queries): (Vec<_>, Vec<_>) = asked.unzip();
        let said = said(&ctx.quiet(), model, &queries)?;
        known.extend(
            cases.into_iter().zip(said).filter(|(_, said)| *said).map(|(case, _)| case.clone()),
        );
        if known.len() >= n {
            break;
        }
    }
    known.truncate(n);
    Ok(known)
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
