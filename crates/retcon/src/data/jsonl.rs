//! Facts with all their details, one JSON object a line; it knows no other data set's keys.

use serde_json::{Map, Value, json};

use super::error::{Origin, Result};
use super::fact::{Fact, Probe};
use super::object::{Line, Object};
use super::prompt::{Prompt, escape, unmark};

const KEYS: &[&str] = &[
    "prompt",
    "subject",
    "target_new",
    "target",
    "target_true",
    "paraphrases",
    "neighbors",
    "neighbours",
];
const PROBE_KEYS: &[&str] = &["prompt", "answer"];

/// Writes facts as [`Format::Jsonl`](super::Format::Jsonl) reads them, without their origin.
#[must_use]
pub fn to_jsonl(facts: &[Fact]) -> String {
    facts.iter().map(|fact| format!("{}\n", to_json(fact))).collect()
}

/// Reads a line of a file; `None` if it is blank.
pub(super) fn parse_line(line: &str, origin: &Origin) -> Result<Option<Fact>> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let mut fact = fact(Line { text: line, origin })?;
    fact.origin = Some(origin.clone());
    Ok(Some(fact))
}

/// What an edit does, without the prompts that it is measured by.
pub(crate) fn edit_to_json(fact: &Fact) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("prompt".into(), fact.prompt.marked().into());
    out.insert("target_new".into(), fact.target_new.clone().into());
    if let Some(target_true) = &fact.target_true {
        out.insert("target_true".into(), target_true.clone().into());
    }
    out
}

/// The fact that [`edit_to_json`] wrote; `None` where it is something else.
pub(crate) fn edit_from_json(edit: &Value) -> Option<Fact> {
    let text = |key: &str| edit.get(key)?.as_str();
    let fact = Fact::new(Prompt::parse(text("prompt")?).ok()?, text("target_new")?).ok()?;
    Some(Fact { target_true: text("target_true").map(str::to_owned), ..fact })
}

pub(super) fn to_json(fact: &Fact) -> Value {
    let mut out = edit_to_json(fact);
    if !fact.paraphrases.is_empty() {
        let all: Vec<_> = fact.paraphrases.iter().map(Prompt::marked).collect();
        out.insert("paraphrases".into(), all.into());
    }
    if !fact.neighbors.is_empty() {
        let all: Vec<_> = fact.neighbors.iter().map(probe_to_json).collect();
        out.insert("neighbors".into(), all.into());
    }
    Value::Object(out)
}

fn probe_to_json(probe: &Probe) -> Value {
    let prompt = escape(&probe.prompt);
    match &probe.answer {
        Some(answer) => json!({ "prompt": prompt, "answer": answer }),
        None => prompt.into(),
    }
}

fn fact(line: Line<'_>) -> Result<Fact> {
    let mut object = Object::parse(line, KEYS, &[("target", "target_new")])?;
    let text = object.required("prompt")?;
    let prompt = match object.string("subject")? {
        None => Prompt::marked_fault(&text),
        Some(subject) => Prompt::fill_fault(&text, &subject),
    };
    let prompt = prompt.map_err(|fault| line.fault("prompt", &text, fault))?;
    let target = object.required("target_new")?;
    let mut fact = Fact::new(prompt, &target).map_err(|error| line.error(error))?;
    if let Some(target) = object.string("target_true")? {
        fact = fact.with_target_true(&target).map_err(|error| line.error(error))?;
    }
    for (key, value) in object.list("paraphrases")? {
        let text = line.string(&key, value)?;
        let paraphrase = Prompt::paraphrase_fault(&text, fact.subject());
        fact.paraphrases.push(paraphrase.map_err(|fault| line.fault(&key, &text, fault))?);
    }
    for name in ["neighbors", "neighbours"] {
        for (key, value) in object.list(name)? {
            fact.neighbors.push(probe(line, &key, value)?);
        }
    }
    Ok(fact)
}

fn probe(line: Line<'_>, key: &str, value: Value) -> Result<Probe> {
    let (text, answer) = match value {
        Value::String(text) => (text, None),
        Value::Object(map) => {
            let mut object = Object::inner(line, map, PROBE_KEYS)?;
            (object.required("prompt")?, object.string("answer")?)
        }
        other => return Err(line.wrong_type(key, "a string or an object", &other)),
    };
    let read = |fault| line.fault(key, &text, fault);
    let prompt = unmark(&text).map_err(read)?;
    Probe::new(&prompt, answer.as_deref()).map_err(|error| read(error.into()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::data::{Format, parse};

    fn one(line: &str) -> Result<Fact> {
        Ok(parse(line, Path::new("f"), Format::Jsonl)?.remove(0))
    }

    #[track_caller]
    fn check(line: &str, marked: &str) {
        assert_eq!(one(line).unwrap().prompt.marked(), marked);
    }

    #[track_caller]
    fn refuse(line: &str, message: &str) {
        assert_eq!(one(line).unwrap_err().to_string(), message);
    }

    #[test]
    fn the_subject_is_marked_named_or_filled_in() {
        check(r#"{"prompt": "of {a} is", "target": "b"}"#, "of {a} is");
        check(r#"{"prompt": "of a is", "subject": "a", "target_new": "b"}"#, "of {a} is");
        check(r#"{"prompt": "of {} is", "subject": "a", "target_new": "b"}"#, "of {a} is");
        check(r#" {"prompt": "of {a} is a", "subject": "a", "target_new": "b"} "#, "of {a} is a");
    }

    #[test]
    fn every_key_is_read() {
        let fact = one(r#"{"prompt":"{a} is","target_new":" b ","target_true":"c","subject":null,
                "paraphrases":["What is a?","That {a} is","It is"],
                "neighbors":["d is",{"prompt":"{e} is","answer":"f"}],"neighbours":["g \\{\\}"]}"#
            .replace('\n', " ")
            .as_str())
        .unwrap();
        assert_eq!((fact.target_new.as_str(), fact.target_true.as_deref()), ("b", Some("c")));
        let subjects: Vec<_> = fact.paraphrases.iter().map(Prompt::subject).collect();
        assert_eq!(subjects, [Some(8..9), Some(5..6), None]);
        let probe = |prompt, answer| Probe::new(prompt, answer).unwrap();
        assert_eq!(
            fact.neighbors,
            [probe("d is", None), probe("e is", Some("f")), probe("g {}", None)]
        );
    }

    #[test]
    fn errors_name_the_key() {
        refuse(
            r#"{"prompt":"{a}","target":"b","targte_true":"c"}"#,
            "f:1: unknown key \"targte_true\": expected one of prompt, subject, target_new, target, \
             target_true, paraphrases, neighbors, neighbours",
        );
        refuse(
            r#"{"prompt":"{a}","target":3}"#,
            "f:1: `target_new` has the wrong type: expected a string, found: a number",
        );
        refuse(
            r#"{"prompt":"{a}","target":"b","paraphrases":["x",[]]}"#,
            "f:1: `paraphrases[1]` has the wrong type: expected a string, found: a list",
        );
        refuse(
            r#"{"prompt":"{a}","target":"b","paraphrases":["x","{a} {b}"]}"#,
            "f:1: `paraphrases[1]`, column 5: expected one subject, found a second: \
             put braces around one, and write a literal brace as: \\{",
        );
        refuse(
            r#"{"prompt":"{a}","target":"b","neighbors":[{"prompt":"x","gold":"y"}]}"#,
            "f:1: unknown key \"gold\": expected one of prompt, answer",
        );
        refuse(r#"{"prompt":"{a}"}"#, "f:1: missing key: target_new");
        refuse(r#"{"prompt":"{a}","target":null}"#, "f:1: missing key: target_new");
        refuse(
            r#"{"prompt":"{a}","target":"b","target_new":"b"}"#,
            "f:1: \"target_new\" is given twice: leave one out",
        );
        refuse(
            r#"{"prompt":"{a}","prompt":"{b}","target":"b"}"#,
            "f:1: \"prompt\" is given twice: leave one out",
        );
        refuse(
            r#"{"prompt":"a or a","subject":"a","target":"b"}"#,
            "f:1: `prompt`: subject found more than once: put {} around the right \"a\" in: a or a",
        );
        refuse(
            r#"{"prompt":"a or a","subject":"c","target":"b"}"#,
            "f:1: `prompt`: subject not found in the prompt: expected \"c\" in: a or a",
        );
        refuse(
            r#"{"prompt":"{a}","target":"b\nc"}"#,
            "f:1: `target_new` has a line break: expected a single line, found: \"b\\nc\"",
        );
        refuse("[", "f:1: expected one JSON object a line, found: [");
        refuse(r#"{"prompt":"é" 3}"#, "f:1:15: not JSON: expected `,` or `}`");
    }

    fn some_fact() -> impl Strategy<Value = Fact> {
        let text = r"[\{\}\\=>#aé ]{0,6}";
        let lists = (prop::collection::vec(text, 0..4), prop::collection::vec((text, ".?"), 0..4));
        (text, r"[\{\}\\aé]{1,4}", text, ".{1,9}", ".?", lists).prop_filter_map(
            "not a fact",
            |(before, subject, after, target, target_true, (paraphrases, probes))| {
                let range = before.len()..before.len() + subject.len();
                let prompt = Prompt::new(&format!("{before}{subject}{after}"), Some(range)).ok()?;
                let fact = Fact::new(prompt, &target).ok()?;
                let mut fact = fact.clone().with_target_true(&target_true).unwrap_or(fact);
                let reworded = |text: &String| Prompt::paraphrase(&escape(text), &subject).ok();
                fact.paraphrases = paraphrases.iter().filter_map(reworded).collect();
                let probe = |(prompt, answer): &(String, String)| {
                    Probe::new(prompt, Some(answer)).or(Probe::new(prompt, None)).ok()
                };
                fact.neighbors = probes.iter().filter_map(probe).collect();
                Some(fact)
            },
        )
    }

    proptest! {
        #[test]
        fn writing_and_reading_give_the_same(fact in some_fact()) {
            let mut read = one(&to_jsonl(std::slice::from_ref(&fact))).unwrap();
            read.origin = None;
            prop_assert_eq!(read, fact);
        }

        #[test]
        fn no_line_panics(line in r#"[\{\}\[\]",:a-dé ]*"#) {
            let _ = one(&line);
        }
    }
}
