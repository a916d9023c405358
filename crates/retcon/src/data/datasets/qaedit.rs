//! Questions of question answering whose right answers are edited in: QAEdit and its like.

use super::asked::{fact, name, names, question, texts};
use super::{Beside, Cases, Dataset, Reader, collect};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::prompt::Prompt;
use crate::data::text_file::TextFile;

const PROMPT: &[&str] = &["prompt", "src"];
const TARGET: &[&str] = &["target_new", "target", "alt"];
const REPHRASE: &[&str] = &["rephrase_prompt", "rephrase"];
const LOCALITY: &[&str] = &["locality_prompt", "loc"];
const LOCALITY_ANSWER: &[&str] = &["locality_ground_truth", "loc_ans"];

pub(super) const DATASET: Dataset = Dataset {
    name: "qaedit",
    summary: "Questions with right answers: QAEdit, and flat files of LocFT and UltraEdit",
    source: "Yang et al. 2025, arXiv:2502.11177",
    keys: &[
        ("case_id", "the id, if it is there"),
        ("prompt or src", "the edited prompt, in which `subject` is found"),
        ("subject", "the subject"),
        ("target_new, target or alt", "the new object"),
        ("ground_truth", "the old object, if it is there and another"),
        ("rephrase_prompt or rephrase", "a paraphrase"),
        ("locality_prompt or loc", "something unrelated"),
        ("locality_ground_truth or loc_ans", "its answer"),
        ("locality", "a list of more of these, each with loc and loc_ans"),
    ],
    marks: &[
        &["prompt", "target", "rephrase"],
        &["prompt", "target_new", "rephrase_prompt"],
        &["prompt", "target_new", "rephrase"],
        &["prompt", "target_new", "locality_prompt"],
        &["src", "alt"],
    ],
    read: Reader::File(read),
    write: None,
};

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    collect::cases(file, |line, idx| {
        let mut record = Object::open(line)?;
        let text = record.required_one_of(PROMPT)?;
        let new = target(line, &mut record)?;
        let subject = record.string("subject")?.unwrap_or_default();
        let prompt = line.at("subject", Prompt::with_subject(&text, &subject))?;
        let old = record.take("ground_truth").map(|old| texts(line, "ground_truth", old));
        let old = old.transpose()?.and_then(|old| old.into_iter().find(|old| !old.is_empty()));
        let edit = fact(prompt, &new[0], old.filter(|old| !new.contains(old)).as_deref())?;
        let mut case = Case::of(record.id("case_id")?.unwrap_or_else(|| idx.to_string()), edit);
        case.questions[0].answers = vec![new.clone()];
        if let Some(text) = record.one_of(REPHRASE)? {
            let other = line.at(REPHRASE[0], question(Axis::Paraphrase, &text, &subject))?;
            let old = case.edits[0].target_true.as_deref();
            case.questions.push(other.named(new).against(old));
        }
        case.questions.extend(unrelated(line, &mut record)?);
        for mut record in record.objects("locality")? {
            case.questions.extend(unrelated(line, &mut record)?);
        }
        Ok(case)
    })
}

/// The names of the new object.
fn target(line: Line<'_>, record: &mut Object<'_>) -> Result<Vec<String>> {
    let key = TARGET.iter().find(|key| record.has(key)).copied();
    let value = key.and_then(|key| record.take(key));
    let (Some(key), Some(value)) = (key, value) else {
        return Err(line.error(Error::MissingKey { key: TARGET[0] }));
    };
    line.at(key, names(texts(line, key, value)?))
}

fn unrelated(line: Line<'_>, record: &mut Object<'_>) -> Result<Option<Question>> {
    let Some(text) = record.one_of(LOCALITY)? else { return Ok(None) };
    let question = line.at(LOCALITY[0], question(Axis::Unrelated, &text, ""))?;
    let answer = record.required_one_of(LOCALITY_ANSWER)?;
    Ok(Some(question.named(line.at(LOCALITY_ANSWER[0], name(answer))?)))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{left_out, questions, read, refusal};

    const CASES: &str = r#"[{"subject":"Ann","prompt":"Where does Ann live?","target":["Oslo","Kristiania"],"rephrase":"In which town is Ann?","locality":[{"loc":"Who wrote it?","loc_ans":"Bo"}]},
        {"subject":"Bo","src":"Where is Bo?","alt":"Rome","ground_truth":["Bonn"],"loc":"Who?","loc_ans":"Cy"},
        {"subject":"","prompt":"Where is Cy?","target_new":"Rome"}]"#;

    #[test]
    fn all_names_of_keys_are_known() {
        let found = read("qaedit", CASES).unwrap();
        assert_eq!(
            questions(&found.cases[0]),
            [
                "rewrite: Where does {Ann} live? => Oslo|Kristiania",
                "paraphrase: In which town is {Ann}? => Oslo|Kristiania",
                "unrelated: Who wrote it? => Bo",
            ]
        );
        assert_eq!(
            questions(&found.cases[1]),
            ["rewrite: Where is {Bo}? => Rome !Bonn", "unrelated: Who? => Cy"]
        );
        assert_eq!(
            left_out(&found),
            "`subject`: empty subject: write its name between the braces: \
             The capital of {France} is"
        );
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        for (text, message) in [
            (r#"{"subject":"a"}"#, ":1: missing key: prompt"),
            (r#"{"prompt":"a"}"#, ":1: missing key: target_new"),
            (
                r#"{"prompt":"a","target":{}}"#,
                ":1: `target` has the wrong type: expected a string, found: an object",
            ),
        ] {
            assert_eq!(refusal("qaedit", text), message);
        }
    }
}
