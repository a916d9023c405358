//! Our own format of cases, which holds all that a case has; the other formats hold a part of it.

use serde_json::{Map, Value, json};

use super::write::{Shape, Writer};
use super::{Beside, Cases, Dataset, Reader, collect};
use crate::data::case::{Axis, Case, Part, Question, Test};
use crate::data::error::{Error, Origin, Result};
use crate::data::fact::{Fact, line as one_line};
use crate::data::jsonl;
use crate::data::object::{Line, Object};
use crate::data::prompt::Prompt;
use crate::data::text_file::TextFile;

pub(super) const DATASET: Dataset = Dataset {
    name: "cases",
    summary: "All that a case has, one a line; what other formats become",
    source: "docs/formats.md",
    keys: &[
        ("id, group", "the id, and what it is reported under"),
        ("edits", "what is edited: prompt, target_new, target_true"),
        ("questions", "what is asked: axis, prompt, answers, other, test, condition"),
        ("tests", "how the questions of each test count together: all or any"),
        ("references", "texts that generated ones are compared with"),
    ],
    marks: &[&["edits", "questions"]],
    read: Reader::File(read),
    write: Some(Writer {
        shape: Shape::Lines,
        axes: None,
        distinct: false,
        record: |case| Ok(record(case)),
    }),
};

const KEYS: &[&str] = &["id", "group", "edits", "questions", "tests", "references"];
const EDIT_KEYS: &[&str] = &["prompt", "target_new", "target_true"];
const QUESTION_KEYS: &[&str] = &["axis", "prompt", "answers", "other", "test", "condition"];

/// A case as a line of a file.
#[must_use]
pub fn to_line(case: &Case) -> String {
    record(case).to_string()
}

/// The case of a line.
///
/// # Errors
/// If the line is not as the format has it.
pub fn of_line(text: &str, origin: &Origin) -> Result<Case> {
    case(Line { text, origin }, 0)
}

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    collect::strictly(file, case)
}

fn case(line: Line<'_>, _: usize) -> Result<Case> {
    let mut record = Object::parse(line, KEYS, &[])?;
    let tests = record.strings("tests")?;
    let tests: Vec<_> = tests.iter().map(|name| test(line, name)).collect::<Result<_>>()?;
    let edits = record.inners("edits", EDIT_KEYS)?;
    if edits.is_empty() {
        return Err(line.error(Error::EmptyList { key: "edits" }));
    }
    let questions = record.inners("questions", QUESTION_KEYS)?.into_iter();
    Ok(Case {
        id: record.required("id")?,
        group: record.string("group")?,
        edits: edits.into_iter().map(|edit| self::edit(line, edit)).collect::<Result<_>>()?,
        questions: questions
            .map(|object| question(line, object, tests.len()))
            .collect::<Result<_>>()?,
        tests,
        references: record.strings("references")?,
        origin: None,
    })
}

fn edit(line: Line<'_>, mut object: Object<'_>) -> Result<Fact> {
    let text = object.required("prompt")?;
    let prompt = Prompt::marked_fault(&text).map_err(|fault| line.fault("prompt", &text, fault))?;
    let fact = Fact::new(prompt, &object.required("target_new")?)?;
    match object.string("target_true")? {
        Some(old) => fact.with_target_true(&old),
        None => Ok(fact),
    }
}

fn question(line: Line<'_>, mut object: Object<'_>, n_tests: usize) -> Result<Question> {
    let axis = object.required("axis")?;
    let axis = Axis::find(&axis).ok_or_else(|| unknown(line, "axis", &axes(), &axis))?;
    let text = object.required("prompt")?;
    let prompt = Prompt::paraphrase_fault(&text, "");
    let prompt = prompt.map_err(|fault| line.fault("prompt", &text, fault))?;
    let mut question = Question::new(axis, prompt);
    for (key, value) in object.list("answers")? {
        let names = line.strings(&key, value)?;
        question.answers.push(line.at(&key, self::names(&names))?);
    }
    question.other = object.string("other")?;
    question.part = part(line, &mut object, n_tests)?;
    Ok(question)
}

fn names(names: &[String]) -> Result<Vec<String>> {
    match names.is_empty() {
        true => Err(Error::EmptyList { key: "answers" }),
        false => names.iter().map(|name| one_line("answers", name)).collect(),
    }
}

fn part(line: Line<'_>, object: &mut Object<'_>, n: usize) -> Result<Option<Part>> {
    let condition = object.truth("condition")?.unwrap_or_default();
    match object.count("test")? {
        None if condition => Err(line.error(Error::MissingKey { key: "test" })),
        None => Ok(None),
        Some(test) if test < n => Ok(Some(Part { test, condition })),
        Some(found) => Err(line.error(Error::NoSuchTest { found, n })),
    }
}

fn test(line: Line<'_>, name: &str) -> Result<Test> {
    let found = [Test::All, Test::Any].into_iter().find(|test| test.name() == name);
    found.ok_or_else(|| unknown(line, "tests", "all, any", name))
}

fn unknown(line: Line<'_>, key: &str, known: &str, found: &str) -> Error {
    let (key, known, found) = (key.to_owned(), known.to_owned(), found.to_owned());
    line.error(Error::UnknownValue { key, known, found })
}

fn axes() -> String {
    Axis::ALL.map(Axis::name).join(", ")
}

fn record(case: &Case) -> Value {
    let mut out = Map::new();
    out.insert("id".into(), case.id.clone().into());
    if let Some(group) = &case.group {
        out.insert("group".into(), group.clone().into());
    }
    let edit = |edit: &Fact| {
        let bare = Fact { paraphrases: Vec::new(), neighbors: Vec::new(), ..edit.clone() };
        jsonl::to_json(&bare)
    };
    out.insert("edits".into(), case.edits.iter().map(edit).collect());
    out.insert("questions".into(), case.questions.iter().map(question_to_json).collect());
    if !case.tests.is_empty() {
        out.insert("tests".into(), case.tests.iter().map(|test| test.name()).collect());
    }
    if !case.references.is_empty() {
        out.insert("references".into(), case.references.clone().into());
    }
    Value::Object(out)
}

fn question_to_json(question: &Question) -> Value {
    let mut out = Map::new();
    out.insert("axis".into(), question.axis.name().into());
    out.insert("prompt".into(), question.prompt.marked().into());
    if !question.answers.is_empty() {
        out.insert("answers".into(), json!(question.answers));
    }
    if let Some(other) = &question.other {
        out.insert("other".into(), other.clone().into());
    }
    if let Some(part) = question.part {
        out.insert("test".into(), part.test.into());
        if part.condition {
            out.insert("condition".into(), true.into());
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{again, questions, read, refusal};
    use super::*;

    const CASES: &str = r#"{"id":"a","group":"g","edits":[{"prompt":"{Ann} lives in","target_new":"Oslo"},{"prompt":"{Bo} eats","target_new":"rice","target_true":"figs"}],"questions":[{"axis":"multi-hop","prompt":"Who \\{sic\\}?","answers":[["Bo","B."],["Cy"]],"other":"Di","test":0,"condition":true}],"tests":["any"],"references":["A text.\nOf two lines."]}
        {"id":"b","edits":[{"prompt":"{Cy} is","target_new":"x"}],"questions":[]}"#;

    #[test]
    fn every_key_is_read() {
        let found = read("cases", CASES).unwrap();
        let case = &found.cases[0];
        assert_eq!(questions(case), ["multi-hop: Who \\{sic\\}? => Bo|B. & Cy !Di #0?"]);
        assert_eq!((case.edits.len(), &case.tests[..]), (2, &[Test::Any][..]));
        assert_eq!(case.references, ["A text.\nOf two lines."]);
        assert_eq!(found.cases[1].origin.as_ref().unwrap().line, 2);
    }

    #[test]
    fn nothing_is_left_out_and_nothing_guessed() {
        let with = |question: &str| {
            format!(
                r#"{{"id":"a","edits":[{{"prompt":"{{b}}","target_new":"c"}}],"questions":[{{{question}}}]}}"#
            )
        };
        for (text, message) in [
            (
                r#"{"id":"a","edits":[]}"#.to_owned(),
                ":1: `edits` is an empty list: expected one item at least",
            ),
            (
                r#"{"id":"a","edit":[]}"#.to_owned(),
                ":1: unknown key \"edit\": expected one of id, group, edits, questions, tests, references",
            ),
            (
                r#"{"id":"a","edits":[{"prompt":"{b}","target_new":" "}]}"#.to_owned(),
                ":1: `target_new` is empty: expected text",
            ),
            (
                with(r#""axis":"other","prompt":"b""#),
                ":1: `axis` is none of rewrite, paraphrase, reasoning, aliasing, logical, \
                 single-hop, multi-hop, neighbor, same-subject, forgetfulness, unrelated, \
                 generation, found: \"other\"",
            ),
            (
                with(r#""axis":"rewrite","prompt":"b {""#),
                ":1: `prompt`, column 3: unbalanced brace: close the subject, or write a literal \
                 brace as: \\{",
            ),
            (
                with(r#""axis":"rewrite","prompt":"b","answers":[[]]"#),
                ":1: `answers[0]`: `answers` is an empty list: expected one item at least",
            ),
            (
                with(r#""axis":"rewrite","prompt":"b","test":0"#),
                ":1: no such test: expected an index below 0, found: 0",
            ),
            (with(r#""axis":"rewrite","prompt":"b","condition":true"#), ":1: missing key: test"),
            (
                with(r#""axis":"rewrite","prompt":"b","test":-1"#),
                ":1: `test` has the wrong type: expected a whole number, found: a number",
            ),
        ] {
            assert_eq!(refusal("cases", &text), message);
        }
    }

    fn some_question() -> impl Strategy<Value = Question> {
        let part = prop::option::of((0..2_usize, any::<bool>()));
        let answers = prop::collection::vec(prop::collection::vec("[a-c{é]{1,3}", 1..3), 0..3);
        let axis = prop::sample::select(Axis::ALL.to_vec());
        let other = prop::option::of("[a-c ]{0,2}");
        (axis, r"[a\{\}\\é\n]{0,4}", "[a-c}]{1,3}", any::<bool>(), answers, other, part).prop_map(
            |(axis, before, subject, is_marked, answers, other, part)| {
                let before = format!("x{before}");
                let range = before.len()..before.len() + subject.len();
                let text = format!("{before}{subject}");
                let prompt = Prompt::new(&text, is_marked.then_some(range)).unwrap();
                let part = part.map(|(test, condition)| Part { test, condition });
                Question { axis, prompt, answers, other, part }
            },
        )
    }

    fn some_case() -> impl Strategy<Value = Case> {
        let questions = prop::collection::vec(some_question(), 0..4);
        let group = prop::option::of("[a-c]{0,2}");
        ("[a-z0-9]{0,3}", group, questions, prop::collection::vec(".{0,3}", 0..2)).prop_map(
            |(id, group, questions, references)| {
                let edit = Fact::new(Prompt::parse("{Ann} is").unwrap(), "b").unwrap();
                let tests = vec![Test::Any, Test::All];
                let edits = vec![edit.clone(), edit.with_target_true("c").unwrap()];
                Case { id, group, edits, questions, tests, references, origin: None }
            },
        )
    }

    proptest! {
        #[test]
        fn writing_and_reading_give_the_same(case in some_case()) {
            let cases = vec![case];
            prop_assert_eq!(again("cases", &cases), cases);
        }
    }
}
