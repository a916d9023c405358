//! RippleEdits' cases: an edit, and tests of all that follows from it or must not, with conditions.

use super::asked::{answers, fact, question};
use super::ripple_edit::Edit;
use super::{Beside, Cases, Dataset, Reader, axes, collect};
use crate::data::case::{Axis, Case, Question, Test};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

pub(super) const DATASET: Dataset = Dataset {
    name: "ripple",
    summary: "RippleEdits, tests of what an edit has to change elsewhere, with conditions",
    source: "Cohen et al. 2023, arXiv:2307.12976",
    keys: &[
        ("edit.prompt", "the edited prompt, in it the subject, and behind it the new object"),
        ("edit.original_fact or previous_fact", "the old object, at the end of its prompt"),
        ("edit.relation", "the group, and what stands around the subject"),
        ("Logical_Generalization", "what follows by logic"),
        ("Compositionality_I, Compositionality_II", "what follows with other knowledge"),
        ("Subject_Aliasing", "the fact with its subject by another name"),
        ("Relation_Specificity", "other relations of the subject"),
        ("Forgetfulness", "other objects of the subject and relation"),
        ("test_queries[].prompt, .answers", "questions, each answer with its aliases"),
        ("test_condition", "whether all questions of a test have to be right, or any"),
        ("condition_queries", "questions that have to be right before the edit"),
    ],
    marks: &[&["edit", "Forgetfulness"], &["edit", "example_type"], &["edit", "Subject_Aliasing"]],
    read: Reader::File(read),
    write: None,
};

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    collect::cases(file, |line, idx| {
        let mut record = Object::open(line)?;
        let edit = Edit::parse(&mut record.required_object("edit")?)?;
        let mut tests = Vec::new();
        for name in record.keys() {
            if let Some(axis) = axes::axis(&name) {
                for test in record.objects(&name)? {
                    tests.push(asked(line, axis, &name, test)?);
                }
            }
        }
        let others = tests.iter().flat_map(|test| &test.queries).map(|query| query.text.as_str());
        let others: Vec<&str> = others.collect();
        let (prompt, new, old) = line.at("edit", edit.split(&others))?;
        let subject = prompt.subject_text().unwrap_or_default().to_owned();
        let mut case = Case::of(idx.to_string(), fact(prompt, &new, old.as_deref())?);
        case.group = Some(edit.relation);
        for (idx, test) in tests.into_iter().enumerate() {
            case.tests.push(test.how);
            for Query { key, text, answers, condition } in test.queries {
                let question = line.at(&key, question(test.axis, &text, &subject))?;
                let answers = line.at(&key, self::answers(answers))?;
                let question = Question { answers, ..question };
                case.questions.push(question.in_test(idx, condition));
            }
        }
        Ok(case)
    })
}

/// A test before the subject of its case is known.
struct Asked {
    axis: Axis,
    how: Test,
    queries: Vec<Query>,
}

struct Query {
    key: String,
    text: String,
    answers: Vec<Vec<String>>,
    condition: bool,
}

fn asked(line: Line<'_>, axis: Axis, name: &str, mut test: Object<'_>) -> Result<Asked> {
    let how = how(line, test.string("test_condition")?.as_deref())?;
    let mut queries = Vec::new();
    for (list, condition) in [("test_queries", false), ("condition_queries", true)] {
        for mut query in test.objects(list)? {
            let text = query.required("prompt")?;
            let answers = with_aliases(&mut query)?;
            queries.push(Query { key: format!("{name}.{list}"), text, answers, condition });
        }
    }
    Ok(Asked { axis, how, queries })
}

fn how(line: Line<'_>, condition: Option<&str>) -> Result<Test> {
    match condition {
        Some("OR") => Ok(Test::Any),
        Some("AND") | None => Ok(Test::All),
        Some(other) => {
            let (key, known) = ("test_condition".to_owned(), "OR, AND".to_owned());
            Err(line.error(Error::UnknownValue { key, known, found: other.to_owned() }))
        }
    }
}

/// The answers of a query, each with its aliases but for single letters, which are everywhere.
fn with_aliases(query: &mut Object<'_>) -> Result<Vec<Vec<String>>> {
    let says_much = |alias: &String| {
        let mut letters = alias.trim().chars();
        let first = letters.next().is_some_and(|first| first.is_ascii_digit());
        first || letters.next().is_some()
    };
    let read = |mut answer: Object<'_>| {
        let mut names = vec![answer.required("value")?];
        names.extend(answer.strings("aliases")?.into_iter().filter(says_much));
        Ok(names)
    };
    query.objects("answers")?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{left_out, questions, read, refusal};
    use super::*;

    const CASES: &str = r#"[{"example_type":"popular",
        "edit":{"prompt":"The name of the country of citizenship of Ann Bell is Norway.","subject_id":"Q1","relation":"COUNTRY_OF_CITIZENSHIP","target_id":"Q2",
                "original_fact":{"prompt":"The name of the country of citizenship of Ann Bell is Italy.","subject_id":"Q1","relation":"COUNTRY_OF_CITIZENSHIP","target_id":"Q3"}},
        "Relation_Specifity":[{"test_queries":[{"prompt":"The name of the mother of Ann Bell is","answers":[{"value":"Bo Bell","aliases":["Bo","B"]}],"query_type":"regular","subject_id":"Q1","relation":"MOTHER","target_ids":["Q4"]}],
                               "test_condition":"OR","condition_queries":[{"prompt":"The name of the mother of Ann Bell is","answers":[{"value":"Bo Bell","aliases":[]}],"subject_id":"Q1","relation":"MOTHER"}]}],
        "Subject_Aliasing":[{"test_queries":[{"prompt":"The name of the country of citizenship of A. Bell is","answers":[{"value":"Norway","aliases":["NO"]}],"subject_id":"Q1","relation":"COUNTRY_OF_CITIZENSHIP","target_ids":["Q2"]}],"test_condition":"AND","condition_queries":[]}],
        "Compositionality_I":[{"test_queries":[{"prompt":"The head of Norway is","answers":[{"value":" ","aliases":[]}],"query_type":"two_hop","relation":["X"],"target_ids":[null]}],"test_condition":"OR","condition_queries":[]}],
        "Forgetfulness":[]},
       {"example_type":"recent","edit":{"prompt":"Cy follows Di.","subject_id":"Q8","relation":"FOLLOWS","target_id":"Q9"}},
       {"example_type":"recent","edit":{"prompt":"Cy likes Di.","subject_id":"Q8","relation":"LIKES","target_id":"Q9"}}]"#;

    #[test]
    fn the_edit_is_split_and_tests_keep_their_conditions() {
        let found = read("ripple", CASES).unwrap();
        let case = &found.cases[0];
        assert_eq!(
            questions(case),
            [
                "rewrite: The name of the country of citizenship of {Ann Bell} is => Norway !Italy",
                "same-subject: The name of the mother of {Ann Bell} is => Bo Bell|Bo #0",
                "same-subject: The name of the mother of {Ann Bell} is => Bo Bell #0?",
                "aliasing: The name of the country of citizenship of A. Bell is => Norway|NO #1",
                "reasoning: The head of Norway is =>  #2",
            ]
        );
        assert_eq!(case.tests, [Test::Any, Test::All, Test::Any]);
        assert_eq!(case.group.as_deref(), Some("COUNTRY_OF_CITIZENSHIP"));
        assert_eq!(questions(&found.cases[1]), ["rewrite: {Cy} follows => Di"]);
        assert_eq!(
            left_out(&found),
            "`edit`: no known relation found in the sentence: Cy likes Di."
        );
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        for (text, message) in [
            (r#"{"example_type":"recent"}"#.to_owned(), ":1: missing key: edit"),
            (
                CASES.replace("\"OR\"", "\"XOR\""),
                ":1: `test_condition` is none of OR, AND, found: \"XOR\"",
            ),
            (CASES.replace("\"value\":\"Bo Bell\"", "\"v\":1"), ":1: missing key: value"),
        ] {
            assert_eq!(refusal("ripple", &text), message);
        }
    }
}
