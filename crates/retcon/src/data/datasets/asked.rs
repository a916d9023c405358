//! From the texts of a record to what is edited and asked; it knows no keys.

use serde_json::Value;

use crate::data::article::capital;
use crate::data::case::{Axis, Question};
use crate::data::error::{Error, Result};
use crate::data::fact::{Fact, line};
use crate::data::mention::{Found, find_once};
use crate::data::object::Line;
use crate::data::prompt::Prompt;

/// A fact of a prompt that names its subject; an old answer that is the new one is none.
pub(super) fn fact(prompt: Prompt, new: &str, old: Option<&str>) -> Result<Fact> {
    let fact = Fact::new(prompt, new)?;
    match old.filter(|old| old.trim() != fact.target_new) {
        Some(old) => fact.with_target_true(old),
        None => Ok(fact),
    }
}

/// A template such as `The capital of {} is` about a subject; no other brace means anything.
pub(super) fn filled(template: &str, subject: &str) -> Result<Prompt> {
    let broken = || Error::NoBraces { found: template.to_owned() };
    let (before, after) = template.split_once("{}").ok_or_else(broken)?;
    if after.contains("{}") {
        return Err(broken());
    }
    let subject = subject.trim();
    let range = before.len()..before.len() + subject.len();
    Prompt::new(&format!("{before}{subject}{after}"), Some(range))
}

/// A question about a subject, which is marked where the text names it once, and by this name.
pub(super) fn question(axis: Axis, text: &str, subject: &str) -> Result<Question> {
    let prompt = match find_once(text, subject.trim()) {
        // A slot may overlap it.
        Found::Once(range) if axis != Axis::Aliasing => {
            Prompt::new(text, Some(range)).or_else(|_| Prompt::new(text, None))
        }
        _ => Prompt::new(text, None),
    };
    Ok(Question::new(axis, prompt?))
}

/// The names of an answer: cut of white space, each once, without empty ones.
pub(super) fn names(names: impl IntoIterator<Item = String>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in names {
        if name.trim().is_empty() {
            continue;
        }
        let name = line("answer", &name)?;
        if !found.contains(&name) {
            found.push(name);
        }
    }
    match found.is_empty() {
        true => Err(Error::Empty { key: "answer" }),
        false => Ok(found),
    }
}

/// The answers of a question, each with its names; none where one of them has no name, since then
/// nothing that is said could be told to be right.
pub(super) fn answers(answers: Vec<Vec<String>>) -> Result<Vec<Vec<String>>> {
    let is_named = |answer: &Vec<String>| answer.iter().any(|name| !name.trim().is_empty());
    match answers.iter().all(is_named) {
        true => answers.into_iter().map(names).collect(),
        false => Ok(Vec::new()),
    }
}

/// The name of an answer that has one alone.
pub(super) fn name(name: String) -> Result<Vec<String>> {
    names([name])
}

/// The prompt of a question as people ask it: a capital in front, a question mark behind.
pub(super) fn asked(text: &str) -> String {
    let text = capital(text.trim());
    match text.ends_with('?') || text.is_empty() {
        true => text,
        false => format!("{text}?"),
    }
}

/// A text, or a list of them.
pub(super) fn texts(line: Line<'_>, key: &str, value: Value) -> Result<Vec<String>> {
    match value {
        Value::Array(_) => line.strings(key, value),
        other => Ok(vec![line.string(key, other)?]),
    }
}

/// An id as the original files have it, which is a number where it can be one.
pub(super) fn number(id: &str) -> Value {
    let number = id.parse::<u64>().ok().filter(|number| number.to_string() == id);
    number.map_or_else(|| id.into(), Into::into)
}
