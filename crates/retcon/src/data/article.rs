//! The "the" before a name, so that one name can stand where another stood; English only.

use super::prompt::Prompt;

/// Where a prompt has the article of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Article {
    /// Nowhere: `{France} is`.
    Missing,
    /// In front of the subject: `The {Netherlands} are`.
    Before,
    /// In the subject: `{The Netherlands} are`.
    Within,
}

impl Article {
    pub(super) fn of(prompt: &Prompt) -> Self {
        let start = prompt.subject().map_or(0, |range| range.start);
        let before = &prompt.text()[..start];
        let begins =
            prompt.subject_text().is_some_and(|name| name.to_lowercase().starts_with("the "));
        match before.len() - without(before).len() {
            _ if begins => Article::Within,
            0 => Article::Missing,
            _ => Article::Before,
        }
    }
}

/// The end of a text cut off, if it is an article.
pub(super) fn without(before: &str) -> &str {
    let stripped = before.strip_suffix("the ").or_else(|| before.strip_suffix("The "));
    match stripped {
        Some(rest) if !rest.ends_with(char::is_alphanumeric) => rest,
        _ => before,
    }
}

/// The text with its first letter as a capital.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(marked: &str, article: Article) {
        assert_eq!(Article::of(&Prompt::parse(marked).unwrap()), article);
    }

    #[test]
    fn the_article_is_seen() {
        check("In {France}", Article::Missing);
        check("Bathe {France}", Article::Missing);
        check("In the {Netherlands}", Article::Before);
        check("The {Netherlands}", Article::Before);
        check("In {the Netherlands}", Article::Within);
    }
}
