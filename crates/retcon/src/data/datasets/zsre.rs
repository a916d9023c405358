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

#[cfg(test)]
mod tests {
    use super::super::sample::{left_out, questions, read, refusal};

    const CASES: &str = r#"
        {"subject":"Ann","src":"Where does Ann live?","pred":"Bonn","rephrase":"In which town is Ann?","alt":"Oslo","answers":["Rome","Roma"],"loc":"nq question: who wrote it","loc_ans":"Bo","cond":"x"}
        {"subject":"Bo","src":"Where does Bo live?","alt":"Rome","answers":["Rome"]}
        {"subject":"Cy","src":"Where does Bo live?","alt":"Rome","answers":["Oslo"]}"#;

    #[test]
    fn a_wrong_answer_is_the_target() {
        let found = read("zsre", CASES).unwrap();
        assert_eq!(
            questions(&found.cases[0]),
            [
                "rewrite: Where does {Ann} live? => Oslo !Rome",
                "paraphrase: In which town is {Ann}? => Oslo !Rome",
                "unrelated: Who wrote it? => Bo",
            ]
        );
        assert_eq!(questions(&found.cases[1]), ["rewrite: Where does {Bo} live? => Rome"]);
        assert_eq!(
            left_out(&found),
            "`src`: subject not found in the prompt: expected \"Cy\" in: Where does Bo live?"
        );
        assert_eq!(found.left_out[0].0.line, 4);
    }

    #[test]
    fn the_right_answer_is_the_target_of_rome() {
        let found = read("zsre-rome", CASES).unwrap();
        assert_eq!(
            questions(&found.cases[0])[..2],
            [
                "rewrite: Where does {Ann} live? => Rome|Roma !Bonn",
                "paraphrase: In which town is {Ann}? => Rome|Roma !Bonn",
            ]
        );
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        for (text, message) in [
            (r#"{"subject":"a","src":"a?","answers":["b"]}"#, ":1: missing key: alt"),
            (r#"{"subject":"a","src":"a?","alt":"b"}"#, ":1: missing key: answers"),
            (
                "\n[\n{\"subject\":\"a\",\"src\":3}]",
                ":3: `src` has the wrong type: expected a string, found: a number",
            ),
            (
                r#"{"subject":"a","src":"a?","alt":" ","answers":["b"]}"#,
                ", the first: `alt`: `answer` is empty: expected text",
            ),
            (
                r#"{"subject":"a","src":"a?","alt":"b","answers":["c"],"loc":"d"}"#,
                ":1: missing key: loc_ans",
            ),
        ] {
            assert_eq!(refusal("zsre", text), message);
        }
    }
}
