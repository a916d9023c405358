//! LAMA's own folder of T-REx: a file of facts for each relation.

use std::path::{Path, PathBuf};

use super::builder::Builder;
use super::{Evidence, Triple, trex};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::prompt::SLOT;
use crate::data::text_file::TextFile;

const RELATIONS: &str = "relations.jsonl";

pub(super) fn read(builder: &mut Builder, folder: &Path) -> Result<()> {
    let files = files(folder)?;
    if files.is_empty() {
        return Err(Error::NoSetFile { path: folder.to_owned(), name: "facts.jsonl" });
    }
    // LAMA has it beside the folder of the facts.
    let home = match (TextFile::find(folder, RELATIONS)?, folder.parent()) {
        (None, Some(parent)) => parent,
        _ => folder,
    };
    trex::relations(builder, &TextFile::of(home, RELATIONS)?)?;
    trex::paraphrases(builder, home)?;
    for (id, path) in files {
        for (origin, text) in TextFile::open(&path)?.lines() {
            let line = Line { text, origin: &origin };
            let relation = builder.index(line, &id)?;
            builder.triple(line, triple(line, relation)?)?;
        }
    }
    Ok(())
}

/// The files of facts with their relations, by number.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let id = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".jsonl");
        let number =
            id.and_then(|id| id.strip_prefix('P')).and_then(|digits| digits.parse::<u64>().ok());
        if let (Some(id), Some(number)) = (id, number) {
            found.push((number, id.to_owned(), path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, id, path)| (id, path)).collect())
}

fn triple(line: Line<'_>, relation: usize) -> Result<Triple> {
    let mut object = Object::open(line)?;
    let (subject, label) = (object.required("sub_label")?, object.required("obj_label")?);
    let mut evidences = Vec::new();
    for (key, value) in object.list("evidences")? {
        let serde_json::Value::Object(map) = value else {
            return Err(line.wrong_type(&key, "an object", &value));
        };
        let mut object = Object::inner_open(line, map)?;
        let (text, form) = (object.required("masked_sentence")?, object.string("obj_surface")?);
        let subject = object.string("sub_surface")?.filter(|form| !form.trim().is_empty());
        let form = form.filter(|form| !form.trim().is_empty()).unwrap_or_else(|| label.clone());
        // LAMA masks some sentences twice, which asks for two answers.
        if text.matches(SLOT).count() == 1 {
            evidences.push(Evidence { text, object: form, subject });
        }
    }
    let origin = Some(line.origin.clone());
    Ok(Triple { relation, subject, object: label, evidences, origin, ..Triple::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::knowledge::FactSet;

    const RELATIONS_TEXT: &str = r#"{"relation":"P7","template":"[X] lives in [Y] .","type":"N-1"}
        {"relation":"P10","template":"[X] eats [Y] .","type":"N-1"}"#;

    #[test]
    fn a_folder_is_read_by_number() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("TREx");
        std::fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("P10.jsonl", r#"{"sub_label":"Ann","obj_label":"rice","predicate_id":"P10"}"#);
        write(
            "P7.jsonl",
            r#"{"sub_label":"Bo","obj_label":"Oslo","evidences":[
                {"sub_surface":"He","obj_surface":"","masked_sentence":"He lives in [MASK]."},
                {"sub_surface":"","obj_surface":"Oslo","masked_sentence":"[MASK] is [MASK]."}]}"#
                .replace('\n', " ")
                .as_str(),
        );
        write("README.md", "");
        std::fs::write(root.path().join(RELATIONS), RELATIONS_TEXT).unwrap();
        let set = FactSet::read(&folder).unwrap();
        let labels: Vec<_> =
            set.triples.iter().map(|t| (t.relation, &*t.subject, &*t.object)).collect();
        assert_eq!(labels, [(0, "Bo", "Oslo"), (1, "Ann", "rice")]);
        assert_eq!(set.relations[0].templates, ["[X] lives in [Y]."]);
        let evidence = Evidence {
            text: "He lives in [MASK].".to_owned(),
            object: "Oslo".to_owned(),
            subject: Some("He".to_owned()),
        };
        assert_eq!(set.triples[0].evidences, [evidence]);

        write("P9.jsonl", r#"{"sub_label":"Ann","obj_label":"x"}"#);
        let error = FactSet::read(&folder).unwrap_err().to_string();
        assert!(error.ends_with("P9.jsonl:1: unknown relation \"P9\": expected one of P7, P10"));
    }
}
