//! ParaRel's patterns: a relation in many words, of which paraphrases of its cases are made.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::error::{Error, Result};
use crate::data::knowledge::{OBJECT, SUBJECT, closes, fill};
use crate::data::object::{Line, Object};
use crate::data::prompt::Prompt;
use crate::data::seed::SplitMix;
use crate::data::text_file::TextFile;

/// So many paraphrases a case at most; the original CounterFact has two.
pub(super) const N_PARAPHRASES: usize = 4;

/// The beginnings of patterns that end with their object, by relation.
#[derive(Default)]
pub(super) struct Patterns(BTreeMap<String, Vec<String>>);

impl Patterns {
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        path.map_or_else(|| Ok(Self::default()), |path| Self::read(&TextFile::open(path)?))
    }

    fn read(file: &TextFile) -> Result<Self> {
        let mut patterns = BTreeMap::<_, Vec<String>>::new();
        for (origin, text) in file.records()? {
            let line = Line { text, origin: &origin };
            let mut record = Object::open(line)?;
            let (relation, pattern) = (record.required("relation")?, record.required("pattern")?);
            let of_relation = patterns.entry(relation).or_default();
            let before = before_object(&pattern).map_err(|error| line.error(error))?;
            if let Some(before) = before.filter(|before| !of_relation.contains(before)) {
                of_relation.push(before);
            }
        }
        Ok(Self(patterns))
    }

    /// Whether a text with `{}` for its subject is a pattern of a relation.
    pub(super) fn has(&self, relation: Option<&str>, text: &str) -> bool {
        let patterns = relation.and_then(|relation| self.0.get(relation)).into_iter().flatten();
        patterns.into_iter().any(|pattern| pattern.replace(SUBJECT, "{}") == text)
    }

    /// A fact of a relation in other words, a few of them drawn by the seed.
    pub(super) fn paraphrases(&self, relation: &str, prompt: &Prompt, seed: u64) -> Vec<Prompt> {
        let subject = prompt.subject_text().unwrap_or_default();
        let patterns = self.0.get(relation).into_iter().flatten();
        let mut others: Vec<Prompt> = Vec::new();
        for other in patterns.filter_map(|pattern| fill(pattern, subject).ok()) {
            let is_known = |known: &Prompt| known.text() == other.text();
            if !is_known(prompt) && !others.iter().any(is_known) {
                others.push(other);
            }
        }
        SplitMix::new(seed, prompt.text()).pick(others, N_PARAPHRASES)
    }
}

/// A pattern up to its object, unless words follow that.
fn before_object(pattern: &str) -> Result<Option<String>> {
    let broken = || Error::BadTemplate { found: pattern.to_owned() };
    let (before, after) = pattern.split_once(OBJECT).ok_or_else(broken)?;
    let n_subjects = pattern.matches(SUBJECT).count();
    if n_subjects != 1 || after.contains(OBJECT) {
        return Err(broken());
    }
    let is_last = closes(after) && before.contains(SUBJECT);
    Ok(is_last.then(|| before.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERNS: &str = r#"{"relation":"P1","pattern":"[X] lives in [Y]."}
        {"relation":"P1","pattern":"The home of [X] is [Y]"}
        {"relation":"P1","pattern":"[X], a [Y]-based person."}
        {"relation":"P1","pattern":"[Y] is home to [X]."}
        {"relation":"P2","pattern":"[X] eats [Y]."}"#;

    fn read(text: &str) -> Result<Patterns> {
        Patterns::read(&TextFile { path: "p".into(), text: text.to_owned() })
    }

    #[test]
    fn the_object_is_last_and_the_prompt_is_another() {
        let prompt = Prompt::parse("{Ann} lives in").unwrap();
        let made = read(PATTERNS).unwrap().paraphrases("P1", &prompt, 0);
        let made: Vec<_> = made.iter().map(Prompt::marked).collect();
        assert_eq!(made, ["The home of {Ann} is"]);
        assert!(read(PATTERNS).unwrap().paraphrases("P3", &prompt, 0).is_empty());
    }

    #[test]
    fn so_many_are_drawn_by_the_seed() {
        let line = |idx| format!("{{\"relation\":\"P1\",\"pattern\":\"{idx}: [X] is [Y]\"}}\n");
        let patterns = read(&(0..9).map(line).collect::<String>()).unwrap();
        let prompt = Prompt::parse("{Ann} is").unwrap();
        let draw = |seed| patterns.paraphrases("P1", &prompt, seed);
        assert_eq!(draw(1).len(), N_PARAPHRASES);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_pattern_has_a_subject_and_an_object() {
        let error = read("{\"relation\":\"P1\",\"pattern\":\"[X] is\"}").err().unwrap();
        assert_eq!(
            error.to_string(),
            "p:1: expected one [X] for the subject and one [Y] for the object in the template, \
             found: [X] is"
        );
    }
}
