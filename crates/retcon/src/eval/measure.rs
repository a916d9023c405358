//! What is compared at a question: the new answer with the wanted one, or with the old answer.

use super::answer::{begins_with, contains, is_exactly, is_exactly_up_to_a_stop};
use super::fluency::entropy;
use super::reading::{Reading, Taken};
use crate::data::case::Question;

/// What is compared at a question. All but the magnitude lie between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Whether the wanted object is likelier than the other, by the mean of its tokens' `log p`.
    Prefer,
    /// How much likelier: the difference of the geometric means of their tokens' probabilities.
    Magnitude,
    /// The share of the object's tokens that are the most likely ones, each fed those before it.
    Tokens,
    /// Whether all of them are.
    Sequence,
    /// Whether the object is said freely, and nothing else up to some stop of the first line.
    Exact,
    /// The same by WILD's rule to the letter: up to the first full stop or line break, by the first of
    /// its names.
    ExactUpToStop,
    /// Whether it is what is said first.
    Begins,
    /// Whether it is in what is said.
    Contains,
    /// The same, of cases whose edit succeeded: its object is in what is said to its own prompt.
    ContainsEdited,
    /// The share of a case's tests that count, which those do whose conditions held before the edit.
    Counted,
    /// The share of the most likely tokens along the object that are as before.
    SameTokens,
    /// Whether what is said freely is the same text as before.
    SameText,
    /// The share of pairs of questions that get the same free answer.
    Agree,
    /// The entropy of a text's word n-grams, in bits.
    Entropy,
    /// How near the case's texts are to its references, as a cosine.
    Nearness,
}

impl Measure {
    /// What it is, in words.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Prefer => "the wanted object is likelier than the other one",
            Self::Magnitude => "probability of the wanted object minus that of the other one",
            Self::Tokens => "share of the object's tokens that lead, fed those before them",
            Self::Sequence => "every token of the object leads, fed those before it",
            Self::Exact => "the object is said freely, and nothing else up to a stop",
            Self::ExactUpToStop => {
                "the object, by its first name, is said freely, and nothing else up to the first \
                 `.` or line break"
            }
            Self::Begins => "the object is what is said first",
            Self::Contains => "the object is in what is said",
            Self::ContainsEdited => "the object is in what is said, of edits that succeeded",
            Self::Counted => "share of a case's tests whose conditions held before the edit",
            Self::SameTokens => "share of leading tokens along the object that are as before",
            Self::SameText => "what is said freely is the same text as before",
            Self::Agree => "share of pairs of wordings that get the same free answer",
            Self::Entropy => "entropy of the word n-grams of a text about the subject, in bits",
            Self::Nearness => "cosine of the words of such texts and of texts about the new object",
        }
    }

    /// Whether the model speaks freely for it.
    #[must_use]
    pub fn is_free(self) -> bool {
        match self {
            Self::Exact | Self::ExactUpToStop | Self::Begins => true,
            Self::Contains | Self::ContainsEdited | Self::Counted => true,
            Self::SameText | Self::Agree => true,
            Self::Prefer | Self::Magnitude | Self::Tokens | Self::Sequence => false,
            Self::SameTokens | Self::Entropy | Self::Nearness => false,
        }
    }

    /// What it is at a question; `None` where that lacks what is compared.
    #[must_use]
    pub fn of(self, question: &Question, before: &Reading, after: &Reading) -> Option<f64> {
        let said = |is: fn(&str, &str) -> bool| is_said(question, after.says.as_deref()?, is);
        match self {
            Self::Prefer => pair(after, |wanted, other| flag(wanted.nll < other.nll)),
            Self::Magnitude => {
                pair(after, |wanted, other| (-wanted.nll).exp() - (-other.nll).exp())
            }
            Self::Tokens => Some(after.wanted.as_ref()?.matched()),
            Self::Sequence => {
                let taken = after.wanted.as_ref()?;
                Some(flag(taken.leads()))
            }
            Self::Exact => said(is_exactly),
            Self::ExactUpToStop => {
                let (says, answer) = (after.says.as_deref()?, question.answer()?);
                Some(flag(is_exactly_up_to_a_stop(says, answer)))
            }
            Self::Begins => said(begins_with),
            Self::Contains | Self::ContainsEdited => said(contains),
            Self::SameTokens => Some(after.wanted.as_ref()?.same(before.wanted.as_ref()?)),
            Self::SameText => {
                let said = [before.says.as_deref()?.trim(), after.says.as_deref()?.trim()];
                // Where nothing is said, nothing could change.
                (said != ["", ""]).then(|| flag(before.says == after.says))
            }
            Self::Entropy => entropy(after.says.as_deref()?),
            // These are of a whole case.
            Self::Agree | Self::Nearness | Self::Counted => None,
        }
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn pair(reading: &Reading, compare: impl Fn(&Taken, &Taken) -> f64) -> Option<f64> {
    Some(compare(reading.wanted.as_ref()?, reading.other.as_ref()?))
}

/// Whether each answer is said, by any of its names.
fn is_said(question: &Question, says: &str, is: fn(&str, &str) -> bool) -> Option<f64> {
    let said = |names: &Vec<String>| names.iter().any(|name| is(says, name));
    (!question.answers.is_empty()).then(|| flag(question.answers.iter().all(said)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Prompt;
    use crate::data::case::Axis;

    fn taken(nll: f64, object: &[u32], predicted: &[u32]) -> Option<Taken> {
        Some(Taken { nll, object: object.to_vec(), predicted: predicted.to_vec() })
    }

    #[test]
    fn measures_are_as_published() {
        let question = Question::new(Axis::Rewrite, Prompt::new("x is", None).unwrap());
        let question = question.answered("b").against(Some("a"));
        let before = Reading {
            wanted: taken(2.0, &[1, 2], &[3, 2]),
            other: taken(1.0, &[4], &[4]),
            says: Some(" a.".into()),
        };
        let after = Reading {
            wanted: taken(0.5, &[1, 2], &[1, 2]),
            other: taken(1.0, &[4], &[1]),
            says: Some(" b. More".into()),
        };
        let of = |measure: Measure| measure.of(&question, &before, &after).unwrap();
        assert_eq!([of(Measure::Prefer), of(Measure::Tokens), of(Measure::Sequence)], [1.0; 3]);
        let magnitude = (-0.5f64).exp() - (-1.0f64).exp();
        assert!((of(Measure::Magnitude) - magnitude).abs() < 1e-15);
        assert_eq!([of(Measure::Exact), of(Measure::Begins), of(Measure::Contains)], [1.0; 3]);
        assert_eq!((of(Measure::SameTokens), of(Measure::SameText)), (0.5, 0.0));
        let unedited = |measure: Measure| measure.of(&question, &before, &before).unwrap();
        assert_eq!((unedited(Measure::Prefer), unedited(Measure::Tokens)), (0.0, 0.5));
        assert_eq!(unedited(Measure::SameTokens), 1.0);
        // Ties fail, as published.
        let tie = Reading { other: taken(0.5, &[4], &[1]), ..after.clone() };
        assert_eq!(Measure::Prefer.of(&question, &before, &tie), Some(0.0));
        assert_eq!(Measure::Exact.of(&question, &before, &Reading::default()), None);
        // WILD has one name for an answer, and ends at a line break.
        let mut named = question.clone();
        named.answers[0].push("B. C.".into());
        for (says, [exact, wild]) in [
            (" b. More", [1.0, 1.0]),
            (" B. C.", [1.0, 1.0]),
            ("B C", [1.0, 0.0]),
            ("\nb", [1.0, 0.0]),
        ] {
            let after = Reading { says: Some(says.into()), ..after.clone() };
            let found = [Measure::Exact, Measure::ExactUpToStop]
                .map(|measure| measure.of(&named, &before, &after).unwrap());
            assert_eq!(found, [exact, wild], "{says:?}");
        }
    }
}
