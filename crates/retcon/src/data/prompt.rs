//! A prompt: its text, and where its subject and its object stand; it knows no tokenizer.

use std::ops::Range;

use super::error::{Error, Fault, Result};
use super::mention::{Found, find_once};

/// The text that stands for the object, where that is not the end of the prompt.
pub const SLOT: &str = "[MASK]";

/// A text that names a subject, and that a model is to go on from.
///
/// The text never begins or ends with white space.
/// The subject, if any, is not empty, and does not overlap the slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prompt {
    text: String,
    subject: Option<Range<usize>>,
    slot: Option<Range<usize>>,
}

impl Prompt {
    /// Reads a prompt that has its subject in braces: `The capital of {France} is`.
    ///
    /// A literal brace is written `\{` or `\}`, a backslash before either of them `\\`.
    /// `[MASK]` marks the place of the object; without it the object comes at the end.
    ///
    /// # Errors
    /// If there is no subject, an empty one or a second one, if a brace stands alone, and if there are two slots.
    pub fn parse(marked: &str) -> Result<Self> {
        Self::marked_fault(marked).map_err(|fault| fault.place(marked, None, None))
    }

    /// Takes a text as it is, with the bytes of its subject.
    ///
    /// # Errors
    /// If the text is empty, the range does not fit it, or the slot is there twice or within the subject.
    pub fn new(text: &str, subject: Option<Range<usize>>) -> Result<Self> {
        let subject = subject.map(|range| shrink(text, range)).transpose()?;
        let skipped = text.len() - text.trim_start().len();
        let subject = subject.map(|range| range.start - skipped..range.end - skipped);
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(Error::Empty { key: "prompt" });
        }
        let slot = slot(&text)?;
        match (&subject, &slot) {
            (Some(subject), Some(slot)) if subject.start < slot.end && slot.start < subject.end => {
                Err(Error::SlotInSubject)
            }
            _ => Ok(Prompt { text, subject, slot }),
        }
    }

    /// Takes a text as it is, and finds the subject in it.
    ///
    /// # Errors
    /// As [`Prompt::new`], and if the subject is not there exactly once.
    pub fn with_subject(text: &str, subject: &str) -> Result<Self> {
        let subject = subject.trim();
        let found = find_once(text, subject);
        let (subject, prompt) = (subject.to_owned(), text.trim().to_owned());
        match found {
            _ if subject.is_empty() => Err(Error::EmptySubject),
            Found::Once(range) => Self::new(text, Some(range)),
            Found::Never => Err(Error::SubjectNotFound { subject, prompt }),
            Found::Often => Err(Error::SubjectTwice { subject, prompt }),
        }
    }

    /// Puts a subject between the empty braces of a template: `The capital of {} is`.
    ///
    /// # Errors
    /// As [`Prompt::parse`], and if the template names a subject of its own.
    pub fn fill(template: &str, subject: &str) -> Result<Self> {
        Self::fill_fault(template, subject).map_err(|fault| fault.place(template, None, None))
    }

    /// Reads another wording of a prompt about `subject`, with braces or without.
    ///
    /// Without braces the subject is looked for; if it is not there exactly once, the prompt has none.
    ///
    /// # Errors
    /// As [`Prompt::parse`], except that braces may lack.
    pub fn paraphrase(marked: &str, subject: &str) -> Result<Self> {
        Self::paraphrase_fault(marked, subject).map_err(|fault| fault.place(marked, None, None))
    }

    /// The text, without braces.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the subject.
    #[must_use]
    pub fn subject(&self) -> Option<Range<usize>> {
        self.subject.clone()
    }

    /// The text of the subject.
    #[must_use]
    pub fn subject_text(&self) -> Option<&str> {
        self.subject.clone().map(|range| &self.text[range])
    }

    /// The bytes of the slot; where there is none, the object comes at the end.
    #[must_use]
    pub fn slot(&self) -> Option<Range<usize>> {
        self.slot.clone()
    }

    /// The text with its subject in braces, as [`Prompt::parse`] reads it.
    #[must_use]
    pub fn marked(&self) -> String {
        let Some(Range { start, end }) = self.subject.clone() else {
            return escape(&self.text);
        };
        let [before, subject, after] =
            [&self.text[..start], &self.text[start..end], &self.text[end..]].map(escape);
        format!("{before}{{{subject}}}{after}")
    }

    /// The same prompt with `context` in front, which brings its own space or line break.
    ///
    /// # Errors
    /// If the context has a slot and the prompt has one too.
    pub fn after(&self, context: &str) -> Result<Self> {
        let moved = |range: Range<usize>| range.start + context.len()..range.end + context.len();
        Self::new(&format!("{context}{}", self.text), self.subject.clone().map(moved))
    }

    /// The same prompt with a slot at its end, unless it has one anywhere.
    #[must_use]
    pub fn masked(mut self) -> Self {
        if self.slot.is_none() {
            let start = self.text.len() + 1;
            self.text = format!("{} {SLOT}.", self.text);
            self.slot = Some(start..start + SLOT.len());
        }
        self
    }

    pub(super) fn marked_fault(marked: &str) -> Result<Self, Fault> {
        let scanned = scan(marked)?;
        match scanned.subject {
            None => Err(Error::NoSubject { prompt: scanned.text.trim().to_owned() }.into()),
            Some(_) => scanned.prompt(),
        }
    }

    pub(super) fn paraphrase_fault(marked: &str, subject: &str) -> Result<Self, Fault> {
        let scanned = scan(marked)?;
        if scanned.subject.is_some() {
            return scanned.prompt();
        }
        match find_once(&scanned.text, subject) {
            Found::Once(range) => Ok(Self::new(&scanned.text, Some(range))?),
            Found::Never | Found::Often => Ok(Self::new(&scanned.text, None)?),
        }
    }

    pub(super) fn fill_fault(template: &str, subject: &str) -> Result<Self, Fault> {
        let Scanned { text, subject: braces, at } = scan(template)?;
        let subject = subject.trim();
        match braces {
            None => Ok(Self::with_subject(&text, subject)?),
            Some(range) if text[range.clone()].trim().is_empty() => {
                let (before, after) = (&text[..range.start], &text[range.end..]);
                let filled = range.start..range.start + subject.len();
                Ok(Self::new(&format!("{before}{subject}{after}"), Some(filled))?)
            }
            Some(range) if text[range.clone()].trim() == subject => {
                Ok(Self::new(&text, Some(range))?)
            }
            Some(range) => {
                let (expected, found) = (subject.to_owned(), text[range].trim().to_owned());
                Err(Fault::at(at, Error::SubjectDiffers { expected, found }))
            }
        }
    }
}

/// The bytes of the only slot of a text.
pub(super) fn slot(text: &str) -> Result<Option<Range<usize>>> {
    match (text.find(SLOT), text.rfind(SLOT)) {
        (Some(first), Some(last)) if first != last => Err(Error::TwoSlots),
        (first, _) => Ok(first.map(|start| start..start + SLOT.len())),
    }
}

/// What a backslash protects: its length in bytes, 0 if the backslash stands for itself.
pub(super) fn protected(after_backslash: &str) -> usize {
    match after_backslash.as_bytes() {
        [b'{' | b'}' | b'\\' | b'#', ..] => 1,
        [b'=', b'>', ..] => 2,
        _ => 0,
    }
}

/// Takes the backslashes and braces out of a text; the subject may be empty or missing.
pub(super) fn unmark(marked: &str) -> Result<String, Fault> {
    Ok(scan(marked)?.text)
}

/// Protects what [`Prompt::parse`] gives a meaning to.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '{' | '}') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A marked text, read.
struct Scanned {
    text: String,
    /// The bytes in `text` of what the braces held.
    subject: Option<Range<usize>>,
    /// The byte of the opening brace in the marked text.
    at: usize,
}

impl Scanned {
    fn prompt(self) -> Result<Prompt, Fault> {
        let at = self.at;
        Prompt::new(&self.text, self.subject).map_err(|error| match error {
            Error::EmptySubject => Fault::at(at, error),
            other => other.into(),
        })
    }
}

fn scan(marked: &str) -> Result<Scanned, Fault> {
    let mut out = Scanned { text: String::with_capacity(marked.len()), subject: None, at: 0 };
    let mut open = None;
    let mut at = 0;
    while let Some(c) = marked[at..].chars().next() {
        let rest = &marked[at + c.len_utf8()..];
        let skip = if c == '\\' { protected(rest) } else { 0 };
        match c {
            '\\' if skip > 0 => out.text.push_str(&rest[..skip]),
            '{' if open.is_some() => return Err(Fault::at(at, Error::Unbalanced { found: c })),
            '{' if out.subject.is_some() => return Err(Fault::at(at, Error::TwoSubjects)),
            '{' => {
                open = Some(out.text.len());
                out.at = at;
            }
            '}' => match open.take() {
                Some(start) => out.subject = Some(start..out.text.len()),
                None => return Err(Fault::at(at, Error::Unbalanced { found: c })),
            },
            other => out.text.push(other),
        }
        at += c.len_utf8() + skip;
    }
    match open {
        Some(_) => Err(Fault::at(out.at, Error::Unbalanced { found: '{' })),
        None => Ok(out),
    }
}

/// Leaves out the white space at both ends of a range.
fn shrink(text: &str, range: Range<usize>) -> Result<Range<usize>> {
    let Some(inside) = text.get(range.clone()) else {
        return Err(Error::SubjectRange { text: text.to_owned(), found: range });
    };
    if inside.trim().is_empty() {
        return Err(Error::EmptySubject);
    }
    let start = range.start + inside.len() - inside.trim_start().len();
    Ok(start..start + inside.trim().len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(marked: &str, text: &str, subject: &str) {
        let prompt = Prompt::parse(marked).unwrap();
        assert_eq!((prompt.text(), prompt.subject_text()), (text, Some(subject)));
        assert_eq!(Prompt::parse(&prompt.marked()).unwrap(), prompt, "marked and read again");
    }

    #[track_caller]
    fn refuse(result: Result<Prompt>, message: &str) {
        assert_eq!(result.unwrap_err().to_string(), message);
    }

    #[test]
    fn braces_mark_the_subject() {
        check("The capital of {France} is", "The capital of France is", "France");
        check("{Curaçao} is in", "Curaçao is in", "Curaçao");
        check("  The {日本} の ", "The 日本 の", "日本");
        check("Of { New York } one", "Of  New York  one", "New York");
        check(r"set \{a, {b}\} \\{ c}".trim_end_matches("{ c}"), r"set {a, b} \", "b");
        check(r"C\# and {F\#} \n \=> x", r"C# and F# \n => x", "F#");
        check("a => b {c}", "a => b c", "c");
    }

    #[test]
    fn the_slot_is_found() {
        let prompt = Prompt::parse("{France}'s capital is [MASK], on the Seine").unwrap();
        assert_eq!(prompt.slot().map(|slot| &prompt.text()[slot]), Some(SLOT));
        let prompt = Prompt::parse("{France} is in").unwrap();
        assert_eq!(prompt.slot(), None);
        assert_eq!(prompt.masked(), Prompt::parse("{France} is in [MASK].").unwrap());
    }

    #[test]
    fn wrong_marks_are_named() {
        refuse(
            Prompt::parse("The capital is"),
            "no subject: write the subject in braces, as in `The capital of {France} is`, \
             found: The capital is",
        );
        refuse(
            Prompt::parse("é {a} {b}"),
            "column 7: expected one subject, found a second: put braces around one, \
             and write a literal brace as: \\{",
        );
        let empty = "column 4: empty subject: write its name between the braces: \
                     The capital of {France} is";
        refuse(Prompt::parse("of {} is"), empty);
        refuse(Prompt::parse("of { } is"), empty);
        let lone = "unbalanced brace: close the subject, or write a literal brace as: ";
        refuse(Prompt::parse("of {a is"), &format!("column 4: {lone}\\{{"));
        refuse(Prompt::parse("of a} is"), &format!("column 5: {lone}\\}}"));
        refuse(Prompt::parse("of {a{b}}"), &format!("column 6: {lone}\\{{"));
        refuse(
            Prompt::parse("[MASK] of {a} is [MASK]"),
            "expected at most one [MASK], found a second: write the other words out",
        );
        refuse(
            Prompt::parse("of {[MASK]} is"),
            "[MASK] inside the subject: it stands for the answer, so write it outside the braces",
        );
    }

    #[test]
    fn a_subject_is_found_by_its_text() {
        let prompt = Prompt::with_subject("Oman is next to Romania", "Oman").unwrap();
        assert_eq!(prompt.subject(), Some(0..4));
        refuse(
            Prompt::with_subject("a or a", "a"),
            "subject found more than once: put {} around the right \"a\" in: a or a",
        );
        refuse(
            Prompt::with_subject("a or b", "c"),
            "subject not found in the prompt: expected \"c\" in: a or b",
        );
        refuse(
            Prompt::fill("The {a} is", "b"),
            "column 5: braces and `subject` differ: leave one out, expected \"b\", found: \"a\"",
        );
    }

    #[test]
    fn a_range_must_fit() {
        assert!(matches!(Prompt::new("é", Some(1..2)), Err(Error::SubjectRange { .. })));
        assert!(matches!(Prompt::new("e", Some(0..9)), Err(Error::SubjectRange { .. })));
        assert!(matches!(Prompt::new(" ", None), Err(Error::Empty { .. })));
    }

    #[test]
    fn a_paraphrase_may_lack_braces() {
        let subject = |text| Prompt::paraphrase(text, "France").unwrap().subject();
        assert_eq!(subject("In France, the capital is"), Some(3..9));
        assert_eq!(subject("Here the capital is"), None);
        assert_eq!(subject("France is France, with capital"), None);
        assert_eq!(subject("{France} is France, with capital"), Some(0..6));
    }

    #[test]
    fn a_context_moves_subject_and_slot() {
        let prompt = Prompt::parse("{France}: [MASK]").unwrap().after("Say. ").unwrap();
        assert_eq!(prompt, Prompt::parse("Say. {France}: [MASK]").unwrap());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"[\{\}\\=>#aé \[MASK\]\n]*", subject in r"[a{}é ]*") {
            let _ = Prompt::parse(&text);
            let _ = Prompt::fill(&text, &subject);
            let _ = Prompt::with_subject(&text, &subject);
            let _ = Prompt::paraphrase(&text, &subject);
        }

        #[test]
        fn marks_round_trip(text in r"[\{\}\\=>#aé ]{1,12}", start in 0usize..12, end in 0usize..12) {
            if let Ok(prompt) = Prompt::new(&text, Some(start..end)) {
                prop_assert_eq!(Prompt::parse(&prompt.marked()).unwrap(), prompt);
            }
        }
    }
}
