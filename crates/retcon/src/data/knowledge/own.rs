//! Our own form of a set: relations and facts, one JSON object a line.

use serde_json::{Value, json};

use super::builder::Builder;
use super::{Evidence, FactSet, Relation, Triple};
use crate::data::error::{Origin, Result};
use crate::data::object::{Line, Object};

const RELATION_KEYS: &[&str] = &["relation", "label", "templates", "questions"];
const FACT_KEYS: &[&str] = &["relation", "subject", "object", "also", "evidences"];
const EVIDENCE_KEYS: &[&str] = &["text", "object", "subject"];

impl FactSet {
    /// The set as [`FactSet::read`] reads it, without its name and the origins of its facts.
    ///
    /// # Errors
    /// If a fact is of no relation of the set.
    pub fn to_jsonl(&self) -> Result<String> {
        let relations = self.relations.iter().map(|relation| {
            let Relation { id, label, templates, questions } = relation;
            let line = json!({
                "relation": id, "label": label, "templates": templates, "questions": questions,
            });
            Ok(format!("{line}\n"))
        });
        let facts = (0..self.triples.len()).map(|fact| {
            let (triple, relation) = self.fact(fact)?;
            let Triple { subject, object, also, .. } = triple;
            let mut line = json!({"relation": relation.id, "subject": subject, "object": object});
            if !also.is_empty() {
                line["also"] = json!(also);
            }
            let evidences = triple.evidences.iter().map(|evidence| {
                let Evidence { text, object, subject } = evidence;
                json!({"text": text, "object": object, "subject": subject})
            });
            let evidences: Vec<_> = evidences.collect();
            if !evidences.is_empty() {
                line["evidences"] = json!(evidences);
            }
            Ok(format!("{line}\n"))
        });
        relations.chain(facts).collect()
    }
}

/// Adds the relation or the fact of a line; one with `templates` is a relation.
pub(super) fn add_line(builder: &mut Builder, text: &str, origin: &Origin) -> Result<()> {
    let line = Line { text, origin };
    match Object::open(line)?.has("templates") {
        true => builder.relation(line, relation(line)?),
        false => {
            let triple = triple(line, builder)?;
            builder.triple(line, triple)
        }
    }
}

fn relation(line: Line<'_>) -> Result<Relation> {
    let mut object = Object::parse(line, RELATION_KEYS, &[])?;
    let id = object.required("relation")?;
    let label = object.string("label")?.unwrap_or_else(|| id.clone());
    let (templates, questions) = (object.strings("templates")?, object.strings("questions")?);
    Ok(Relation { id, label, templates, questions })
}

fn triple(line: Line<'_>, builder: &Builder) -> Result<Triple> {
    let mut object = Object::parse(line, FACT_KEYS, &[])?;
    let relation = builder.index(line, &object.required("relation")?)?;
    let (subject, label) = (object.required("subject")?, object.required("object")?);
    let also = object.strings("also")?;
    let mut evidences = Vec::new();
    for (key, value) in object.list("evidences")? {
        let Value::Object(map) = value else {
            return Err(line.wrong_type(&key, "an object", &value));
        };
        let mut object = Object::inner(line, map, EVIDENCE_KEYS)?;
        let (text, form) = (object.required("text")?, object.required("object")?);
        evidences.push(Evidence { text, object: form, subject: object.string("subject")? });
    }
    let origin = Some(line.origin.clone());
    Ok(Triple { relation, subject, object: label, also, evidences, origin })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<FactSet> {
        let mut builder = Builder::new("");
        for (line, text) in (1..).zip(text.lines()) {
            add_line(&mut builder, text, &Origin { file: Path::new("f").to_owned(), line })?;
        }
        Ok(builder.finish())
    }

    const RELATION: &str = r#"{"relation":"home","templates":["[X] lives in [Y]."]}"#;

    #[track_caller]
    fn refuse(line: &str, message: &str) {
        let error = parse(&format!("{RELATION}\n{line}")).unwrap_err();
        assert_eq!(error.to_string(), format!("f:2: {message}"));
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"{"relation":"home","label":"place","templates":["[X] lives in [Y]."],"questions":["Where is [X]?"]}
{"relation":"home","subject":" Ann ","object":"Rome","also":["Oslo"],"evidences":[{"text":"In [MASK].","object":"Roma","subject":"she"}]}"#;
        let set = parse(text).unwrap();
        let evidence = Evidence {
            text: "In [MASK].".to_owned(),
            object: "Roma".to_owned(),
            subject: Some("she".to_owned()),
        };
        let origin = Some(Origin { file: "f".into(), line: 2 });
        let triple = Triple {
            relation: 0,
            subject: "Ann".to_owned(),
            object: "Rome".to_owned(),
            also: vec!["Oslo".to_owned()],
            evidences: vec![evidence],
            origin,
        };
        assert_eq!(set.triples, [triple]);
        assert_eq!(set.relations[0].label, "place");
        assert_eq!(set.to_jsonl().unwrap(), text.replace(" Ann ", "Ann") + "\n");
    }

    #[test]
    fn broken_lines_are_named() {
        refuse(
            r#"{"relation":"food","subject":"a","object":"b"}"#,
            "unknown relation \"food\": expected one of home",
        );
        refuse(r#"{"relation":"home","subject":"a"}"#, "missing key: object");
        refuse(
            r#"{"relation":"home","subject":"a","object":""}"#,
            "`object` is empty: expected text",
        );
        refuse(
            r#"{"relation":"home","subject":"a","objekt":"b"}"#,
            "unknown key \"objekt\": expected one of relation, subject, object, also, evidences",
        );
        refuse(
            r#"{"relation":"r","templates":[]}"#,
            "relation without a template: write one such as \"The capital of [X] is [Y].\" for: r",
        );
        refuse(
            r#"{"relation":"r","templates":["[X] [Y]"],"questions":["Where?"]}"#,
            "expected one [X] for the subject in the question, found: Where?",
        );
        refuse(
            r#"{"relation":"home","subject":"a","object":"b","evidences":[{"text":"[MASK]","object":" "}]}"#,
            "`object of an evidence` is empty: expected text",
        );
        refuse(
            r#"{"relation":"home","subject":"a","object":"b","evidences":["c"]}"#,
            "`evidences[0]` has the wrong type: expected an object, found: a string",
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(line in r#"\{[\{\}\[\]",:a-dé ]*"#) {
            let _ = parse(&line);
        }
    }

    #[test]
    fn the_world_round_trips() {
        let set = FactSet::world();
        let mut read = parse(&set.to_jsonl().unwrap()).unwrap();
        read.triples.iter_mut().for_each(|triple| triple.origin = None);
        assert_eq!((read.relations, read.triples), (set.relations, set.triples));
    }
}
