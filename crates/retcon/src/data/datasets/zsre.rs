//! zsRE's cases in the form that MEND gave them, with either of two targets.

use super::asked::{asked, fact, name, names, question};
use super::{Beside, Cases, Dataset, Reader, collect};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::prompt::Prompt;
use crate::data::text_file::TextFile;

/// What stands before every question of another data set.
const FROM_NQ: &str = "nq question: ";

/// The edit makes the model say something wrong, as MEND has it.
pub(super) const ZSRE: Dataset = Dataset {
    name: "zsre",
    summary: "zsRE in MEND's form, where a question gets a wrong answer",
    source: "Levy et al. 2017, arXiv:1706.04115; in this form Mitchell et al. 2022, arXiv:2110.11309",
    keys: &[
        ("src", "the edited prompt, in which `subject` is found"),
        ("subject", "the subject"),
        ("alt", "the new object"),
        ("answers", "the first is the old object"),
        ("rephrase", "a paraphrase, if it is there"),
        ("loc, loc_ans", "something unrelated, as a question, and its answer"),
        ("pred, cond", "nothing"),
    ],
    marks: &[&["src", "alt", "answers"]],
    read: Reader::File(|file, _: &Beside| read(file, alt)),
    write: None,
};

/// The edit makes the model say what is right, as ROME has it.
pub(super) const ZSRE_ROME: Dataset = Dataset {
    name: "zsre-rome",
    summary: "The same file, where a question gets its right answer, as ROME evaluates it",
    source: "Meng et al. 2022, arXiv:2202.05262",
    keys: &[
        ("src, subject, rephrase, loc, loc_ans", "as in zsre"),
        ("answers", "the first is the new object, others are other names of it"),
        ("pred", "the old object, if it is there and no right answer"),
        ("alt, cond", "nothing"),
    ],
    marks: &[],
    read: Reader::File(|file, _: &Beside| read(file, right)),
    write: None,
};

/// What an edit is to say, by its names, and what was said before.
type Targets = (Vec<String>, Option<String>);

fn alt(line: Line<'_>, record: &mut Object<'_>) -> Result<Targets> {
    let new = line.at("alt", name(record.required("alt")?))?;
    let answers = answers(line, record)?;
    let is_right = answers.contains(&new[0]);
    Ok((new, answers.into_iter().next().filter(|_| !is_right)))
}

fn right(line: Line<'_>, record: &mut Object<'_>) -> Result<Targets> {
    let new = answers(line, record)?;
    let old = record.string("pred")?.filter(|old| !old.trim().is_empty() && !new.contains(old));
    Ok((new, old))
}

fn answers(line: Line<'_>, record: &mut Object<'_>) -> Result<Vec<String>> {
    if !record.has("answers") {
        return Err(line.error(Error::MissingKey { key: "answers" }));
    }
    line.at("answers", names(record.strings("answers")?))
}

fn read(
    file: &TextFile,
    targets: fn(Line<'_>, &mut Object<'_>) -> Result<Targets>,
) -> Result<Cases> {
    collect::cases(file, |line, idx| {
        let mut record = Object::open(line)?;
        let subject = record.required("subject")?;
        let src = record.required("src")?;
        let (new, old) = targets(line, &mut record)?;
        let prompt = line.at("src", Prompt::with_subject(&src, &subject))?;
        let edit = fact(prompt, &new[0], old.as_deref())?;
        let mut case = Case::of(record.id("case_id")?.unwrap_or_else(|| idx.to_string()), edit);
        case.questions[0].answers = vec![new.clone()];
        case.questions.extend(
            paraphrase(line, &mut record, &subject)?
                .map(|question| question.named(new).against(case.edits[0].target_true.as_deref())),
        );
        case.questions.extend(unrelated(line, &mut record)?);
        Ok(case)
    })
}

fn paraphrase(line: Line<'_>, record: &mut Object<'_>, subject: &str) -> Result<Option<Question>> {
    let Some(text) = record.string("rephrase")? else { return Ok(None) };
    line.at("rephrase", question(Axis::Paraphrase, &text, subject)).map(Some)
}

fn unrelated(line: Line<'_>, record: &mut Object<'_>) -> Result<Option<Question>> {
    let Some(text) = record.string("loc")? else { return Ok(None) };
    let text = asked(text.strip_prefix(FROM_NQ).unwrap_or(&text));
    let question = line.at("loc", question(Axis::Unrelated, &text, ""))?;
    Ok(Some(question.named(line.at("loc_ans", name(record.required("loc_ans")?))?)))
}
