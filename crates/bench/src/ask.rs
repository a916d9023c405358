//! Asking a model a case, and what it holds out.

use retcon::data::case::{Axis, Case, Question};
use retcon::data::{Fact, Probe, Prompt, sums, unrelated};
use retcon::eval::fluency::write;
use retcon::eval::held::{HeldText, Holds};
use retcon::eval::reading::{Ask, Reading, read};
use retcon::{Model, Result};

use crate::plan::Asking;

/// What `model` says to the questions of some cases, all at once. `first` is the number of the first of
/// them, which the texts that are written begin from. Conditions of tests are asked `before` an edit
/// alone.
pub(crate) fn ask(
    model: &Model,
    cases: &[Case],
    first: usize,
    asking: Asking,
    when: When,
) -> Result<Vec<Vec<Reading>>> {
    let is_asked = |question: &&Question| {
        let is_condition = question.part.is_some_and(|part| part.condition);
        question.axis != Axis::Generation && (when == When::Before || !is_condition)
    };
    let questions = cases.iter().flat_map(|case| &case.questions).filter(is_asked);
    let asks: Vec<Ask<'_>> = questions.map(|question| of(question, asking.free)).collect();
    let mut readings = read(model, &asks)?.into_iter();
    let of_case = |(i, case): (usize, &Case)| {
        let mut texts = texts(model, case, asking, (first + i) as u64)?.into_iter();
        let answers = case.questions.iter().map(|question| match question.axis {
            Axis::Generation => Reading { says: texts.next().flatten(), ..Reading::default() },
            _ if is_asked(&question) => readings.next().unwrap_or_default(),
            _ => Reading::default(),
        });
        Ok(answers.collect())
    };
    cases.iter().enumerate().map(of_case).collect()
}

fn of(question: &Question, n_free: usize) -> Ask<'_> {
    // Whether a test counts is told by a free answer, also where no other is asked for.
    let is_condition = question.part.is_some_and(|part| part.condition);
    let n_free = if is_condition && n_free == 0 { Asking::default().free } else { n_free };
    let objects = [question.answer(), question.other.as_deref()];
    Ask { prompt: &question.prompt, objects, n_free, stops: true }
}

/// Whether a model is asked before or after its edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

/// The texts that the model writes about the subject.
fn texts(model: &Model, case: &Case, asking: Asking, seed: u64) -> Result<Vec<Option<String>>> {
    let beginnings = case.questions.iter().filter(|q| q.axis == Axis::Generation);
    let beginnings: Vec<&str> = beginnings.map(|question| question.prompt.text()).collect();
    if asking.text == 0 {
        return Ok(vec![None; beginnings.len()]);
    }
    let texts = write(model, &beginnings, asking.text, seed)?.into_iter();
    Ok(texts.map(|text| Some(text).filter(|text| !text.is_empty())).collect())
}

/// What must not change whatever is edited: common knowledge, sums, and facts that are `kept`.
pub(crate) fn held(cases: &[Case], kept: &[Case], asking: Asking) -> Vec<HeldText> {
    let facts: Vec<Fact> = cases.iter().flat_map(|case| case.edits.iter().cloned()).collect();
    let text = |holds: Holds| {
        move |probe: &Probe| {
            let prompt = Prompt::new(&probe.prompt, None).ok()?;
            let holds = if probe.answer.is_some() { holds } else { Holds::Text };
            Some(HeldText { holds, prompt, answer: probe.answer.clone() })
        }
    };
    let general = unrelated(&facts, asking.general, 0);
    let sums = sums();
    let of_kept = kept.iter().filter_map(|case| {
        let edit = case.edits.first()?;
        let (holds, prompt) = (Holds::Kept, edit.prompt.clone());
        Some(HeldText { holds, prompt, answer: edit.target_true.clone() })
    });
    let general = general.iter().filter_map(text(Holds::General));
    let sums = sums.iter().take(asking.general / 2).filter_map(text(Holds::Arithmetic));
    general.chain(sums).chain(of_kept).collect()
}
