//! KnowEdit's cases, whose keys have two names, and whose answers are nested lists.

use serde_json::Value;

use super::asked::{answers, fact, question, texts};
use super::{Beside, Cases, Dataset, Reader, axes, collect};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::prompt::Prompt;
use crate::data::text_file::TextFile;

const PROMPT: &[&str] = &["prompt", "text"];
const SUBJECT: &[&str] = &["subject", "concept"];
const TARGET: &[&str] = &["target_new", "labels"];

pub(super) const DATASET: Dataset = Dataset {
    name: "knowedit",
    summary: "KnowEdit: recent and counterfactual facts of Wikidata, zsRE and WikiBio",
    source: "Zhang et al. 2024, arXiv:2401.01286",
    keys: &[
        ("case_id", "the id, if it is there"),
        ("prompt or text", "the edited prompt, in which the subject is found"),
        ("subject or concept", "the subject"),
        ("target_new or labels", "the new object"),
        ("ground_truth", "the old object, the first name of it"),
        ("rephrase or rephrase_prompt", "paraphrases"),
        ("portability.Reasoning", "what follows with other knowledge"),
        ("portability.Subject_Aliasing", "the fact with its subject by another name"),
        ("portability.Logical_Generalization", "what follows by logic"),
        ("locality.Relation_Specificity", "other relations of the subject"),
        ("locality.Forgetfulness", "other objects of the subject and relation"),
    ],
    marks: &[
        &["prompt", "target_new", "portability"],
        &["prompt", "target_new", "locality"],
        &["text", "labels"],
    ],
    read: Reader::File(read),
    write: None,
};

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    collect::cases(file, |line, idx| {
        let mut record = Object::open(line)?;
        let text = record.required_one_of(PROMPT)?;
        let subject = record.required_one_of(SUBJECT)?;
        let new = record.required_one_of(TARGET)?;
        let prompt = line.at("subject", Prompt::with_subject(&text, &subject))?;
        let old = record.take("ground_truth").map(|old| nested(line, "ground_truth", old));
        let old = old.transpose()?.and_then(|old| old.into_iter().flatten().next());
        let edit = fact(prompt, &new, old.as_deref().filter(|old| !old.trim().is_empty()))?;
        let mut case = Case::of(record.id("case_id")?.unwrap_or_else(|| idx.to_string()), edit);
        case.questions.extend(paraphrases(line, &mut record, &case, &subject)?);
        for part in ["portability", "locality"] {
            if let Some(parts) = record.object(part)? {
                case.questions.extend(parts_of(line, part, parts, &subject)?);
            }
        }
        Ok(case)
    })
}

fn paraphrases(
    line: Line<'_>,
    record: &mut Object<'_>,
    case: &Case,
    subject: &str,
) -> Result<Vec<Question>> {
    let key = if record.has("rephrase") { "rephrase" } else { "rephrase_prompt" };
    let Some(value) = record.take(key) else { return Ok(Vec::new()) };
    let edit = &case.edits[0];
    let ask = |text: String| {
        let question = line.at(key, question(Axis::Paraphrase, &text, subject))?;
        Ok(question.answered(&edit.target_new).against(edit.target_true.as_deref()))
    };
    texts(line, key, value)?.into_iter().map(ask).collect()
}

/// The questions of `portability` or `locality`.
fn parts_of(
    line: Line<'_>,
    part: &str,
    mut parts: Object<'_>,
    subject: &str,
) -> Result<Vec<Question>> {
    let mut found = Vec::new();
    for name in parts.keys() {
        let unknown = || Error::UnknownKey { key: name.clone(), known: axes::known() };
        let axis = axes::axis(&name).ok_or_else(|| line.error(unknown()))?;
        for mut test in parts.objects(&name)? {
            let key = format!("{part}.{name}");
            let missing = |key| line.error(Error::MissingKey { key });
            let prompts = test.take("prompt").ok_or_else(|| missing("prompt"))?;
            let truth = test.take("ground_truth").ok_or_else(|| missing("ground_truth"))?;
            let truth = line.at(&key, answers(nested(line, "ground_truth", truth)?))?;
            for text in texts(line, "prompt", prompts)? {
                let question = line.at(&key, question(axis, &text, subject))?;
                found.push(Question { answers: truth.clone(), ..question });
            }
        }
    }
    Ok(found)
}

/// Answers, each with its names: a name, a list of names for one answer, or a list of such lists.
fn nested(line: Line<'_>, key: &str, value: Value) -> Result<Vec<Vec<String>>> {
    match value {
        Value::Array(items) if items.first().is_some_and(Value::is_array) => {
            items.into_iter().map(|item| line.strings(key, item)).collect()
        }
        other => Ok(vec![texts(line, key, other)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{questions, read, refusal};

    const CASES: &str = r#"[{"subject":"Ann","prompt":"Ann lives in","target_new":"Oslo","ground_truth":["Rome"],"rephrase":["Ann's home is"],
          "portability":{"Reasoning":[{"prompt":"The river where Ann lives is","ground_truth":[["Alna","Akerselva"]]}],
                         "Subject_Aliasing":[{"prompt":["Annie lives in"],"ground_truth":"Oslo"}],
                         "Logical Generalization":[{"prompt":"In Oslo lives","ground_truth":["Ann"]}]},
          "locality":{"Relation_Specificity":[{"prompt":"Ann eats","ground_truth":[["rice"],["figs","fig"]]}]}},
         {"concept":"Bo","text":"Bo is","labels":"a person","locality":{"Forgetfulness":[{"prompt":"Bo also is","ground_truth":[["tall"]]}]}}]"#;

    #[test]
    fn nested_answers_are_names_of_each() {
        let found = read("knowedit", CASES).unwrap();
        assert_eq!(
            questions(&found.cases[0]),
            [
                "rewrite: {Ann} lives in => Oslo !Rome",
                "paraphrase: {Ann}'s home is => Oslo !Rome",
                "reasoning: The river where {Ann} lives is => Alna|Akerselva",
                "aliasing: Annie lives in => Oslo",
                "logical: In Oslo lives => Ann",
                "same-subject: {Ann} eats => rice & figs|fig",
            ]
        );
        assert_eq!(
            questions(&found.cases[1]),
            ["rewrite: {Bo} is => a person", "forgetfulness: {Bo} also is => tall"]
        );
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        for (text, message) in [
            (r#"{"prompt":"a"}"#, ":1: missing key: subject"),
            (
                r#"{"prompt":"a","subject":"a","target_new":"b","locality":{"Other":[]}}"#,
                ":1: unknown key \"Other\": expected one of Reasoning, Compositionality_I, \
                 Compositionality_II, Subject_Aliasing, Logical_Generalization, \
                 Relation_Specificity, Relation_Specifity, Forgetfulness",
            ),
            (
                r#"{"prompt":"a","subject":"a","target_new":"b","locality":{"Forgetfulness":[{"prompt":"c"}]}}"#,
                ":1: missing key: ground_truth",
            ),
            (
                r#"{"prompt":"a","subject":"a","target_new":"b","ground_truth":[["c"],"d"]}"#,
                ":1: `ground_truth` has the wrong type: expected a list, found: a string",
            ),
        ] {
            assert_eq!(refusal("knowedit", text), message);
        }
    }
}
