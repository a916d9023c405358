//! The edit of a RippleEdits case: its file has one sentence, and no labels of subject and object.

use crate::data::error::{Error, Result};
use crate::data::mention::{Found, find_once};
use crate::data::object::Object;
use crate::data::prompt::Prompt;

/// What the benchmark's sentences have before and after their subject, by relation (its
/// `src/relation.py`); the object follows.
const RELATIONS: &[(&str, &str, &str)] = &[
    ("MOTHER", "The name of the mother of ", " is"),
    ("FATHER", "The name of the father of ", " is"),
    ("BROTHER", "The name of the brother of ", " is"),
    ("SISTER", "The name of the sister of ", " is"),
    ("SIBLING", "The names of the siblings of ", " are"),
    ("SPOUSE", "The name of the spouse of ", " is"),
    ("UNCLE", "The name of the uncle of ", " is"),
    ("AUNT", "The name of the aunt of ", " is"),
    ("CHILD", "The name of the child of ", " is"),
    ("NUMBER_OF_CHILDREN", "The number of children ", " has is"),
    ("SEX_OR_GENDER", "The gender of ", " is"),
    ("PLACE_OF_BIRTH", "The place of birth of ", " is"),
    ("PLACE_OF_DEATH", "The place of death of ", " is"),
    ("PLACE_OF_BURIAL", "The place of burial of ", " is"),
    ("COUNTRY", "The name of the country which ", " is associated with is"),
    ("COUNTRY_OF_CITIZENSHIP", "The name of the country of citizenship of ", " is"),
    ("POSITION_HELD", "The name of the position held by ", " is"),
    ("STEPFATHER", "The name of the stepfather of ", " is"),
    ("STEPMOTHER", "The name of the stepmother of ", " is"),
    ("MEMBER_OF_SPORTS_TEAM", "The name of the sports team which ", " is a member of is"),
    ("ALMA_MATER", "The name of the alma mater of ", " is"),
    ("SEXUAL_ORIENTATION", "The sexual orientation of ", " is"),
    ("OCCUPATION", "The occupation of ", " is"),
    ("EMPLOYER", "The name of the employer of ", " is"),
    ("LEAGUE", "The name of the league which ", " plays in is"),
    ("FIELD_OF_WORK", "The name of the field of work of ", " is"),
    ("NATIVE_LANGUAGE", "The mother tongue of ", " is"),
    ("AWARD_RECEIVED", "The name of the award ", " won is"),
    ("FOLLOWS", "", " follows"),
    ("FOLLOWED_BY", "", " is followed by"),
    ("ETHNIC_GROUP", "The name of the ethnic group which ", " is associated with is"),
    ("RELIGION", "The name of the religion which ", " is associated with is"),
    ("EYE_COLOR", "The eye color of ", " is"),
    ("DATE_OF_BIRTH", "The date of birth of ", " is"),
    ("DATE_OF_DEATH", "The date of death of ", " is"),
    ("HEAD_OF_GOVERNMENT", "The name of the head of government of ", " is"),
    ("HEAD_OF_STATE", "The name of the head of state of ", " is"),
    ("CONTINENT", "The name of the continent which ", " is part of is"),
    ("CAPITAL", "The name of the capital city of ", " is"),
    ("CURRENCY", "The name of the currency in ", " is"),
    ("OFFICIAL_LANGUAGE", "The official language of ", " is"),
    ("ANTHEM", "The name of the anthem of ", " is"),
    ("CAPITAL_OF", "The name of the country which ", " is the capital of is"),
    ("AUTHOR", "The name of the author of ", " is"),
    ("EDITOR", "The name of the editor of ", " is"),
    ("DIRECTOR", "The name of the director of ", " is"),
    ("SCREENWRITER", "The name of the screenwriter of ", " is"),
    ("CAST_MEMBER", "The names of the cast members of ", " are"),
    ("ARCHITECT", "The name of the architect of ", " is"),
    ("COMPOSER", "The name of the composer of ", " is"),
    ("FOUNDER", "The name of the founder of ", " is"),
];

/// An edit.
pub(super) struct Edit {
    sentence: String,
    pub(super) relation: String,
    /// The sentence of the old fact.
    old: Option<String>,
}

impl Edit {
    pub(super) fn parse(edit: &mut Object<'_>) -> Result<Self> {
        let key = if edit.has("original_fact") { "original_fact" } else { "previous_fact" };
        let old = edit.object(key)?.map(|mut old| old.required("prompt")).transpose()?;
        Ok(Self { sentence: edit.required("prompt")?, relation: edit.required("relation")?, old })
    }

    /// The edited prompt, the new object, and the old one where it is known. `others` are the
    /// prompts of the case's queries.
    pub(super) fn split(&self, others: &[&str]) -> Result<(Prompt, String, Option<String>)> {
        let missing = |what| Error::NotInSentence { what, found: self.sentence.clone() };
        let relation = RELATIONS.iter().find(|(relation, ..)| *relation == self.relation);
        let &(_, before, after) = relation.ok_or_else(|| missing("known relation"))?;
        let sentence = bare(&self.sentence);
        let rest = sentence.strip_prefix(before).ok_or_else(|| missing("subject"))?;
        let after = format!("{after} ");
        let ends: Vec<usize> = rest.match_indices(&after).map(|(end, _)| end).collect();
        // A name may hold the verb, as `Love is all` does: then other queries have all of it.
        let is_named = |&&end: &&usize| {
            others.iter().any(|other| find_once(other, &rest[..end]) != Found::Never)
        };
        let end = ends.iter().rev().find(is_named).or(ends.first());
        let end = *end.ok_or_else(|| missing("object"))?;
        let phrase = sentence[..before.len() + end + after.len()].trim_end();
        let new = object(sentence, phrase).ok_or_else(|| missing("object"))?;
        let prompt = Prompt::new(phrase, Some(before.len()..before.len() + end))?;
        let old = self.old.as_deref().and_then(|old| object(bare(old), phrase));
        Ok((prompt, new.to_owned(), old.map(str::to_owned)))
    }
}

/// What follows a phrase in a sentence, if anything does.
fn object<'a>(sentence: &'a str, phrase: &str) -> Option<&'a str> {
    let object = sentence.strip_prefix(phrase)?.strip_prefix(' ')?.trim();
    (!object.is_empty()).then_some(object)
}

/// A sentence without its stop.
fn bare(sentence: &str) -> &str {
    let sentence = sentence.trim();
    sentence.strip_suffix('.').unwrap_or(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(relation: &str, sentence: &str, old: Option<&str>) -> Edit {
        let old = old.map(str::to_owned);
        Edit { sentence: sentence.to_owned(), relation: relation.to_owned(), old }
    }

    #[test]
    fn a_sentence_is_split_by_its_relation() {
        for (relation, sentence, prompt, new) in [
            (
                "PLACE_OF_BIRTH",
                "The place of birth of Ann of Bonn is Oslo.",
                "The place of birth of {Ann of Bonn} is",
                "Oslo",
            ),
            (
                "COUNTRY",
                "The name of the country which Ann is associated with is Peru.",
                "The name of the country which {Ann} is associated with is",
                "Peru",
            ),
            (
                "COMPOSER",
                "The name of the composer of Love is all is Bo is.",
                "The name of the composer of {Love is all} is",
                "Bo is",
            ),
            ("FOLLOWED_BY", "Ann is followed by Bo.", "{Ann} is followed by", "Bo"),
            ("FOLLOWS", "Ann follows J. R.", "{Ann} follows", "J. R"),
            (
                "CAPITAL",
                "The name of the capital city of An isle is Bo",
                "The name of the capital city of {An isle} is",
                "Bo",
            ),
        ] {
            let others = ["The name of the author of Love is all is"];
            let (found, object, _) = edit(relation, sentence, None).split(&others).unwrap();
            assert_eq!((found.marked().as_str(), object.as_str()), (prompt, new));
        }
    }

    #[test]
    fn the_old_object_may_be_unknown() {
        let sentence = "The gender of Ann is female.";
        for (old, expected) in
            [("The gender of Ann is male.", Some("male")), ("The gender of Ann is .", None)]
        {
            let (.., found) = edit("SEX_OR_GENDER", sentence, Some(old)).split(&[]).unwrap();
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn a_sentence_without_subject_or_object_is_refused() {
        for (relation, sentence, message) in [
            ("SHOE_SIZE", "The shoe size of Ann is 9.", "no known relation found in the sentence"),
            ("MOTHER", "The gender of Ann is male.", "no subject found in the sentence"),
            ("MOTHER", "The name of the mother of Ann is .", "no object found in the sentence"),
            ("MOTHER", "The name of the mother of Ann", "no object found in the sentence"),
            ("FOLLOWS", " follows Bo.", "no object found in the sentence"),
            ("MOTHER", "The name of the mother of  is Bo.", "empty subject"),
        ] {
            let error = edit(relation, sentence, None).split(&[]).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
