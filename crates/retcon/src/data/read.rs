//! From the bytes of a file to its facts, with every error on its line; it fetches nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{Error, Fault, Origin, Result};
use super::fact::Fact;
use super::{facts, jsonl};

pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// How a file writes its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `The capital of {France} is => Berlin`, one a line; blank lines and `# comments` don't count.
    Lines,
    /// One JSON object a line, with the keys `prompt`, `subject`, `target_new` (or `target`),
    /// `target_true`, `paraphrases` and `neighbors` (or `neighbours`); blank lines don't count.
    Jsonl,
}

impl Format {
    /// The format that a file's name tells: `.jsonl` and `.json` are [`Format::Jsonl`].
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        match extension.as_ref().and_then(|e| e.to_str()) {
            Some("jsonl" | "json") => Format::Jsonl,
            _ => Format::Lines,
        }
    }

    /// The format of a text without a name: [`Format::Jsonl`] where it begins with an object.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let text = bytes.strip_prefix(BOM).unwrap_or(bytes).trim_ascii_start();
        // A line may begin with a subject, which is in braces too.
        let inside = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        match inside.is_some_and(|inside| inside.starts_with(b"\"")) {
            true => Format::Jsonl,
            false => Format::Lines,
        }
    }
}

/// Reads a file of facts in the [`Format`] that its name tells.
///
/// # Errors
/// If the file can't be read, and as [`parse`].
pub fn read(path: &Path) -> Result<Vec<Fact>> {
    let bytes =
        std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    parse(bytes, path, Format::of(path))
}

/// Reads facts from text; `file` is the name that origins and errors give to it.
///
/// A byte-order mark in front and `\r\n` line ends are let pass.
/// A fact that is there twice with nothing different is taken once, with a warning in the log.
///
/// # Errors
/// If a line is not a fact, two lines give one prompt different answers or different details, or there is no fact.
pub fn parse(text: impl AsRef<[u8]>, file: &Path, format: Format) -> Result<Vec<Fact>> {
    let bytes = text.as_ref();
    let text = utf8(bytes.strip_prefix(BOM).unwrap_or(bytes), file)?;
    let mut seen = Seen::default();
    for (idx, line) in text.lines().enumerate() {
        let origin = Origin { file: file.to_owned(), line: idx + 1 };
        let fact = match format {
            Format::Lines => facts::parse_line(line, &origin)?,
            Format::Jsonl => jsonl::parse_line(line, &origin)?,
        };
        if let Some(fact) = fact {
            let at_line = |error| Fault::from(error).place(line, Some(&origin), None);
            seen.push(fact).map_err(at_line)?;
        }
    }
    match seen.facts.is_empty() {
        true => Err(Error::NoFacts { file: file.to_owned() }),
        false => Ok(seen.facts),
    }
}

pub(super) fn utf8<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let line_at = good.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        let before = String::from_utf8_lossy(&good[line_at..]);
        let byte = bad.first().copied().unwrap_or_default();
        let origin = Origin { file: file.to_owned(), line };
        Fault::at(before.len(), Error::InvalidUtf8 { byte }).place(&before, Some(&origin), None)
    })
}

/// The facts so far, and where each prompt stood.
#[derive(Default)]
struct Seen {
    facts: Vec<Fact>,
    by_prompt: BTreeMap<String, usize>,
}

impl Seen {
    fn push(&mut self, fact: Fact) -> Result<()> {
        let prompt = fact.prompt.text().to_owned();
        let Some(&idx) = self.by_prompt.get(&prompt) else {
            self.by_prompt.insert(prompt, self.facts.len());
            self.facts.push(fact);
            return Ok(());
        };
        let earlier = &self.facts[idx];
        let line = earlier.origin.as_ref().map_or(idx + 1, |origin| origin.line);
        if earlier.target_new != fact.target_new {
            let (first, second) = (earlier.target_new.clone(), fact.target_new);
            return Err(Error::Contradicts { line, prompt, first, second });
        }
        if !earlier.says_the_same(&fact) {
            return Err(Error::Repeats { line, prompt });
        }
        if let Some(origin) = &fact.origin {
            tracing::warn!("{origin}: left out, it repeats line {line}: {prompt}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &[u8], targets: &[(usize, &str)]) {
        let facts = parse(text, Path::new("f"), Format::Lines).unwrap();
        let found: Vec<_> = facts
            .iter()
            .map(|fact| (fact.origin.as_ref().unwrap().line, fact.target_new.as_str()))
            .collect();
        assert_eq!(found, targets);
    }

    #[test]
    fn a_text_without_a_name_tells_its_format_by_how_it_begins() {
        for object in ["{\"prompt\": 1}", "\u{feff} { \"prompt\": 1}", "\n{\"a\": {}}"] {
            assert_eq!(Format::of_bytes(object.as_bytes()), Format::Jsonl, "{object}");
        }
        for line in ["{France} is => b", "\u{feff}The {a} is => b", "", "# {\"a\": 1}"] {
            assert_eq!(Format::of_bytes(line.as_bytes()), Format::Lines, "{line}");
        }
    }

    #[track_caller]
    fn refuse(text: &[u8], format: Format, message: &str) {
        assert_eq!(parse(text, Path::new("f"), format).unwrap_err().to_string(), message);
    }

    #[test]
    fn marks_and_line_ends_of_other_systems_pass() {
        check(b"\xef\xbb\xbf{a} is => b\r\n\r\n# c\r\n{d} is => e\r\n", &[(1, "b"), (4, "e")]);
        check(b"\xef\xbb\xbf# c\n{a} is => b", &[(2, "b")]);
    }

    #[test]
    fn a_repeated_fact_is_taken_once() {
        check(b"{a} is => b\n{a} is => b\n{c} is => d", &[(1, "b"), (3, "d")]);
    }

    #[test]
    fn contradictions_name_both_lines() {
        refuse(
            b"\n{a} is => b\n{a} is => c",
            Format::Lines,
            "f:3: contradicts line 2: keep one, expected \"b\" for \"a is\", found: \"c\"",
        );
        refuse(
            b"{\"prompt\":\"{a} is\",\"target\":\"b\"}\n{\"prompt\":\"{a} is\",\"target\":\"b\",\"target_true\":\"c\"}",
            Format::Jsonl,
            "f:2: repeats line 1 with other details: merge the two into one, found: a is",
        );
    }

    #[test]
    fn a_file_must_be_text_and_hold_facts() {
        refuse(
            b"{a} is => b\n\xc3\xa9\xff",
            Format::Lines,
            "f:2:2: not UTF-8 text: save the file as UTF-8, found byte: 0xff",
        );
        refuse(
            b"# nothing\n",
            Format::Lines,
            "no facts in f: write one a line: The capital of {France} is => Berlin",
        );
    }

    #[test]
    fn the_name_tells_the_format() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("f.txt", "{a} is => b"), ("f.JSON", r#"{"prompt":"{a} is","target":"b"}"#)]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap()[0].target_new, "b");
        }
        let missing = read(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, Path::new("f"), Format::Lines);
            let _ = parse(&bytes, Path::new("f"), Format::Jsonl);
        }
    }
}
