//! A fact as a prompt with its answer, in one of its wordings; for encoders, or for what reads from left to right.

use super::{Evidence, FactSet, OBJECT, Relation, SUBJECT, Triple};
use crate::data::article::capital;
use crate::data::error::{Error, Result};
use crate::data::mention::{Found, find_once};
use crate::data::prompt::{Prompt, SLOT};

/// Which wording of a fact is asked for, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wording {
    /// A template of its relation; the first is the main one.
    Template(usize),
    /// A question of its relation.
    Question(usize),
    /// A sentence that names this very fact.
    Evidence(usize),
}

/// What a model is asked, and what it is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The text, with its subject where that is found once, and with a slot unless the object ends it.
    pub prompt: Prompt,
    /// The object, in the form that fits the text.
    pub object: String,
}

impl Relation {
    /// Whether nothing but punctuation follows the object in a template, and the subject comes before.
    #[must_use]
    pub fn object_last(&self, template: usize) -> bool {
        let parts = self.templates.get(template).and_then(|template| template.split_once(OBJECT));
        parts.is_some_and(|(before, after)| before.contains(SUBJECT) && closes(after))
    }
}

impl FactSet {
    /// A fact in one of its wordings, with `object` as the answer; `None` if it has no such wording.
    ///
    /// A name without capitals that begins a sentence gets one.
    /// The slot of an evidence takes the form that stood there, unless `object` is another than the fact's.
    ///
    /// # Errors
    /// If there is no such fact, the object is empty, or a wording is not well formed.
    pub fn example(&self, fact: usize, object: &str, wording: Wording) -> Result<Option<Example>> {
        let found = self.worded(fact, object, wording)?;
        found
            .map(
                |example| {
                    if ends(&example.prompt, str::is_empty) { cut(example) } else { Ok(example) }
                },
            )
            .transpose()
    }

    /// As [`FactSet::example`], up to the object and without what closes the sentence;
    /// `None`, too, where words follow the object or nothing comes before it.
    ///
    /// # Errors
    /// As [`FactSet::example`].
    pub fn example_before(
        &self,
        fact: usize,
        object: &str,
        wording: Wording,
    ) -> Result<Option<Example>> {
        let found = self.worded(fact, object, wording)?;
        let found = found
            .filter(|example| example.prompt.slot().is_none() || ends(&example.prompt, closes));
        found.map(cut).transpose()
    }

    fn worded(&self, fact: usize, object: &str, wording: Wording) -> Result<Option<Example>> {
        let (triple, relation) = self.fact(fact)?;
        let object = object.trim();
        if object.is_empty() {
            return Err(Error::Empty { key: "object" });
        }
        let filled = |text: &String| {
            let prompt = fill(text, &triple.subject)?;
            Ok(Example { prompt, object: object.to_owned() })
        };
        match wording {
            Wording::Template(n) => relation.templates.get(n).map(filled).transpose(),
            Wording::Question(n) => relation.questions.get(n).map(filled).transpose(),
            Wording::Evidence(n) => triple
                .evidences
                .get(n)
                .map(|evidence| evident(triple, evidence, object))
                .transpose(),
        }
    }
}

/// A template or question about a subject.
pub(in crate::data) fn fill(template: &str, subject: &str) -> Result<Prompt> {
    let (before, after) = template
        .split_once(SUBJECT)
        .ok_or_else(|| Error::BadTemplate { found: template.to_owned() })?;
    let (before, after) = (before.replace(OBJECT, SLOT), after.replace(OBJECT, SLOT));
    let first = subject.split_whitespace().next().unwrap_or_default();
    let subject = match before.is_empty() && !first.contains(char::is_uppercase) {
        true => capital(subject),
        false => subject.to_owned(),
    };
    let range = before.len()..before.len() + subject.len();
    Prompt::new(&format!("{before}{subject}{after}"), Some(range))
}

fn evident(triple: &Triple, evidence: &Evidence, object: &str) -> Result<Example> {
    let text = evidence.text.trim();
    let mut names = evidence.subject.iter().chain([&triple.subject]);
    let subject = names.find_map(|name| match find_once(text, name.trim()) {
        Found::Once(range) => Some(range),
        _ => None,
    });
    let object = if object == triple.object { evidence.object.trim() } else { object };
    Ok(Example { prompt: Prompt::new(text, subject)?, object: object.to_owned() })
}

/// Whether the slot ends a prompt but for what `rest` takes, after its subject if it has one.
fn ends(prompt: &Prompt, rest: impl Fn(&str) -> bool) -> bool {
    let text = prompt.text();
    let slot = prompt.slot().unwrap_or_default();
    let after_subject = prompt.subject().is_none_or(|subject| subject.end <= slot.start);
    after_subject && !text[..slot.start].trim().is_empty() && rest(&text[slot.end..])
}

/// The text up to the slot.
fn cut(example: Example) -> Result<Example> {
    match example.prompt.slot() {
        None => Ok(example),
        Some(slot) => {
            let text = &example.prompt.text()[..slot.start];
            let prompt = Prompt::new(text, example.prompt.subject())?;
            Ok(Example { prompt, object: example.object })
        }
    }
}

/// Whether a text is white space and punctuation alone.
pub(in crate::data) fn closes(text: &str) -> bool {
    !text.contains(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(template: &str) -> FactSet {
        let sentence = |text: &str, subject: Option<&str>| Evidence {
            text: text.to_owned(),
            object: "Parisian".to_owned(),
            subject: subject.map(str::to_owned),
        };
        let relation = Relation {
            templates: vec![template.to_owned()],
            questions: vec!["Where is [X]?".to_owned()],
            ..Relation::default()
        };
        let triple = Triple {
            subject: "Café".to_owned(),
            object: "Paris".to_owned(),
            evidences: vec![
                sentence("The café is [MASK] {sic}.", Some("café")),
                sentence("A Café is no Café [MASK]", Some("Cafe")),
                sentence("[MASK] has a Café.", None),
                sentence("[MASK]!", None),
            ],
            ..Triple::default()
        };
        FactSet { relations: vec![relation], triples: vec![triple], ..FactSet::default() }
    }

    type Case<'a> = Option<(&'a str, Option<&'a str>)>;

    #[track_caller]
    fn check(template: &str, wording: Wording, whole: Case<'_>, before: Case<'_>) {
        let set = set(template);
        for (found, expected) in [
            (set.example(0, "Paris", wording), whole),
            (set.example_before(0, "Paris", wording), before),
        ] {
            let found = found.unwrap();
            let found = found.as_ref().map(|e| (e.prompt.text(), e.prompt.subject_text()));
            assert_eq!(found, expected);
        }
    }

    const T: Wording = Wording::Template(0);

    #[test]
    fn templates_are_filled() {
        let name = Some("Café");
        check(
            "The [X] is in [Y].",
            T,
            Some(("The Café is in [MASK].", name)),
            Some(("The Café is in", name)),
        );
        check("[X]: [Y]", T, Some(("Café:", name)), Some(("Café:", name)));
        check("[X] is a [Y] thing.", T, Some(("Café is a [MASK] thing.", name)), None);
        check("In [Y] is [X].", T, Some(("In [MASK] is Café.", name)), None);
        check(
            "[X] is in [Y] !",
            T,
            Some(("Café is in [MASK] !", name)),
            Some(("Café is in", name)),
        );
        check("[X] [Y]", Wording::Template(1), None, None);
    }

    #[test]
    fn questions_have_no_slot() {
        let asked = Some(("Where is Café?", Some("Café")));
        check("[X] [Y]", Wording::Question(0), asked, asked);
        check("[X] [Y]", Wording::Question(1), None, None);
    }

    #[test]
    fn evidences_keep_their_slot_and_find_their_subject() {
        let evidence = |n, whole, before| check("[X] [Y]", Wording::Evidence(n), whole, before);
        evidence(0, Some(("The café is [MASK] {sic}.", Some("café"))), None);
        let twice = "A Café is no Café";
        evidence(1, Some((twice, None)), Some((twice, None)));
        evidence(2, Some(("[MASK] has a Café.", Some("Café"))), None);
        evidence(3, Some(("[MASK]!", None)), None);
        evidence(4, None, None);
    }

    #[test]
    fn an_evidence_takes_its_own_form_unless_the_fact_is_modified() {
        let set = set("[X] [Y]");
        let object = |object| set.example(0, object, Wording::Evidence(0)).unwrap().unwrap().object;
        assert_eq!(object("Paris"), "Parisian");
        assert_eq!(object("Rome"), "Rome");
        assert_eq!(set.example(0, "Paris", T).unwrap().unwrap().object, "Paris");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        let refuse = |template: &str, fact, object, message: &str| {
            let found = set(template).example(fact, object, T).unwrap_err();
            assert_eq!(found.to_string(), message);
        };
        refuse("[X] [Y]", 1, "a", "no such fact: expected an index below 1, found: 1");
        refuse("[X] [Y]", 0, " ", "`object` is empty: expected text");
        refuse(
            "It is [Y]",
            0,
            "a",
            "expected one [X] for the subject and one [Y] for the object in the template, \
             found: It is [Y]",
        );
    }

    #[test]
    fn the_object_may_be_last() {
        let last = |template: &str| set(template).relations[0].object_last(0);
        assert!(last("[X] is in [Y].") && last("[X]: \"[Y]\"") && last("[X] [Y]"));
        assert!(!last("[X] is in [Y] now") && !last("[Y] is [X]"));
        assert!(!set("[X] [Y]").relations[0].object_last(1));
    }

    proptest! {
        #[test]
        fn no_wording_panics(
            template in r"([aé .]|\[X\]|\[Y\]|\[MASK\]){0,5}",
            subject in r"[aé ]{0,3}(\[MASK\])?",
        ) {
            let mut set = set(&template);
            set.triples[0].subject = subject;
            set.triples[0].evidences[0].text = template;
            for wording in [T, Wording::Question(0), Wording::Evidence(0)] {
                let whole = set.example(0, "b", wording);
                if let (Ok(whole), Ok(Some(before))) = (whole, set.example_before(0, "b", wording)) {
                    prop_assert!(whole.unwrap().prompt.text().starts_with(before.prompt.text()));
                    prop_assert_eq!(before.prompt.slot(), None);
                }
            }
        }
    }
}
