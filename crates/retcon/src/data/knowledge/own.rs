//! Our own form of a set: relations and facts, one JSON object a line.

use super::builder::Builder;
use super::{Evidence, Relation, Triple};
use crate::data::error::{Origin, Result};
use crate::data::object::{Line, Object};

const RELATION_KEYS: &[&str] = &["relation", "label", "templates", "questions"];
const FACT_KEYS: &[&str] = &["relation", "subject", "object", "also", "evidences"];
const EVIDENCE_KEYS: &[&str] = &["text", "object", "subject"];

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
        let serde_json::Value::Object(map) = value else {
            return Err(line.wrong_type(&key, "an object", &value));
        };
        let mut object = Object::inner(line, map, EVIDENCE_KEYS)?;
        let (text, form) = (object.required("text")?, object.required("object")?);
        evidences.push(Evidence { text, object: form, subject: object.string("subject")? });
    }
    let origin = Some(line.origin.clone());
    Ok(Triple { relation, subject, object: label, also, evidences, origin })
}
