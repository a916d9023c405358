//! Free answers as strings: where one ends, and whether it is a given one; it knows no model.
//!
//! The rules of WILD (Yang et al. 2025, arXiv 2502.11177) and of LocFT's code: greedy decoding up to a
//! stop, then equality after normalization. Theirs stops at the first full stop, so that `St. Louis`
//! can never be right; ours tries every stop of the first line.

/// A text without case, punctuation, articles and repeated white space, as SQuAD's scorer has it.
#[must_use]
pub fn normalized(text: &str) -> String {
    let text: String = text.to_lowercase().chars().filter(|c| !is_punctuation(*c)).collect();
    let words = text.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the"));
    words.collect::<Vec<_>>().join(" ")
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || matches!(c, '‘' | '’' | '“' | '”' | '–' | '—' | '…')
}

/// The first line of what was said; line breaks before any text do not count.
fn line(says: &str) -> &str {
    let says = says.trim_start();
    says.split(['\n', '\r']).next().unwrap_or_default()
}

/// The answer in what is said, which goes on after it: up to the first mark or break, three words at most.
#[must_use]
pub fn first(says: &str) -> &str {
    let line = line(says);
    let end = line.find(['.', ',', ';', ':', '!', '?', '(', '"']).unwrap_or(line.len());
    let answer = line[..end].trim();
    let third = answer.match_indices(' ').nth(2).map_or(answer.len(), |(space, _)| space);
    &answer[..third]
}

/// Whether what is said is over: a line ends, or a sentence and something follows it.
#[must_use]
pub fn has_ended(says: &str) -> bool {
    let says = says.trim_start();
    if says.contains(['\n', '\r']) {
        return true;
    }
    let mut before = None;
    let mut word = 0;
    for c in says.chars() {
        // A stop after one or two letters is an abbreviation's: `St. Louis`, `U.S.`.
        if c.is_whitespace() && (before == Some('!') || before == Some('?')) {
            return true;
        }
        if c.is_whitespace() && before == Some('.') && word > 2 {
            return true;
        }
        match c {
            c if c.is_whitespace() => word = 0,
            c if c.is_alphanumeric() => word += 1,
            _ => {}
        }
        before = Some(c);
    }
    false
}

/// Whether an answer is said and nothing else, up to some stop of the first line.
#[must_use]
pub fn is_exactly(says: &str, answer: &str) -> bool {
    let (line, answer) = (line(says), normalized(answer));
    let stops = line.match_indices(['.', '!', '?']).map(|(at, _)| at);
    !answer.is_empty() && stops.chain([line.len()]).any(|stop| normalized(&line[..stop]) == answer)
}

/// Whether an answer is said and nothing else up to the first full stop or line break, wherever that is:
/// WILD's rule to the letter.
#[must_use]
pub fn is_exactly_up_to_a_stop(says: &str, answer: &str) -> bool {
    let (said, answer) =
        (says.split(['.', '\n', '\r']).next().unwrap_or_default(), normalized(answer));
    !answer.is_empty() && normalized(said) == answer
}

/// Whether an answer is what is said first, as whole words, whatever its case.
#[must_use]
pub fn begins_with(says: &str, answer: &str) -> bool {
    let (says, answer) = (says.trim_start().to_lowercase(), answer.trim().to_lowercase());
    let Some(rest) = says.strip_prefix(&answer) else { return false };
    !answer.is_empty() && !rest.starts_with(char::is_alphanumeric)
}

/// Whether an answer is somewhere in what is said, as whole words, after normalization. A dash may
/// stand between words or within one.
#[must_use]
pub fn contains(says: &str, answer: &str) -> bool {
    let apart = |text: &str| text.replace(['-', '–', '—', '/'], " ");
    let is_in = |says: String, answer: String| {
        !answer.is_empty() && format!(" {says} ").contains(&format!(" {answer} "))
    };
    is_in(normalized(says), normalized(answer))
        || is_in(normalized(&apart(says)), normalized(&apart(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_matches_up_to_some_stop() {
        for (says, answer, expected) in [
            (" Paris.", "Paris", true),
            (" the Paris. It is", "paris", true),
            (" Paris, France", "Paris", false),
            (" St. Louis. It", "St. Louis", true),
            ("\n\nParis\nand", "Paris", true),
            (" Parisian", "Paris", false),
            ("", "Paris", false),
            (" .", "the", false),
        ] {
            assert_eq!(is_exactly(says, answer), expected, "{says:?}");
        }
        assert!(!is_exactly_up_to_a_stop(" St. Louis. It", "St. Louis"));
        assert!(is_exactly_up_to_a_stop(" Paris. It", "Paris"));
        assert!(!is_exactly_up_to_a_stop("\n\nParis", "Paris"));
    }

    #[test]
    fn an_answer_is_found_in_whole_words() {
        assert!(contains(" is in the U.S. state of Ohio", "US"));
        assert!(!contains(" Berliner", "Berlin"));
        assert!(contains(" the Bears–Bulls game", "Bears") && contains(" in 1924-May", "1924"));
        assert!(contains(" co-operation", "cooperation") && contains(" Al Ahly", "Al-Ahly"));
        assert!(begins_with(" Berlin, the", "berlin") && !begins_with(" in Berlin", "Berlin"));
        assert!(!begins_with(" Berliner", "Berlin") && !contains("x", "the"));
    }

    #[test]
    fn an_answer_is_what_comes_before_the_rest() {
        for (says, expected) in [
            (" Paris. It is", "Paris"),
            (" the city of light and love", "the city of"),
            ("\n\nThe", "The"),
            ("", ""),
        ] {
            assert_eq!(first(says), expected, "{says:?}");
        }
    }

    #[test]
    fn an_answer_ends_with_its_sentence_or_line() {
        for (says, expected) in [
            (" Paris. It", true),
            (" Paris.", false),
            (" St. Louis", false),
            (" U.S. state", false),
            ("\n\nParis", false),
            (" Paris\n", true),
            (" Really? Yes", true),
        ] {
            assert_eq!(has_ended(says), expected, "{says:?}");
        }
    }
}
