//! Where a name stands in a text; it compares letters only and knows no language.

use std::ops::Range;

/// How often a name stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Never,
    Once(Range<usize>),
    Often,
}

/// Looks for a name, first as whole words, then, as for scripts without spaces, anywhere.
pub(super) fn find_once(text: &str, name: &str) -> Found {
    let words: Vec<_> = find_all(text, name).filter(|range| stands_alone(text, range)).collect();
    match (words.as_slice(), words.len()) {
        ([only], _) => Found::Once(only.clone()),
        (_, 0) => match (find_all(text, name).next(), find_all(text, name).nth(1)) {
            (Some(range), None) => Found::Once(range),
            (None, _) => Found::Never,
            _ => Found::Often,
        },
        _ => Found::Often,
    }
}

/// Whether a text names something as whole words, in capitals or not.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), bare(name));
    find_all(&text, &name).any(|range| stands_alone(&text, &range))
}

/// A name in lower case without its article.
pub(super) fn bare(name: &str) -> String {
    let name = name.trim().to_lowercase();
    name.strip_prefix("the ").map_or(name.clone(), str::to_owned)
}

/// Every place of a name that is not empty, overlapping ones too.
fn find_all<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    text.char_indices()
        .filter(move |&(at, _)| !name.is_empty() && text[at..].starts_with(name))
        .map(move |(at, _)| at..at + name.len())
}

fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_come_first() {
        assert_eq!(find_once("Romania and Oman", "Oman"), Found::Once(12..16));
        assert_eq!(find_once("日本の首都", "日本"), Found::Once(0..6));
        assert_eq!(find_once("aaa", "aa"), Found::Often);
        assert_eq!(find_once("text", ""), Found::Never);
    }

    #[test]
    fn mentions_ignores_case_and_article() {
        assert!(mentions("in the netherlands, say", "The Netherlands"));
        assert!(!mentions("Romania", "Oman"));
    }
}
