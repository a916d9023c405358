//! What is to be changed: a fact with its old and new answer, and the probes around it.

use super::error::{Error, Origin, Result};
use super::prompt::{Prompt, SLOT};

/// A fact to write into a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// What the model is asked; it has a subject.
    pub prompt: Prompt,
    /// What it is to say, on one line and without a space in front.
    pub target_new: String,
    /// What it said before, as far as known.
    pub target_true: Option<String>,
    /// Other wordings of the prompt, to which the new answer holds too.
    pub paraphrases: Vec<Prompt>,
    /// Similar prompts about other subjects, whose answers must not change.
    pub neighbors: Vec<Probe>,
    /// Where it was read.
    pub origin: Option<Origin>,
}

impl Fact {
    /// Whether `other` is the same fact, with the same details, wherever it was read.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { origin: self.origin.clone(), ..other.clone() }
    }

    /// A fact without details.
    ///
    /// # Errors
    /// If the prompt has no subject, or the answer is empty or longer than a line.
    pub fn new(prompt: Prompt, target_new: &str) -> Result<Self> {
        if prompt.subject().is_none() {
            return Err(Error::NoSubject { prompt: prompt.text().to_owned() });
        }
        Ok(Fact {
            prompt,
            target_new: line("target_new", target_new)?,
            target_true: None,
            paraphrases: Vec::new(),
            neighbors: Vec::new(),
            origin: None,
        })
    }

    /// The same fact, with the answer that it had before.
    ///
    /// # Errors
    /// If the answer is empty or longer than a line.
    pub fn with_target_true(mut self, target_true: &str) -> Result<Self> {
        self.target_true = Some(line("target_true", target_true)?);
        Ok(self)
    }

    /// The name of what the fact is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.prompt.subject_text().unwrap_or_default()
    }
}

/// A prompt whose answer must not change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The prompt, without braces.
    pub prompt: String,
    /// The right answer, where there is one and it is known.
    pub answer: Option<String>,
}

impl Probe {
    /// A probe, trimmed.
    ///
    /// # Errors
    /// If the prompt is empty or has two slots, or the answer is empty or longer than a line.
    pub fn new(prompt: &str, answer: Option<&str>) -> Result<Self> {
        let prompt = Prompt::new(prompt, None)?.text().to_owned();
        let answer = answer.map(|answer| line("answer", answer)).transpose()?;
        Ok(Probe { prompt, answer })
    }

    /// The same probe with a slot at its end, unless it has one anywhere.
    #[must_use]
    pub fn masked(mut self) -> Self {
        if !self.prompt.contains(SLOT) {
            self.prompt = format!("{} {SLOT}.", self.prompt);
        }
        self
    }
}

/// An answer: not empty, and a single line.
pub(super) fn line(key: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::Empty { key });
    }
    if text.contains(['\n', '\r']) {
        return Err(Error::Multiline { key, found: text.to_owned() });
    }
    Ok(text.to_owned())
}
