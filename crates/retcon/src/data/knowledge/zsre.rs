//! zsRE's cases in the form that MEND gave them: a question, the same in other words, and answers.

use super::builder::Builder;
use super::{OBJECT, Relation, SUBJECT, Triple};
use crate::data::error::{Error, Result};
use crate::data::mention::{Found, find_once};
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

/// A case, with its questions as they would be of any subject.
pub(super) struct Case {
    pub(super) subject: String,
    questions: Vec<String>,
    answers: Vec<String>,
    /// The answer that an edit is to give.
    alt: Option<String>,
}

impl Case {
    /// Its relation's id: the question, and the other words for it where there are any.
    pub(super) fn relation(&self) -> String {
        self.questions.join(" / ")
    }

    /// The first of its true answers.
    pub(super) fn answer(&self) -> &str {
        self.answers.first().map_or("", String::as_str)
    }

    /// The answer that an edit is to give, which a file of modifications must have.
    pub(super) fn target(&self, line: Line<'_>) -> Result<&str> {
        self.alt.as_deref().ok_or_else(|| line.error(Error::MissingKey { key: "alt" }))
    }

    /// Reads a case.
    pub(super) fn parse(line: Line<'_>) -> Result<Self> {
        let mut object = Object::open(line)?;
        let subject = object.required("subject")?.trim().to_owned();
        if subject.is_empty() {
            return Err(line.error(Error::Empty { key: "subject" }));
        }
        let src = object.required("src")?;
        let question = general(&src, &subject).map_err(|error| line.error(error))?;
        // Other words that don't name the subject once are no question about any subject.
        let rephrase = object.string("rephrase")?.and_then(|text| general(&text, &subject).ok());
        let questions = [question].into_iter().chain(rephrase).collect();
        let answers = object.strings("answers")?;
        if answers.is_empty() {
            return Err(line.error(Error::MissingKey { key: "answers" }));
        }
        Ok(Case { subject, questions, answers, alt: object.string("alt")? })
    }
}

pub(super) fn read(builder: &mut Builder, file: &TextFile) -> Result<()> {
    for (origin, text) in file.records()? {
        let line = Line { text, origin: &origin };
        let case = Case::parse(line)?;
        let id = case.relation();
        if !builder.knows(&id) {
            builder.relation(line, relation(&case))?;
        }
        let relation = builder.index(line, &id)?;
        let mut also = case.answers;
        let object = also.remove(0);
        let origin = Some(origin.clone());
        let triple =
            Triple { relation, subject: case.subject, object, also, origin, ..Triple::default() };
        builder.triple(line, triple)?;
    }
    Ok(())
}

fn relation(case: &Case) -> Relation {
    Relation {
        id: case.relation(),
        label: case.questions.first().cloned().unwrap_or_default(),
        templates: case.questions.iter().map(|question| format!("{question} {OBJECT}.")).collect(),
        questions: case.questions.clone(),
    }
}

/// A question with its subject taken out.
fn general(question: &str, subject: &str) -> Result<String> {
    let question = question.trim();
    let (subject, prompt) = (subject.to_owned(), question.to_owned());
    match find_once(question, &subject) {
        Found::Once(range) => {
            Ok(format!("{}{SUBJECT}{}", &question[..range.start], &question[range.end..]))
        }
        Found::Never => Err(Error::SubjectNotFound { subject, prompt }),
        Found::Often => Err(Error::SubjectTwice { subject, prompt }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::data::knowledge::{FactSet, Wording};

    const CASES: [&str; 3] = [
        r#"{"subject":"Ann","src":"Where does Ann live?","pred":"Bonn","rephrase":"In which town is Ann?","alt":"Oslo","answers":["Rome","Roma"],"loc":"x"}"#,
        r#"{"subject":"Bo","src":"Where does Bo live?","rephrase":"In which town is Bo?","alt":"Rome","answers":["Oslo"]}"#,
        r#"{"subject":"Cy","src":"Where does Cy live?","rephrase":"In which town is she?","answers":["Oslo"]}"#,
    ];

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zsre.json");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn cases_are_read_from_lines_and_from_a_list() {
        let list = format!("[\n{} ]", CASES.join(",\n"));
        for (text, first_line) in [(CASES.join("\n"), 1), (list, 2)] {
            let (_folder, path) = file(&text);
            let set = FactSet::read(&path).unwrap();
            let lines: Vec<_> =
                set.triples.iter().map(|t| t.origin.as_ref().unwrap().line).collect();
            assert_eq!(lines, [first_line, first_line + 1, first_line + 2]);
            let relations: Vec<_> = set.triples.iter().map(|triple| triple.relation).collect();
            assert_eq!(relations, [0, 0, 1]);
            assert_eq!(set.triples[0].also, ["Roma"]);
            assert_eq!(set.relations[1].questions, ["Where does [X] live?"]);
            let example = set.example(1, "Rome", Wording::Question(1)).unwrap().unwrap();
            assert_eq!(example.prompt.marked(), "In which town is {Bo}?");
            let example = set.example(1, "Rome", Wording::Template(0)).unwrap().unwrap();
            assert_eq!(example.prompt.marked(), "Where does {Bo} live? [MASK].");
        }
    }

    #[test]
    fn broken_cases_are_named() {
        let refuse = |text: &str, message: &str| {
            let (_folder, path) = file(text);
            let text = FactSet::read(&path).unwrap_err().to_string();
            assert!(text.ends_with(message), "{text}");
        };
        refuse(
            r#"{"subject":"a","src":"Is a?","answers":[]}"#,
            "zsre.json:1: missing key: answers",
        );
        refuse(
            r#"{"subject":"b","src":"Is a?","answers":["c"]}"#,
            "zsre.json:1: subject not found in the prompt: expected \"b\" in: Is a?",
        );
        refuse(
            r#"{"subject":" ","src":"Is a?"}"#,
            "zsre.json:1: `subject` is empty: expected text",
        );
        refuse(
            r#"{"subject":"a","src":"Is a?","answers":[" "]}"#,
            "zsre.json:1: `object` is empty: expected text",
        );
        refuse("[\n{\"subject\":", "zsre.json:2: not JSON: EOF while parsing a value");
        refuse("[\n", "zsre.json:2: not JSON: the list has no end");
        refuse("[{} {}]", "zsre.json:1: not JSON: expected `,` or `]`");
        refuse("[{}]", "zsre.json:1: missing key: subject");
    }
}
