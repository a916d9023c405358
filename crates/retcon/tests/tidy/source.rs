//! The source tree as text: its files, and what of them is code.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file of the workspace.
pub(crate) struct File {
    /// Its path from the root, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The files of the workspace below `folder` whose names end in `end`, in order; of none that git
/// ignores.
pub(crate) fn files(folder: &str, end: &str) -> Vec<File> {
    let mut found = Vec::new();
    collect(&root().join(folder), end, &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        File { path: name, text: fs::read_to_string(&path).unwrap() }
    };
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let hidden = name.starts_with('.') && name != ".github";
            if !hidden && name != "target" {
                collect(&path, end, found);
            }
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
}

/// The sources of the crate at `crates/NAME`, without its tests and benchmarks.
pub(crate) fn sources(name: &str) -> Vec<File> {
    files(&format!("crates/{name}/src"), ".rs")
}

impl File {
    /// Whether all of it is for tests.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests/", "/benches/", "/tests.rs", "/sample.rs"]
            .iter()
            .any(|part| self.path.contains(part))
    }

    /// Its lines of code, with their numbers: no comments, no unit tests.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        if self.is_test() {
            return Vec::new();
        }
        let text = without_comments(&self.text);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        (1..).zip(code.lines().map(str::to_owned)).collect()
    }

    /// The places in its code where one of `words` stands, as a whole word.
    pub(crate) fn mentions(&self, words: &[&str]) -> Vec<String> {
        let mut places = Vec::new();
        for (number, line) in self.code() {
            for word in words.iter().filter(|word| has_word(&line, word)) {
                places.push(format!("{}:{number}: {word}", self.path));
            }
        }
        places
    }
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        // A word that ends in a mark, such as `std::`, may have anything beside that.
        let open = word.starts_with(joins) && before.ends_with(joins);
        let goes_on = word.ends_with(joins) && after.starts_with(joins);
        !open && !goes_on
    })
}

/// `text` with every comment blanked out; lines keep their numbers, and strings their contents.
fn without_comments(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while !rest.is_empty() {
        let (kept, n) = match rest {
            _ if rest.starts_with("//") => (false, rest.find('\n').unwrap_or(rest.len())),
            _ if rest.starts_with("/*") => (false, rest.find("*/").map_or(rest.len(), |at| at + 2)),
            _ => (true, token(rest)),
        };
        let (piece, after) = rest.split_at(n);
        if kept {
            code.push_str(piece);
        } else {
            code.extend(piece.chars().filter(|&c| c == '\n'));
        }
        rest = after;
    }
    code
}

/// The length of what `text` starts with: a string or character in quotes, or one character.
fn token(text: &str) -> usize {
    let raw = text.strip_prefix('r').map(|rest| rest.len() - rest.trim_start_matches('#').len());
    if let Some(n) = raw.filter(|n| text[1 + n..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(n));
        return text[n + 2..].find(&end).map_or(text.len(), |at| n + 2 + at + end.len());
    }
    if text.starts_with('"') {
        return quoted(text, '"').unwrap_or(text.len());
    }
    let one = text.chars().next().map_or(0, char::len_utf8);
    // A lifetime has no second quote after one character.
    let letter = text[one..].chars().next().map_or(0, char::len_utf8);
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with('\\') => quoted(text, '\'').unwrap_or(one),
        Some(rest) if rest[letter..].starts_with('\'') => letter + 2,
        _ => one,
    }
}

/// The length of what is in quotes at the start of `text`.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

#[test]
fn comments_are_told_from_strings() {
    for (text, code) in [
        ("a // b\nc", "a \nc"),
        ("let x = \"// no\"; // yes", "let x = \"// no\"; "),
        ("r#\"\"// no\"# // yes", "r#\"\"// no\"# "),
        ("'\"' // a\n'\\'' // b\n'a' b", "'\"' \n'\\'' \n'a' b"),
        ("fn f<'a>(x: &'a str) {} // c", "fn f<'a>(x: &'a str) {} "),
        ("a /* b\nc */ d", "a \n d"),
    ] {
        assert_eq!(without_comments(text), code);
    }
}

#[test]
fn words_are_whole() {
    assert!(has_word("use crate::edit;", "edit"));
    assert!(has_word("std::env::var(", "std::env"));
    assert!(has_word("println!(", "println!"));
    assert!(!has_word("eprintln!(", "println!"));
    assert!(!has_word("edited", "edit"));
}
