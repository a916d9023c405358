//! Modified facts as a file, which is kept with results; it names facts by their words, so that it outlives their order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use super::read::is_zsre;
use super::{FactSet, Modified, zsre};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

const KEYS: &[&str] = &["relation", "subject", "object", "modified"];

impl FactSet {
    /// Writes modified facts as [`FactSet::read_modified`] reads them.
    ///
    /// # Errors
    /// If one of them is none of the set's.
    pub fn modified_to_jsonl(&self, modified: &[Modified]) -> Result<String> {
        let line = |modified: &Modified| {
            let (triple, relation) = self.fact(modified.fact)?;
            let object = json!({
                "relation": relation.id,
                "subject": triple.subject,
                "object": triple.object,
                "modified": modified.object,
            });
            Ok(format!("{object}\n"))
        };
        modified.iter().map(line).collect()
    }

    /// Reads modified facts, in the order of the file; one that is there twice is taken once.
    ///
    /// A file of zsRE cases gives what they are to answer instead, for those cases that the set holds.
    ///
    /// # Errors
    /// If the file can't be read, a line is not a modification of a fact of the set,
    /// or two lines give one relation and subject different objects.
    pub fn read_modified(&self, path: &Path) -> Result<Vec<Modified>> {
        let file = TextFile::open(path)?;
        let facts = self.triples.iter().enumerate().rev();
        let facts = facts.map(|(fact, t)| ((t.relation, &*t.subject, &*t.object), fact));
        let facts = BTreeMap::from_iter(facts);
        let mut list = List::of(self);
        if is_zsre(&file)? {
            for (origin, text) in file.records()? {
                let line = Line { text, origin: &origin };
                let case = zsre::Case::parse(line)?;
                let target = case.target(line)?;
                let relation = self.relation(&case.relation()).ok();
                let known = |relation| facts.get(&(relation, &*case.subject, case.answer()));
                if let Some(&fact) = relation.and_then(known) {
                    list.push(line, fact, target)?;
                }
            }
            return Ok(list.modified);
        }
        for (origin, text) in file.lines() {
            let line = Line { text, origin: &origin };
            let mut object = Object::parse(line, KEYS, &[])?;
            let id = object.required("relation")?;
            let relation = self.relation(&id).map_err(|error| line.error(error))?;
            let (subject, old) = (object.required("subject")?, object.required("object")?);
            let found = facts.get(&(relation, subject.trim(), old.trim()));
            let unknown = || Error::UnknownFact { subject: subject.clone(), relation: id.clone() };
            let &fact = found.ok_or_else(|| line.error(unknown()))?;
            list.push(line, fact, &object.required("modified")?)?;
        }
        Ok(list.modified)
    }
}

/// The modifications so far.
struct List<'a> {
    set: &'a FactSet,
    /// The line, and the object, of each relation and subject.
    lines: BTreeMap<(usize, String), (usize, String)>,
    seen: BTreeSet<usize>,
    modified: Vec<Modified>,
}

impl<'a> List<'a> {
    fn of(set: &'a FactSet) -> Self {
        List { set, lines: BTreeMap::new(), seen: BTreeSet::new(), modified: Vec::new() }
    }

    fn push(&mut self, line: Line<'_>, fact: usize, object: &str) -> Result<()> {
        let object = object.trim().to_owned();
        if object.is_empty() {
            return Err(line.error(Error::Empty { key: "modified" }));
        }
        let (triple, relation) = self.set.fact(fact)?;
        let first = self.lines.entry(triple.key());
        let first = first.or_insert_with(|| (line.origin.line, object.clone()));
        if first.1 != object {
            let prompt = format!("{} of {}", relation.id, triple.subject);
            let (line_of_first, first) = first.clone();
            let error = Error::Contradicts { line: line_of_first, prompt, first, second: object };
            return Err(line.error(error));
        }
        if self.seen.insert(fact) {
            self.modified.push(Modified { fact, object });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(set: &FactSet, text: &str) -> Result<Vec<Modified>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        std::fs::write(&path, text).unwrap();
        set.read_modified(&path)
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let set = FactSet::world();
        let modified = set.modify(&[3, 1, 200], 0).unwrap();
        let text = set.modified_to_jsonl(&modified).unwrap();
        assert_eq!(load(&set, &text).unwrap(), modified);
        assert_eq!(load(&set, &text.repeat(2)).unwrap(), modified);
        assert!(
            set.modified_to_jsonl(&[Modified { fact: 99_999, object: "a".to_owned() }]).is_err()
        );
    }

    #[test]
    fn broken_lines_are_named() {
        let refuse = |text: &str, message: &str| {
            let text = load(&FactSet::world(), text).unwrap_err().to_string();
            assert!(text.ends_with(message), "{text}");
        };
        let line =
            r#"{"relation":"capital","subject":"France","object":"Paris","modified":"Rome"}"#;
        refuse(
            &format!("{line}\n{}", line.replace("Rome", "Bonn")),
            "m.jsonl:2: contradicts line 1: keep one, expected \"Rome\" for \"capital of France\", found: \"Bonn\"",
        );
        refuse(&line.replace("Rome", " "), "m.jsonl:1: `modified` is empty: expected text");
        refuse(
            &line.replace("Paris", "Lyon"),
            "m.jsonl:1: no such fact: \"capital\" of \"France\"",
        );
        refuse(
            &line.replace("modified", "new"),
            "m.jsonl:1: unknown key \"new\": expected one of relation, subject, object, modified",
        );
        refuse("[", "m.jsonl:1: not JSON: the list has no end");
    }

    #[test]
    fn cases_of_zsre_bring_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.jsonl");
        let case = |name: &str| {
            format!(
                r#"{{"subject":"{name}","src":"Where is {name}?","alt":"Oslo","answers":["Rome"]}}"#
            )
        };
        std::fs::write(&path, [case("Ann"), case("Bo")].join("\n")).unwrap();
        let mut set = FactSet::read(&path).unwrap();
        let target = |fact| Modified { fact, object: "Oslo".to_owned() };
        assert_eq!(set.read_modified(&path).unwrap(), [target(0), target(1)]);
        set.retain(|triple| triple.subject == "Bo");
        assert_eq!(set.read_modified(&path).unwrap(), [target(0)]);
    }
}
