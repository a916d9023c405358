//! The edit of a RippleEdits case: its file has one sentence, and no labels of subject and object.

use crate::data::error::{Error, Result};
use crate::data::mention::{Found, find_once};
use crate::data::object::Object;
use crate::data::prompt::Prompt;

/// What comes last in the benchmark's prompts, before the object.
const ENDS: &[&str] = &[" is", " are", " follows", " is followed by"];

/// What comes before the subject in them, where that is not first.
const BEFORE: &[&str] = &[" of ", " which ", " by ", " in ", " children ", " award "];

/// What comes after the subject in them.
const AFTER: &[&str] = &[
    " is associated with is",
    " is a member of is",
    " is part of is",
    " is the capital of is",
    " plays in is",
    " has is",
    " won is",
    " is followed by",
    " follows",
    " are",
    " is",
];

/// An edit, and what the queries of its case tell of it.
pub(super) struct Edit {
    sentence: String,
    subject_id: String,
    target_id: String,
    pub(super) relation: String,
    old: Option<String>,
    /// Other prompts about the subject.
    prompts: Vec<String>,
    /// What queries call the new object.
    labels: Vec<String>,
}

/// What a query names.
pub(super) struct Named {
    subject_id: String,
    relation: String,
    prompt: String,
    /// The ids of its answers with their labels.
    targets: Vec<(String, String)>,
}

impl Named {
    pub(super) fn parse(
        query: &mut Object<'_>,
        prompt: &str,
        answers: &[Vec<String>],
    ) -> Result<Self> {
        let ids = query.strings("target_ids")?.into_iter();
        let labels = answers.iter().filter_map(|names| names.first().cloned());
        Ok(Self {
            subject_id: query.string("subject_id")?.unwrap_or_default(),
            relation: query.string("relation")?.unwrap_or_default(),
            prompt: prompt.to_owned(),
            targets: ids.zip(labels).collect(),
        })
    }
}

impl Edit {
    pub(super) fn parse(edit: &mut Object<'_>) -> Result<Self> {
        let key = if edit.has("original_fact") { "original_fact" } else { "previous_fact" };
        let old = edit.object(key)?.map(|mut old| old.required("prompt")).transpose()?;
        Ok(Self {
            sentence: edit.required("prompt")?,
            subject_id: edit.required("subject_id")?,
            target_id: edit.required("target_id")?,
            relation: edit.required("relation")?,
            old,
            prompts: Vec::new(),
            labels: Vec::new(),
        })
    }

    /// Takes in what a query names.
    pub(super) fn hear(&mut self, named: Named) {
        if named.subject_id == self.subject_id && named.relation != self.relation {
            self.prompts.push(named.prompt);
        }
        let same = named.targets.into_iter().filter(|(id, _)| *id == self.target_id);
        self.labels.extend(same.map(|(_, label)| label));
    }

    /// The edited prompt, the new object, and the old one where it is known.
    pub(super) fn split(&self) -> Result<(Prompt, String, Option<String>)> {
        let missing = |what| Error::NotInSentence { what, found: self.sentence.clone() };
        let (phrase, new) = self.object().ok_or_else(|| missing("object"))?;
        let prompt = self.subject(phrase).ok_or_else(|| missing("subject"))?;
        let old = self.old.as_deref().and_then(|old| bare(old).strip_prefix(phrase));
        let old = old.map(|old| old.trim().to_owned()).filter(|old| !old.is_empty());
        Ok((prompt, new.to_owned(), old))
    }

    /// The sentence up to its object, and that: what queries call it, or else what follows a verb.
    fn object(&self) -> Option<(&str, &str)> {
        let sentence = bare(&self.sentence);
        let labeled = self.labels.iter().find_map(|label| {
            let phrase = sentence.strip_suffix(label.trim())?;
            phrase.ends_with(' ').then(|| (phrase.trim_end(), label.trim()))
        });
        labeled.or_else(|| {
            let ends = ENDS.iter().filter_map(|end| {
                let at = sentence.rfind(&format!("{end} "))?;
                Some(at + end.len())
            });
            let (phrase, object) = sentence.split_at(ends.max()?);
            Some((phrase, object.trim()))
        })
    }

    /// The prompt with its subject: the longest name that another prompt about it has as well.
    fn subject(&self, phrase: &str) -> Option<Prompt> {
        let text = AFTER.iter().find_map(|after| phrase.strip_suffix(after))?;
        let starts = BEFORE
            .iter()
            .flat_map(|before| text.match_indices(before).map(|(at, _)| at + before.len()));
        let mut starts: Vec<_> = starts.chain([0]).filter(|&start| start < text.len()).collect();
        starts.sort_unstable();
        let is_shared = |start: &&usize| {
            let name = &text[**start..];
            self.prompts.iter().any(|prompt| find_once(prompt, name) != Found::Never)
        };
        let start = *starts.iter().find(is_shared)?;
        Prompt::new(phrase, Some(start..text.len())).ok()
    }
}

/// A sentence without its stop.
fn bare(sentence: &str) -> &str {
    let sentence = sentence.trim();
    sentence.strip_suffix('.').unwrap_or(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sentence: &str, others: &[&str], label: Option<&str>, prompt: &str, new: &str) {
        let edit = Edit {
            sentence: sentence.to_owned(),
            subject_id: String::new(),
            target_id: String::new(),
            relation: String::new(),
            old: None,
            prompts: others.iter().map(|other| (*other).to_owned()).collect(),
            labels: label.iter().map(|label| (*label).to_owned()).collect(),
        };
        let (found, object, _) = edit.split().unwrap();
        assert_eq!((found.marked().as_str(), object.as_str()), (prompt, new));
    }

    #[test]
    fn a_sentence_is_split_by_what_other_prompts_name() {
        let mother = &["The name of the mother of Ann of Bonn is"];
        check(
            "The place of birth of Ann of Bonn is Oslo.",
            mother,
            None,
            "The place of birth of {Ann of Bonn} is",
            "Oslo",
        );
        check(
            "The name of the song of Ann of Bonn is Love is all.",
            mother,
            Some("Love is all"),
            "The name of the song of {Ann of Bonn} is",
            "Love is all",
        );
        check(
            "The name of the country which Ann is associated with is Peru.",
            &["Ann is followed by"],
            None,
            "The name of the country which {Ann} is associated with is",
            "Peru",
        );
        check("Ann is followed by Bo.", &["Ann follows"], None, "{Ann} is followed by", "Bo");
        check("Ann follows Bo", &["Ann is followed by"], None, "{Ann} follows", "Bo");
    }
}
