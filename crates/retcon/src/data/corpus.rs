//! Plain texts that belong to no fact: what statistics of a model are computed over.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::Result;
use super::general::GENERAL;
use super::knowledge::{FactSet, OBJECT, SUBJECT};
use super::object::{Line, Object};
use super::text_file::TextFile;

/// Texts in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// What people call it: a file's name, `own` or `stdin`.
    pub name: String,
    /// The texts: lines or records.
    pub texts: Vec<String>,
}

impl Corpus {
    /// The texts that come with the library: what everybody knows, in all of its wordings, and some
    /// phrases, sums and lines of code. It is small and of one kind: a text of the user's is better.
    #[must_use]
    pub fn own() -> Self {
        let set = FactSet::world();
        let mut texts: Vec<String> =
            GENERAL.iter().map(|(prompt, answer)| format!("{prompt} {answer}")).collect();
        for triple in &set.triples {
            let relation = &set.relations[triple.relation];
            let said = |text: &String| {
                text.replace(SUBJECT, &triple.subject).replace(OBJECT, &triple.object)
            };
            texts.extend(relation.templates.iter().map(said));
            let answered = |text: &String| format!("{} {}.", said(text), triple.object);
            texts.extend(relation.questions.iter().map(answered));
        }
        Self { name: "own".to_owned(), texts }
    }

    /// Reads a text file, a text a line, or with a name that ends in `.jsonl` the key `text` of each
    /// line; either may be packed by gzip.
    ///
    /// # Errors
    /// If the file can't be read, or a line of a `.jsonl` file is no object with a text.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TextFile::open(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_jsonl = name.trim_end_matches(".gz").ends_with(".jsonl");
        let text = |(origin, text): (_, &str)| match is_jsonl {
            true => Object::open(Line { text, origin: &origin })?.required("text"),
            false => Ok(text.to_owned()),
        };
        let texts = file.lines().map(text).collect::<Result<_>>()?;
        Ok(Self { name, texts })
    }

    /// Texts from elsewhere, a text a line.
    #[must_use]
    pub fn of_lines(name: &str, text: &str) -> Self {
        let texts = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
        Self { name: name.to_owned(), texts: texts.collect() }
    }

    /// What tells it apart from other texts, whatever they are called: SHA-256, in hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for text in &self.texts {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        format!("{:x}", hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_lines_or_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.txt"), "One line.\n\nAnother.\n").unwrap();
        std::fs::write(path("a.jsonl"), "{\"text\": \"One\\nrecord.\", \"id\": 3}\n").unwrap();
        std::fs::write(path("b.jsonl"), "{\"text\": \"x\"}\n{\"title\": \"y\"}\n").unwrap();
        assert_eq!(Corpus::read(&path("a.txt")).unwrap().texts, ["One line.", "Another."]);
        assert_eq!(Corpus::read(&path("a.jsonl")).unwrap().texts, ["One\nrecord."]);
        let error = Corpus::read(&path("b.jsonl")).unwrap_err().to_string();
        assert!(error.contains("line 2") || error.contains(":2"), "{error}");
    }

    #[test]
    fn the_name_does_not_tell_texts_apart_but_a_word_does() {
        let corpus = |name, text| Corpus::of_lines(name, text).fingerprint();
        assert_eq!(corpus("a", "x y\nz"), corpus("b", "x y\n\nz\n"));
        assert_ne!(corpus("a", "x y\nz"), corpus("a", "x\ny z"));
    }

    #[test]
    fn our_own_text_says_what_everybody_knows() {
        let own = Corpus::own();
        assert!(own.texts.iter().any(|text| text == "The capital of France is Paris."));
        assert!(own.texts.len() > 2000 && own.texts.iter().all(|text| !text.contains('[')));
    }
}
