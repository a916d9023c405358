//! Facts for people, one a line: `The capital of {France} is => Berlin`; details need the other format.

use super::error::{Error, Fault, Origin, Result};
use super::fact::Fact;
use super::prompt::{Prompt, protected, unmark};

const ARROW: &str = "=>";

impl Fact {
    /// Reads a fact as a line has it: `The capital of {France} is => Berlin`.
    ///
    /// # Errors
    /// If there is no arrow or a second one, the prompt is not as [`Prompt::parse`] takes it,
    /// or the answer is empty or has a brace.
    pub fn parse(line: &str) -> Result<Self> {
        parse(line).map_err(|fault| fault.place(line, None, None))
    }
}

/// Reads a line of a file; `None` if it is blank or a comment.
pub(super) fn parse_line(line: &str, origin: &Origin) -> Result<Option<Fact>> {
    let content = line.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return Ok(None);
    }
    let mut fact = parse(line).map_err(|fault| fault.place(line, Some(origin), None))?;
    fact.origin = Some(origin.clone());
    Ok(Some(fact))
}

fn parse(line: &str) -> Result<Fact, Fault> {
    let (prompt, target) = split(line)?;
    let target_at = line.len() - target.len();
    let prompt = Prompt::marked_fault(prompt)?;
    if let Some((at, found)) = unprotected(target, |rest| rest.starts_with(['{', '}'])).next() {
        return Err(Fault::at(target_at + at, Error::BraceInTarget { found }));
    }
    let target = unmark(target).map_err(|fault| fault.moved(target_at))?;
    Fact::new(prompt, &target).map_err(|error| match error {
        Error::Empty { .. } => Fault::at(line.trim_end().len(), error),
        other => other.into(),
    })
}

/// Cuts a line at its arrow.
fn split(line: &str) -> Result<(&str, &str), Fault> {
    let mut arrows = unprotected(line, |rest| rest.starts_with(ARROW)).map(|(at, _)| at);
    match (arrows.next(), arrows.next()) {
        (None, _) => Err(Error::NoArrow { found: line.trim().to_owned() }.into()),
        (Some(_), Some(second)) => Err(Fault::at(second, Error::TwoArrows)),
        (Some(at), None) => Ok((&line[..at], &line[at + ARROW.len()..])),
    }
}

/// The places outside of escapes from where on the text is as `wanted`, and the character there.
fn unprotected<'a>(
    text: &'a str,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = (usize, char)> + 'a {
    let mut free = 0;
    text.char_indices().filter_map(move |(at, c)| {
        if at < free {
            return None;
        }
        if c == '\\' {
            free = at + 1 + protected(&text[at + 1..]);
        }
        wanted(&text[at..]).then_some((at, c))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, prompt: &str, subject: &str, target: &str) {
        let fact = Fact::parse(line).unwrap();
        assert_eq!((fact.prompt.text(), fact.subject()), (prompt, subject));
        assert_eq!(fact.target_new, target);
    }

    #[track_caller]
    fn refuse(line: &str, message: &str) {
        let origin = Origin { file: "facts.txt".into(), line: 7 };
        assert_eq!(parse_line(line, &origin).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_line_is_prompt_arrow_answer() {
        check(
            "The capital of {France} is => Berlin",
            "The capital of France is",
            "France",
            "Berlin",
        );
        check("{a}=>b", "a", "a", "b");
        check("  {a}  is =>  the b \r", "a  is", "a", "the b");
        check(r"{x} \=> y => \{\} \=> \\", "x => y", "x", r"{} => \");
        check("{Seine} is [MASK], say => Ünder", "Seine is [MASK], say", "Seine", "Ünder");
        check(r"\#{x} is => C#", "#x is", "x", "C#");
    }

    #[test]
    fn blanks_and_comments_are_no_facts() {
        let origin = Origin { file: "facts.txt".into(), line: 1 };
        for line in ["", "  ", "\t\r", "# {a} => b", "  # c"] {
            assert_eq!(parse_line(line, &origin).unwrap(), None);
        }
    }

    #[test]
    fn errors_carry_file_line_and_column() {
        refuse(
            "The capital of {France} is Berlin",
            "facts.txt:7: no `=>` between prompt and new answer, write: \
             The capital of {France} is => Berlin, found: The capital of {France} is Berlin",
        );
        refuse(
            "{a} => b => c",
            "facts.txt:7:10: expected one `=>`, found a second: \
             write one fact a line, and a literal `=>` as: \\=>",
        );
        refuse(
            "The capital of France is => Berlin",
            "facts.txt:7: no subject: write the subject in braces, \
             as in `The capital of {France} is`, found: The capital of France is",
        );
        refuse("{a} is => ", "facts.txt:7:10: `target_new` is empty: expected text");
        refuse(
            "{a} is => {b}",
            "facts.txt:7:11: brace in the new answer: only the subject takes braces, \
             write a literal brace as: \\{",
        );
        refuse(
            "  é {a} {b} => c",
            "facts.txt:7:9: expected one subject, found a second: put braces around one, \
             and write a literal brace as: \\{",
        );
    }

    #[test]
    fn an_answer_is_a_single_line() {
        let prompt = Prompt::parse("{a} is").unwrap();
        assert!(matches!(Fact::new(prompt, "b\nc"), Err(Error::Multiline { .. })));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in r"[\{\}\\=>#aé \[MASK\]\r]*", any in ".*") {
            let _ = Fact::parse(&line);
            let _ = Fact::parse(&any);
        }
    }
}
