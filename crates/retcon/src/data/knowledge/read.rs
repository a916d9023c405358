//! From a path to a set: which form it has, packed or not; it knows no form's keys but one.

use std::path::Path;

use super::builder::Builder;
use super::{FactSet, lama, own, trex, zsre};
use crate::data::error::{Error, Result};
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

impl FactSet {
    /// Reads a set, in the form that its files tell:
    ///
    /// - a folder with `facts.jsonl`, `relations.jsonl` and, where there are any, paraphrases in
    ///   `pararel_patterns.jsonl` and questions in `question_templates.jsonl`;
    /// - LAMA's own folder, with a file such as `P36.jsonl` for each relation, and `relations.jsonl` in it or beside it;
    /// - a file of zsRE cases in MEND's form, whose relations are pairs of questions;
    /// - a file in our own form.
    ///
    /// Any of these files may be packed by gzip, those of a folder under a name that ends in `.gz`.
    ///
    /// # Errors
    /// If a file can't be read or unpacked, a line is not what its form asks for, or there is no fact.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut builder = Builder::new(name.trim_end_matches(".jsonl"));
        if !path.is_dir() {
            file(&mut builder, &TextFile::open(path)?)?;
        } else if let Some(facts) = TextFile::find(path, "facts.jsonl")? {
            trex::read(&mut builder, path, &facts)?;
        } else {
            lama::read(&mut builder, path)?;
        }
        let set = builder.finish();
        match set.triples.is_empty() {
            true => Err(Error::NoTriples { path: path.to_owned() }),
            false => Ok(set),
        }
    }
}

fn file(builder: &mut Builder, file: &TextFile) -> Result<()> {
    match is_zsre(file)? {
        true => zsre::read(builder, file),
        false => file.lines().try_for_each(|(origin, line)| own::add_line(builder, line, &origin)),
    }
}

/// Whether a file holds zsRE cases: it is a list, or its first line asks a question.
pub(super) fn is_zsre(file: &TextFile) -> Result<bool> {
    match file.lines().next() {
        Some((_, line)) if line.trim_start().starts_with('[') => Ok(true),
        Some((origin, text)) => Ok(Object::open(Line { text, origin: &origin })?.has("src")),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::data::Origin;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    }

    const OWN: &str = "{\"relation\":\"r\",\"templates\":[\"[X] is [Y].\"]}\n\n\
                       {\"relation\":\"r\",\"subject\":\"a\",\"object\":\"b\"}\n";

    fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.jsonl");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn files_are_unpacked() {
        let packed = [gzip(&OWN.as_bytes()[..20]), gzip(&OWN.as_bytes()[20..])].concat();
        for bytes in [OWN.as_bytes(), &packed] {
            let (_folder, path) = write(bytes);
            let set = FactSet::read(&path).unwrap();
            assert_eq!((set.name.as_str(), set.triples.len()), ("set", 1));
            assert_eq!(set.triples[0].origin, Some(Origin { file: path, line: 3 }));
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let packed = gzip(OWN.as_bytes());
        let (_folder, path) = write(&packed[..packed.len() - 9]);
        assert!(matches!(FactSet::read(&path), Err(Error::Gzip { .. })));
        let (_folder, path) = write(b"{}\n\xff");
        let error = FactSet::read(&path).unwrap_err();
        assert!(matches!(error.reason(), Error::InvalidUtf8 { byte: 0xff }));
        assert_eq!(error.origin().unwrap().line, 2);
        let (_folder, path) = write(b"\n");
        assert!(matches!(FactSet::read(&path), Err(Error::NoTriples { .. })));
        let (folder, _) = write(b"");
        assert!(matches!(FactSet::read(folder.path()), Err(Error::NoSetFile { .. })));
        assert!(matches!(FactSet::read(&folder.path().join("none")), Err(Error::Io { .. })));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"(\[|\{"src":"a")?[\{\}\[\]",:abé \n]*"#) {
            let path = PathBuf::from("f");
            let _ = file(&mut Builder::new("f"), &TextFile { path, text });
        }

        #[test]
        fn no_case_panics(src in "[aé ?]{0,6}", name in "[aé ]{0,2}", rest in r"[\], ]{0,3}") {
            let case = serde_json::json!({"subject": name, "src": src, "answers": ["b"]});
            let path = PathBuf::from("f");
            for text in [format!("{case}{rest}"), format!("[{case}{rest}")] {
                let _ = file(&mut Builder::new("f"), &TextFile { path: path.clone(), text });
            }
        }
    }
}
