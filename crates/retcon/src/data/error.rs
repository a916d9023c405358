//! What can be wrong with a file of facts; it suggests only what to write instead.

use std::path::PathBuf;

pub(super) use super::place::Fault;
pub use super::place::{Origin, Place};

/// An error of this module.
///
/// Most come wrapped in [`Error::At`]; [`Error::reason`] looks through the wrapping.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another error, and the place of its cause.
    #[error("{place}: {error}")]
    At {
        /// Where it is.
        place: Place,
        /// What it is.
        error: Box<Error>,
    },
    /// A file can't be read.
    #[error("cannot read the facts: {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        source: std::io::Error,
    },
    /// A file is to be the set of facts that comes with the program.
    #[error(
        "{} is not the set of facts that comes with the program, which alone is of the format `own`: \
         expected the path `world`, or another format",
        path.display()
    )]
    NotOwn {
        /// The path.
        path: PathBuf,
    },
    /// A file holds something other than UTF-8 text.
    #[error("not UTF-8 text: save the file as UTF-8, found byte: 0x{byte:02x}")]
    InvalidUtf8 {
        /// The first byte that is wrong.
        byte: u8,
    },
    /// A file holds no fact at all.
    #[error("no facts in {}: write one a line: The capital of {{France}} is => Berlin", file.display())]
    NoFacts {
        /// The file.
        file: PathBuf,
    },
    /// A line has no arrow.
    #[error(
        "no `=>` between prompt and new answer, write: The capital of {{France}} is => Berlin, found: {found}"
    )]
    NoArrow {
        /// The line.
        found: String,
    },
    /// A line has more than one arrow.
    #[error(
        "expected one `=>`, found a second: write one fact a line, and a literal `=>` as: \\=>"
    )]
    TwoArrows,
    /// The prompt of a fact has no subject.
    #[error(
        "no subject: write the subject in braces, as in `The capital of {{France}} is`, found: {prompt}"
    )]
    NoSubject {
        /// The prompt.
        prompt: String,
    },
    /// A prompt has more than one pair of braces.
    #[error(
        "expected one subject, found a second: put braces around one, and write a literal brace as: \\{{"
    )]
    TwoSubjects,
    /// The braces hold nothing.
    #[error("empty subject: write its name between the braces: The capital of {{France}} is")]
    EmptySubject,
    /// A brace has no partner.
    #[error("unbalanced brace: close the subject, or write a literal brace as: \\{found}")]
    Unbalanced {
        /// The brace that stands alone.
        found: char,
    },
    /// An answer is in braces.
    #[error(
        "brace in the new answer: only the subject takes braces, write a literal brace as: \\{found}"
    )]
    BraceInTarget {
        /// The brace.
        found: char,
    },
    /// There is no text.
    #[error("`{key}` is empty: expected text")]
    Empty {
        /// What is empty.
        key: &'static str,
    },
    /// An answer runs over the end of a line.
    #[error("`{key}` has a line break: expected a single line, found: {found:?}")]
    Multiline {
        /// Which answer.
        key: &'static str,
        /// The answer.
        found: String,
    },
    /// A prompt has more than one place for its object.
    #[error("expected at most one [MASK], found a second: write the other words out")]
    TwoSlots,
    /// The place of the object overlaps the subject.
    #[error("[MASK] inside the subject: it stands for the answer, so write it outside the braces")]
    SlotInSubject,
    /// A range doesn't cut the text between characters.
    #[error(
        "subject range outside the text or inside a character: expected within {text:?}, found: {found:?}"
    )]
    SubjectRange {
        /// The text.
        text: String,
        /// The range in bytes.
        found: std::ops::Range<usize>,
    },
    /// The subject isn't a part of the prompt.
    #[error("subject not found in the prompt: expected {subject:?} in: {prompt}")]
    SubjectNotFound {
        /// The subject.
        subject: String,
        /// The prompt.
        prompt: String,
    },
    /// The subject is in the prompt more than once.
    #[error("subject found more than once: put {{}} around the right {subject:?} in: {prompt}")]
    SubjectTwice {
        /// The subject.
        subject: String,
        /// The prompt.
        prompt: String,
    },
    /// The braces and the `subject` key name different subjects.
    #[error("braces and `subject` differ: leave one out, expected {expected:?}, found: {found:?}")]
    SubjectDiffers {
        /// The value of the key.
        expected: String,
        /// The text in braces.
        found: String,
    },
    /// A line is not JSON.
    #[error("not JSON: {message}")]
    Json {
        /// What the JSON reader said.
        message: String,
    },
    /// A line holds some other JSON value.
    #[error("expected one JSON object a line, found: {found}")]
    NotAnObject {
        /// The beginning of the line.
        found: String,
    },
    /// A key that means nothing here.
    #[error("unknown key {key:?}: expected one of {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that have a meaning.
        known: String,
    },
    /// A key, or two names of one key, is there twice.
    #[error("{key:?} is given twice: leave one out")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A key is not there.
    #[error("missing key: {key}")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// The value of a key has another type.
    #[error("`{key}` has the wrong type: expected {expected}, found: {found}")]
    WrongType {
        /// The key.
        key: String,
        /// The type that it takes.
        expected: &'static str,
        /// The type that it was given.
        found: &'static str,
    },
    /// Two lines give one prompt two answers.
    #[error(
        "contradicts line {line}: keep one, expected {first:?} for {prompt:?}, found: {second:?}"
    )]
    Contradicts {
        /// The earlier line, or fact where there is no file.
        line: usize,
        /// The prompt of both.
        prompt: String,
        /// The earlier answer.
        first: String,
        /// The later answer.
        second: String,
    },
    /// Two lines give one prompt the same answer, and differ elsewhere.
    #[error("repeats line {line} with other details: merge the two into one, found: {prompt}")]
    Repeats {
        /// The earlier line, or fact where there is no file.
        line: usize,
        /// The prompt of both.
        prompt: String,
    },
    /// A set of facts has no relation of this name.
    #[error("unknown relation {found:?}: expected one of {known}")]
    UnknownRelation {
        /// The id.
        found: String,
        /// The ids of the set.
        known: String,
    },
    /// A relation has no wording.
    #[error(
        "relation without a template: write one such as \"The capital of [X] is [Y].\" for: {relation}"
    )]
    NoTemplate {
        /// The relation's id.
        relation: String,
    },
    /// A template doesn't say where subject and object stand.
    #[error(
        "expected one [X] for the subject and one [Y] for the object in the template, found: {found}"
    )]
    BadTemplate {
        /// The template.
        found: String,
    },
    /// A question doesn't say where the subject stands.
    #[error("expected one [X] for the subject in the question, found: {found}")]
    BadQuestion {
        /// The question.
        found: String,
    },
    /// An evidence doesn't say where the object stood.
    #[error("expected one [MASK] in the evidence, found {n_slots} in: {found}")]
    EvidenceSlots {
        /// How many there are.
        n_slots: usize,
        /// The evidence.
        found: String,
    },
    /// The lists of evidences and of their objects have not the same length.
    #[error(
        "evidences without their objects: expected {n_texts} in `evidence_objects`, found: {n_forms}"
    )]
    Lengths {
        /// How many evidences there are.
        n_texts: usize,
        /// How many objects there are.
        n_forms: usize,
    },
    /// A packed file can't be unpacked.
    #[error("damaged gzip file: {}", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the unpacker said.
        source: std::io::Error,
    },
    /// A folder of facts lacks a file.
    #[error("no file {name} in the folder of facts: {}", path.display())]
    NoSetFile {
        /// The folder.
        path: PathBuf,
        /// The file.
        name: &'static str,
    },
    /// A set has no fact.
    #[error("no facts in the set: {}", path.display())]
    NoTriples {
        /// The file or folder.
        path: PathBuf,
    },
    /// A set of facts has no fact of this index.
    #[error("no such fact: expected an index below {n}, found: {fact}")]
    NoSuchFact {
        /// The index.
        fact: usize,
        /// How many facts there are.
        n: usize,
    },
    /// More facts are to be chosen than a set has.
    #[error("more facts to modify than there are: expected at most {n_facts}, found: {n}")]
    TooMany {
        /// How many are to be chosen.
        n: usize,
        /// How many there are.
        n_facts: usize,
    },
    /// All objects of a relation are true of a subject.
    #[error(
        "no other object to draw in the relation {relation:?} for {subject:?}: leave the fact out, or give it an object"
    )]
    NoOtherObject {
        /// The relation's id.
        relation: String,
        /// The subject.
        subject: String,
    },
    /// Two records have the same id.
    #[error("repeats the id of line {line}: give each case its own, found: {id}")]
    RepeatedId {
        /// The earlier line.
        line: usize,
        /// The id.
        id: String,
    },
    /// A template doesn't say where its subject stands.
    #[error("expected one {{}} for the subject in the prompt, found: {found}")]
    NoBraces {
        /// The template.
        found: String,
    },
    /// A relation has no wording that ends with its object.
    #[error("no template that ends with its object, for the relation: {relation}")]
    ObjectNotLast {
        /// The relation's id.
        relation: String,
    },
    /// A list that must hold something holds nothing.
    #[error("`{key}` is an empty list: expected one item at least")]
    EmptyList {
        /// The key.
        key: &'static str,
    },
    /// A key has none of the values that it takes.
    #[error("`{key}` is none of {known}, found: {found:?}")]
    UnknownValue {
        /// The key.
        key: String,
        /// The values that it takes.
        known: String,
        /// Its value.
        found: String,
    },
    /// A case has no test of this index.
    #[error("no such test: expected an index below {n}, found: {found}")]
    NoSuchTest {
        /// The index.
        found: usize,
        /// How many there are.
        n: usize,
    },
    /// A sentence does not tell its subject or object.
    #[error("no {what} found in the sentence: {found}")]
    NotInSentence {
        /// What is looked for.
        what: &'static str,
        /// The sentence.
        found: String,
    },
    /// No data set has this name.
    #[error("no such format of cases: expected one of {known}, found: {found}")]
    UnknownDataset {
        /// The name.
        found: String,
        /// The names that there are.
        known: String,
    },
    /// A file's first record is none that is known.
    #[error("unknown format of cases: name one of {known}, found keys: {found}")]
    UnknownFormat {
        /// The names of the formats.
        known: String,
        /// The keys of the first record.
        found: String,
    },
    /// Patterns of relations were given for cases of none.
    #[error(
        "no relation is known of any case in {}, so none of the patterns can be used: the flat \
         CounterFact takes relations from a case_relations.jsonl in the same folder; go without \
         --patterns otherwise",
        path.display()
    )]
    NoRelations {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no case.
    #[error("no cases in: {}", path.display())]
    NoCases {
        /// The file.
        path: PathBuf,
    },
    /// No case of a file can be asked.
    #[error("none of {n} cases can be asked in {}, the first: {reason}", path.display())]
    AllLeftOut {
        /// The file.
        path: PathBuf,
        /// How many cases there are.
        n: usize,
        /// Why the first can't be asked.
        reason: String,
    },
    /// A format is read and not written.
    #[error("a format that is read alone: write one of {known}, found: {found}")]
    NotWritten {
        /// The format's name.
        found: String,
        /// The names of those that are written.
        known: String,
    },
    /// A line that names a fact has no tab.
    #[error("no tab: write the subject, a tab and the relation's id, found: {found}")]
    NoTab {
        /// The line.
        found: String,
    },
    /// A set lacks a fact that a file names.
    #[error("no such fact: {relation:?} of {subject:?}")]
    UnknownFact {
        /// The subject.
        subject: String,
        /// The relation's id.
        relation: String,
    },
}

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether a record has the form that it should, and yet nothing can be asked by it.
    pub(super) fn is_about_content(&self) -> bool {
        matches!(
            self.reason(),
            Error::Empty { .. }
                | Error::EmptySubject
                | Error::Multiline { .. }
                | Error::NoBraces { .. }
                | Error::NoOtherObject { .. }
                | Error::NoSubject { .. }
                | Error::NotInSentence { .. }
                | Error::ObjectNotLast { .. }
                | Error::SlotInSubject
                | Error::SubjectNotFound { .. }
                | Error::SubjectTwice { .. }
                | Error::TwoSlots
        )
    }
}
