//! Which format a file of cases has, by its first record; it reads nothing else of it.

use std::path::Path;

use super::{DATASETS, Dataset, Reader, names};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

/// What [`FactSet::world`](crate::data::knowledge::FactSet::world) is called where a path is asked for.
pub(super) const WORLD: &str = "world";

/// The format of a file or folder.
///
/// # Errors
/// If the file can't be read, or its first record has the keys of no format.
pub fn detect(path: &Path) -> Result<&'static Dataset> {
    if path.is_dir() {
        return Dataset::find("trex");
    }
    if path == Path::new(WORLD) && !path.exists() {
        return Dataset::find("own");
    }
    of(&TextFile::open(path)?)
}

/// The format of a file's text.
pub(super) fn of(file: &TextFile) -> Result<&'static Dataset> {
    let Some((origin, text)) = file.first_record()? else {
        return Err(Error::NoCases { path: file.path.clone() });
    };
    if !text.trim_start().starts_with('{') || is_marked(text) {
        return Dataset::find("facts");
    }
    let line = Line { text, origin: &origin };
    let record = Object::open(line)?;
    let has = |keys: &&&[&str]| keys.iter().all(|key| record.has(key));
    let found = DATASETS.iter().find(|dataset| dataset.marks.iter().any(|keys| has(&keys)));
    found.ok_or_else(|| {
        let found = record.keys().join(", ");
        line.error(Error::UnknownFormat { known: names(is_of_files), found })
    })
}

/// Whether a line that begins with a brace is a fact for people: `{France}'s capital is => Berlin`.
fn is_marked(text: &str) -> bool {
    !text.trim_start()[1..].trim_start().starts_with(['"', '}'])
}

fn is_of_files(dataset: &Dataset) -> bool {
    matches!(dataset.read, Reader::File(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile { path: "f".into(), text: text.to_owned() }
    }

    #[track_caller]
    fn refuse(text: &str, message: &str) {
        assert_eq!(of(&file(text)).unwrap_err().to_string(), message);
    }

    #[test]
    fn every_format_is_found_by_its_own_keys() {
        for dataset in DATASETS {
            for keys in dataset.marks {
                let record: serde_json::Map<_, _> =
                    keys.iter().map(|key| ((*key).to_owned(), 1.into())).collect();
                let record = serde_json::Value::Object(record).to_string();
                for text in [format!("{record}\n"), format!("[{record}]")] {
                    assert_eq!(of(&file(&text)).unwrap().name, dataset.name, "{text}");
                }
            }
        }
    }

    #[test]
    fn lines_for_people_are_facts() {
        for text in ["{France}'s capital is => Berlin", "# facts\nThe {a} is => b"] {
            assert_eq!(of(&file(text)).unwrap().name, "facts");
        }
    }

    #[test]
    fn what_is_no_format_is_told_with_its_keys() {
        refuse(" \n", "no cases in: f");
        refuse("[ ]", "no cases in: f");
        let known = names(is_of_files);
        refuse(
            r#"{"a":1,"b":null,"c":2}"#,
            &format!("f:1: unknown format of cases: name one of {known}, found keys: a, c"),
        );
        refuse(r#"{"a":1"#, "f:1:6: not JSON: EOF while parsing an object");
        assert_eq!(
            Dataset::find("squad").unwrap_err().to_string(),
            format!("no such format of cases: expected one of {}, found: squad", names(|_| true))
        );
    }
}
