//! Where in a file an error is: its line, its key, its column; it knows no kind of error.

use std::fmt;
use std::path::PathBuf;

use super::error::Error;

impl Error {
    /// What is wrong, without the place.
    #[must_use]
    pub fn reason(&self) -> &Error {
        match self {
            Error::At { error, .. } => error.reason(),
            other => other,
        }
    }

    /// What is wrong, with its key, for whoever says the line apart.
    pub(super) fn without_line(&self) -> String {
        match self {
            Error::At { place: Place { key: Some(key), .. }, error } => {
                format!("`{key}`: {}", error.without_line())
            }
            Error::At { error, .. } => error.without_line(),
            other => other.to_string(),
        }
    }

    /// The line of a file that is to blame, where one is.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Error::At { place, error } => place.origin.as_ref().or(error.origin()),
            _ => None,
        }
    }
}

/// The line of a file that a fact was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file as it was named by the caller.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// As much as is known of the place of an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The line of a file.
    pub origin: Option<Origin>,
    /// The key of a JSON object, such as `paraphrases[2]`.
    pub key: Option<String>,
    /// The character, from 1, in the value of the key if there is one, in the line otherwise.
    pub column: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.key, self.column) {
            (Some(origin), None, Some(column)) => write!(f, "{origin}:{column}"),
            (Some(origin), None, None) => write!(f, "{origin}"),
            (Some(origin), Some(key), column) => {
                write!(f, "{origin}: ")?;
                write_key(f, key, column)
            }
            (None, Some(key), column) => write_key(f, key, column),
            (None, None, Some(column)) => write!(f, "column {column}"),
            (None, None, None) => f.write_str("in a fact"),
        }
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &str, column: Option<usize>) -> fmt::Result {
    match column {
        Some(column) => write!(f, "`{key}`, column {column}"),
        None => write!(f, "`{key}`"),
    }
}

/// An error on its way out of a text, before anybody knows which line that text is.
#[derive(Debug)]
pub(super) struct Fault {
    /// The byte of the text.
    pub(super) at: Option<usize>,
    pub(super) error: Error,
}

impl Fault {
    /// The cause is at this byte.
    pub(super) fn at(byte: usize, error: Error) -> Self {
        Fault { at: Some(byte), error }
    }

    /// The same fault in a text that has `bytes` more in front.
    pub(super) fn moved(self, bytes: usize) -> Self {
        Fault { at: self.at.map(|at| at + bytes), ..self }
    }

    /// Tells the column in `text`, and the rest of the place.
    pub(super) fn place(self, text: &str, origin: Option<&Origin>, key: Option<&str>) -> Error {
        let before = |at| text.char_indices().take_while(|&(start, _)| start < at).count();
        let column = self.at.map(|at| before(at) + 1);
        let place = Place { origin: origin.cloned(), key: key.map(str::to_owned), column };
        if place == Place::default() {
            return self.error;
        }
        Error::At { place, error: Box::new(self.error) }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault { at: None, error }
    }
}
