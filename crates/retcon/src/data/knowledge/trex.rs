//! T-REx's facts in one folder, with the evidences of LAMA and the paraphrases of ParaRel.

use std::path::Path;

use super::builder::Builder;
use super::{Evidence, Relation, Triple};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

pub(super) fn read(builder: &mut Builder, folder: &Path, facts: &TextFile) -> Result<()> {
    relations(builder, &TextFile::of(folder, "relations.jsonl")?)?;
    paraphrases(builder, folder)?;
    for (origin, text) in facts.lines() {
        let line = Line { text, origin: &origin };
        let triple = triple(line, builder)?;
        builder.triple(line, triple)?;
    }
    Ok(())
}

/// Adds the relations of a file, as LAMA and its heirs have it.
pub(super) fn relations(builder: &mut Builder, file: &TextFile) -> Result<()> {
    for (origin, text) in file.lines() {
        let line = Line { text, origin: &origin };
        let mut object = Object::open(line)?;
        let id = object.required("relation")?;
        let label = object.string("label")?.unwrap_or_else(|| id.clone());
        let template = object.string("template")?;
        let templates = template.iter().map(|template| close_up(template)).collect();
        builder.relation(line, Relation { id, label, templates, questions: Vec::new() })?;
    }
    Ok(())
}

/// Adds other wordings, where the folder has any.
pub(super) fn paraphrases(builder: &mut Builder, folder: &Path) -> Result<()> {
    if let Some(file) = TextFile::find(folder, "pararel_patterns.jsonl")? {
        for (origin, text) in file.lines() {
            let line = Line { text, origin: &origin };
            let mut object = Object::open(line)?;
            let (id, pattern) = (object.required("relation")?, object.required("pattern")?);
            builder.paraphrase(line, &id, &close_up(&pattern))?;
        }
    }
    if let Some(file) = TextFile::find(folder, "question_templates.jsonl")? {
        for (origin, text) in file.lines() {
            let line = Line { text, origin: &origin };
            let mut object = Object::open(line)?;
            let (id, question) = (object.required("relation")?, object.required("question")?);
            builder.ask(line, &id, &close_up(&question))?;
        }
    }
    Ok(())
}

fn triple(line: Line<'_>, builder: &Builder) -> Result<Triple> {
    let mut object = Object::open(line)?;
    let relation = builder.index(line, &object.required("relation")?)?;
    let (subject, label) = (object.required("subject")?, object.required("object")?);
    let texts = object.strings("evidences")?;
    let forms = object.strings("evidence_objects")?;
    let mut subjects = object.list("evidence_subjects")?.into_iter();
    if forms.len() != texts.len() {
        return Err(line.error(Error::Lengths { n_texts: texts.len(), n_forms: forms.len() }));
    }
    let mut evidences = Vec::new();
    for (text, object) in texts.into_iter().zip(forms) {
        // A form that is not known is null.
        let named = subjects.next().filter(|(_, value)| !value.is_null());
        let subject = named.map(|(key, value)| line.string(&key, value)).transpose()?;
        evidences.push(Evidence { text, object, subject });
    }
    let origin = Some(line.origin.clone());
    Ok(Triple { relation, subject, object: label, evidences, origin, ..Triple::default() })
}

/// A template without the spaces that LAMA has before stops.
fn close_up(template: &str) -> String {
    let stops = [(" .", "."), (" ,", ","), (" ?", "?"), (" !", "!")];
    stops
        .iter()
        .fold(template.trim().to_owned(), |text, (apart, closed)| text.replace(apart, closed))
}

#[cfg(test)]
mod tests {
    use crate::data::knowledge::FactSet;

    const RELATIONS: &str =
        r#"{"relation":"P1","label":"home","type":"N-1","template":"[X] lives in [Y] ."}"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_read() {
        let facts = r#"{"uuid":"u","relation":"P1","subject":"Ann","object":"Rome","evidences":["She lives in [MASK].","[MASK], Ann"],"evidence_objects":["Roma","Rome"],"evidence_subjects":[null,"Ann"]}
            {"relation":"P1","subject":"Bo","object":"Oslo"}"#;
        let patterns = r#"{"relation":"P1","pattern":"[X] lives in [Y]."}
            {"relation":"P1","pattern":"The home of [X] is [Y]."}"#;
        let questions = r#"{"relation":"P1","question":"Where does [X] live?"}"#;
        let folder = folder(&[
            ("facts.jsonl", facts),
            ("relations.jsonl", RELATIONS),
            ("pararel_patterns.jsonl", patterns),
            ("question_templates.jsonl", questions),
        ]);
        let set = FactSet::read(folder.path()).unwrap();
        let relation = &set.relations[0];
        assert_eq!(relation.templates, ["[X] lives in [Y].", "The home of [X] is [Y]."]);
        assert_eq!(relation.questions, ["Where does [X] live?"]);
        assert_eq!((set.triples.len(), set.triples[0].evidences.len()), (2, 2));
        let first = &set.triples[0].evidences[0];
        assert_eq!((first.object.as_str(), &first.subject), ("Roma", &None));
    }

    #[test]
    fn broken_lines_are_named() {
        let refuse = |relations: &str, facts: &str, message: &str| {
            let folder = folder(&[("relations.jsonl", relations), ("facts.jsonl", facts)]);
            let error = FactSet::read(folder.path()).unwrap_err();
            assert!(error.origin().unwrap().file.starts_with(folder.path()));
            let text = error.to_string();
            assert!(text.ends_with(message), "{text}");
        };
        refuse(
            RELATIONS,
            r#"{"relation":"P1","subject":"Ann"}"#,
            "facts.jsonl:1: missing key: object",
        );
        refuse(
            RELATIONS,
            r#"{"relation":"P1","subject":" ","object":"Rome"}"#,
            "facts.jsonl:1: `subject` is empty: expected text",
        );
        refuse(
            RELATIONS,
            "\n{\"relation\":\"P2\",\"subject\":\"Ann\",\"object\":\"Rome\"}",
            "facts.jsonl:2: unknown relation \"P2\": expected one of P1",
        );
        refuse(
            RELATIONS,
            r#"{"relation":"P1","subject":"a","object":"b","evidences":["c"],"evidence_objects":["b"]}"#,
            "facts.jsonl:1: expected one [MASK] in the evidence, found 0 in: c",
        );
        refuse(
            RELATIONS,
            r#"{"relation":"P1","subject":"a","object":"b","evidences":["[MASK]"]}"#,
            "facts.jsonl:1: evidences without their objects: expected 1 in `evidence_objects`, found: 0",
        );
        refuse(RELATIONS, "{", "facts.jsonl:1:1: not JSON: EOF while parsing an object");
        refuse(
            r#"{"relation":"P1","label":"home"}"#,
            "",
            "relations.jsonl:1: relation without a template: write one such as \
             \"The capital of [X] is [Y].\" for: P1",
        );
        refuse(
            r#"{"relation":"P1","template":"[X] lives"}"#,
            "",
            "relations.jsonl:1: expected one [X] for the subject and one [Y] for the object in the \
             template, found: [X] lives",
        );
        refuse(
            &format!("{RELATIONS}\n{RELATIONS}"),
            "",
            "relations.jsonl:2: repeats line 1 with other details: merge the two into one, found: P1",
        );
    }
}
