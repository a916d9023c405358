//! All metrics, each a row: which questions, which comparison, and where it is defined.
//!
//! A metric gives a number for a question from what a model says before and after; a case's number is
//! the mean over its questions of the metric's axes, and the metric is the mean over cases. Names say
//! the protocol: `tf` feeds the object's tokens (teacher forcing), `free` lets the model speak, `same`
//! compares with the model before. The one is never to be compared with the other.

use super::answer::{
    begins_with, contains, first, is_exactly, is_exactly_up_to_a_stop, normalized,
};
use super::fluency::{entropy, nearness};
use super::reading::{Reading, Taken};
use crate::data::case::{Axis, Case, Question, Test};

/// All metrics of cases.
pub const METRICS: &[Metric] = &[
    metric("rewrite.prefer", &[Axis::Rewrite], Measure::Prefer, "ES, efficacy score", ROME),
    metric("rewrite.magnitude", &[Axis::Rewrite], Measure::Magnitude, "EM", ROME),
    metric("rewrite.tf.token", &[Axis::Rewrite], Measure::Tokens, "reliability", EASYEDIT),
    metric("rewrite.tf.sequence", &[Axis::Rewrite], Measure::Sequence, "efficacy", MEMIT),
    metric("rewrite.free.exact", &[Axis::Rewrite], Measure::Exact, "A_M, reliability", ZHU_WILD),
    metric("rewrite.free.wild", &[Axis::Rewrite], Measure::ExactUpToStop, "reliability", WILD),
    metric("rewrite.free.begins", &[Axis::Rewrite], Measure::Begins, "", OURS),
    metric("rewrite.free.contains", &[Axis::Rewrite], Measure::Contains, "", RIPPLE),
    metric("paraphrase.prefer", &[Axis::Paraphrase], Measure::Prefer, "PS", ROME),
    metric("paraphrase.magnitude", &[Axis::Paraphrase], Measure::Magnitude, "PM", ROME),
    metric("paraphrase.tf.token", &[Axis::Paraphrase], Measure::Tokens, "generalization", EASYEDIT),
    metric("paraphrase.tf.sequence", &[Axis::Paraphrase], Measure::Sequence, "", MEMIT),
    metric("paraphrase.free.exact", &[Axis::Paraphrase], Measure::Exact, "generalization", WILD),
    metric("paraphrase.free.begins", &[Axis::Paraphrase], Measure::Begins, "", OURS),
    metric("paraphrase.free.contains", &[Axis::Paraphrase], Measure::Contains, "", RIPPLE),
    metric("portability.tf.token", PORTABILITY, Measure::Tokens, "portability", KNOWEDIT),
    metric("portability.free.contains", PORTABILITY, Measure::Contains, "", RIPPLE),
    metric("reasoning.tf.token", &[Axis::Reasoning], Measure::Tokens, "", KNOWEDIT),
    metric("reasoning.free.contains", &[Axis::Reasoning], Measure::Contains, "", RIPPLE),
    metric("aliasing.tf.token", &[Axis::Aliasing], Measure::Tokens, "", KNOWEDIT),
    metric("aliasing.free.contains", &[Axis::Aliasing], Measure::Contains, "", RIPPLE),
    metric("logical.tf.token", &[Axis::Logical], Measure::Tokens, "", KNOWEDIT),
    metric("logical.free.contains", &[Axis::Logical], Measure::Contains, "", RIPPLE),
    metric("single-hop.free.contains", &[Axis::SingleHop], Measure::Contains, "", MQUAKE),
    metric("multi-hop.free.contains", &[Axis::MultiHop], Measure::Contains, "", MQUAKE),
    metric("neighbor.prefer", &[Axis::Neighbor], Measure::Prefer, "NS, specificity", ROME),
    metric("neighbor.magnitude", &[Axis::Neighbor], Measure::Magnitude, "NM", ROME),
    metric("neighbor.tf.sequence", &[Axis::Neighbor], Measure::Sequence, "", MEMIT),
    metric("neighbor.free.begins", &[Axis::Neighbor], Measure::Begins, "", OURS),
    metric("neighbor.same.token", &[Axis::Neighbor], Measure::SameTokens, "locality", EASYEDIT),
    metric("neighbor.same.free", &[Axis::Neighbor], Measure::SameText, "locality", WILD),
    metric("same-subject.tf.token", &[Axis::SameSubject], Measure::Tokens, "", KNOWEDIT),
    metric("same-subject.free.contains", &[Axis::SameSubject], Measure::Contains, "", RIPPLE),
    metric("same-subject.same.token", &[Axis::SameSubject], Measure::SameTokens, "", EASYEDIT),
    metric("same-subject.same.free", &[Axis::SameSubject], Measure::SameText, "", WILD),
    metric("forgetfulness.same.token", &[Axis::Forgetfulness], Measure::SameTokens, "", EASYEDIT),
    metric("forgetfulness.free.contains", &[Axis::Forgetfulness], Measure::Contains, "", RIPPLE),
    metric("unrelated.tf.token", &[Axis::Unrelated], Measure::Tokens, "specificity", ZSRE),
    metric("unrelated.same.token", &[Axis::Unrelated], Measure::SameTokens, "locality", EASYEDIT),
    metric("unrelated.same.free", &[Axis::Unrelated], Measure::SameText, "locality", WILD),
    metric(
        "consistency.free.agree",
        &[Axis::Rewrite, Axis::Paraphrase],
        Measure::Agree,
        "",
        PARAREL,
    ),
    metric("generation.entropy", &[Axis::Generation], Measure::Entropy, "GE, fluency", ROME),
    metric("generation.nearness", &[Axis::Generation], Measure::Nearness, "RS, consistency", ROME),
];

const ROME: &str = "Meng et al. 2022, arXiv 2202.05262, section 3.4";
const MEMIT: &str = "Meng et al. 2023, arXiv 2210.07229, in their code";
const EASYEDIT: &str = "EasyEdit, test_prediction_acc";
const KNOWEDIT: &str = "Zhang et al. 2024, arXiv 2401.01286, by token as EasyEdit has it";
const WILD: &str = "Yang et al. 2025, arXiv 2502.11177";
const ZHU_WILD: &str = "Zhu et al. 2020, arXiv 2012.00363, section 3; matched as WILD does";
const RIPPLE: &str = "Cohen et al. 2023, arXiv 2307.12976, without the prompt";
const MQUAKE: &str = "Zhong et al. 2023, arXiv 2305.14795, without demonstrations";
const PARAREL: &str = "Elazar et al. 2021, arXiv 2102.01017, of free answers";
const ZSRE: &str = "zsRE in the code of ROME and MEMIT";
const OURS: &str = "ours";

const PORTABILITY: &[Axis] = &[Axis::Reasoning, Axis::Aliasing, Axis::Logical];

/// A metric of the questions of a case.
#[derive(Debug)]
pub struct Metric {
    /// Its name: the axis, the protocol, the comparison.
    pub name: &'static str,
    /// The axes whose questions count.
    pub axes: &'static [Axis],
    /// What is compared.
    pub measure: Measure,
    /// What publications call it; empty where they have no name for it.
    pub also: &'static str,
    /// Where it is defined.
    pub source: &'static str,
}

const fn metric(
    name: &'static str,
    axes: &'static [Axis],
    measure: Measure,
    also: &'static str,
    source: &'static str,
) -> Metric {
    Metric { name, axes, measure, also, source }
}

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
        use Measure::{Agree, Begins, Contains, Exact, ExactUpToStop, SameText};
        matches!(self, Exact | ExactUpToStop | Begins | Contains | SameText | Agree)
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
                Some(flag(taken.object == taken.predicted))
            }
            Self::Exact => said(is_exactly),
            Self::ExactUpToStop => {
                let (says, answer) = (after.says.as_deref()?, question.answer()?);
                Some(flag(is_exactly_up_to_a_stop(says, answer)))
            }
            Self::Begins => said(begins_with),
            Self::Contains => said(contains),
            Self::SameTokens => Some(after.wanted.as_ref()?.same(before.wanted.as_ref()?)),
            Self::SameText => {
                let said = [before.says.as_deref()?.trim(), after.says.as_deref()?.trim()];
                // Where nothing is said, nothing could change.
                (said != ["", ""]).then(|| flag(before.says == after.says))
            }
            Self::Entropy => entropy(after.says.as_deref()?),
            // These are of a whole case.
            Self::Agree | Self::Nearness => None,
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

/// What a model says to the questions of a case, before and after.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The case.
    pub case: &'a Case,
    /// Before, one a question.
    pub before: &'a [Reading],
    /// After, one a question.
    pub after: &'a [Reading],
}

impl Metric {
    /// The metric of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// What is said freely to the questions of these axes.
    fn said<'a>(&self, answered: Answered<'a>) -> Vec<&'a str> {
        let pairs = answered.case.questions.iter().zip(answered.after);
        let mine = pairs.filter(|(question, _)| self.axes.contains(&question.axis));
        mine.filter_map(|(_, reading)| reading.says.as_deref()).collect()
    }

    /// The number of a case; `None` where it has no question of these axes.
    #[must_use]
    pub fn of(&self, answered: Answered<'_>) -> Option<f64> {
        let Answered { case, before, after } = answered;
        match self.measure {
            Measure::Agree => return agreement(&self.said(answered)),
            Measure::Nearness => {
                return nearness(&self.said(answered).join(" "), &case.references.join(" "));
            }
            _ => {}
        }
        let mut numbers = Vec::new();
        let mut of_test: Vec<Vec<f64>> = vec![Vec::new(); case.tests.len()];
        for (i, question) in case.questions.iter().enumerate() {
            if !self.axes.contains(&question.axis) {
                continue;
            }
            let number = || self.measure.of(question, &before[i], &after[i]);
            match question.part {
                None => numbers.extend(number()),
                Some(part) if part.condition => {}
                Some(part) => of_test[part.test].extend(number()),
            }
        }
        for (test, of_test) in of_test.iter().enumerate() {
            if !of_test.is_empty() && counts(answered, test) {
                numbers.push(together(case.tests[test], of_test));
            }
        }
        (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
    }
}

/// The share of pairs of texts whose answers are the same, of those that have one.
fn agreement(said: &[&str]) -> Option<f64> {
    let answers = said.iter().map(|says| normalized(first(says)));
    let answers: Vec<String> = answers.filter(|answer| !answer.is_empty()).collect();
    let pairs =
        answers.iter().enumerate().flat_map(|(i, a)| answers[..i].iter().map(move |b| a == b));
    let pairs: Vec<bool> = pairs.collect();
    let same = pairs.iter().filter(|&&same| same).count();
    (!pairs.is_empty()).then(|| same as f64 / pairs.len() as f64)
}

/// Whether the conditions of a test hold before the edit, as RippleEdits asks for.
fn counts(answered: Answered<'_>, test: usize) -> bool {
    let Answered { case, before, .. } = answered;
    let conditions = case.questions.iter().zip(before).filter(|(question, _)| {
        question.part.is_some_and(|part| part.test == test && part.condition)
    });
    conditions.into_iter().all(|(question, before)| {
        // What was not asked, or can't be, is not known to hold.
        Measure::Contains.of(question, before, before).is_some_and(|hit| hit > 0.0)
    })
}

/// The number of a test from those of its questions.
fn together(test: Test, numbers: &[f64]) -> f64 {
    let pick = match test {
        Test::All => f64::min,
        Test::Any => f64::max,
    };
    numbers.iter().copied().reduce(pick).unwrap_or_default()
}

/// The harmonic mean of means, as ROME's score has it: 0 where one is 0.
#[must_use]
pub fn harmonic(means: &[f64]) -> f64 {
    if means.iter().any(|&mean| mean <= 0.0) {
        return 0.0;
    }
    means.len() as f64 / means.iter().map(|mean| mean.recip()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Prompt;
    use crate::data::case::Part;

    fn taken(nll: f64, object: &[u32], predicted: &[u32]) -> Option<Taken> {
        Some(Taken { nll, object: object.to_vec(), predicted: predicted.to_vec() })
    }

    fn question(axis: Axis) -> Question {
        Question::new(axis, Prompt::new("x is", None).unwrap())
    }

    #[test]
    fn names_are_unique_and_tell_the_axis_and_the_protocol() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..i].iter().all(|other| other.name != metric.name));
            assert_eq!(metric.name.contains(".free"), metric.measure.is_free(), "{}", metric.name);
            let axis = metric.name.split('.').next().unwrap();
            assert!(
                matches!(axis, "portability" | "consistency")
                    || metric.axes == [Axis::find(axis).unwrap()]
            );
        }
    }

    #[test]
    fn measures_are_as_published() {
        let question = question(Axis::Rewrite).answered("b").against(Some("a"));
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

    #[test]
    fn tests_count_where_their_conditions_hold() {
        let part = |test, condition| Some(Part { test, condition });
        let ask = |axis, part| Question { part, ..question(axis).answered("b") };
        let mut case = Case::of("1".into(), crate::data::Fact::parse("{x} is => b").unwrap());
        case.tests = vec![Test::Any, Test::All];
        case.questions = vec![
            ask(Axis::MultiHop, part(0, false)),
            ask(Axis::MultiHop, part(0, false)),
            ask(Axis::MultiHop, part(1, false)),
            ask(Axis::MultiHop, part(1, true)),
        ];
        let says = |text: &str| Reading { says: Some(text.into()), ..Reading::default() };
        let metric = Metric::find("multi-hop.free.contains").unwrap();
        let of = |condition: &str| {
            let before = [says("c"), says("c"), says("c"), says(condition)];
            let after = [says("b"), says("c"), says("c"), says("c")];
            metric.of(Answered { case: &case, before: &before, after: &after })
        };
        assert_eq!(of("c"), Some(1.0));
        assert_eq!(of("b"), Some(0.5));
        // A condition that was not asked freely does not hold.
        let silent = vec![Reading::default(); 4];
        let after = [says("b"), says("c"), says("c"), says("c")];
        let answered = Answered { case: &case, before: &silent, after: &after };
        assert_eq!(metric.of(answered), Some(1.0));
    }

    #[test]
    fn the_harmonic_mean_is_of_means() {
        assert!((harmonic(&[1.0, 0.5, 0.5]) - 0.6).abs() < 1e-15);
        assert_eq!(harmonic(&[1.0, 0.0]), 0.0);
    }
}
