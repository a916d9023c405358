//! All metrics, each a row: which questions, which comparison, and where it is defined.
//!
//! A metric gives a number for a question from what a model says before and after; a case's number is
//! the mean over its questions of the metric's axes, and the metric is the mean over cases. Names say
//! the protocol: `tf` feeds the object's tokens (teacher forcing), `free` lets the model speak, `same`
//! compares with the model before. The one is never to be compared with the other.

use super::answer::{first, normalized};
use super::fluency::nearness;
use super::measure::Measure;
use super::reading::Reading;
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
    metric("reasoning.free.edited", &[Axis::Reasoning], Measure::ContainsEdited, "", RIPPLE),
    metric("aliasing.free.edited", &[Axis::Aliasing], Measure::ContainsEdited, "", RIPPLE),
    metric("logical.free.edited", &[Axis::Logical], Measure::ContainsEdited, "", RIPPLE),
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
    metric("same-subject.free.edited", &[Axis::SameSubject], Measure::ContainsEdited, "", RIPPLE),
    metric("same-subject.same.token", &[Axis::SameSubject], Measure::SameTokens, "", EASYEDIT),
    metric("same-subject.same.free", &[Axis::SameSubject], Measure::SameText, "", WILD),
    metric("forgetfulness.same.token", &[Axis::Forgetfulness], Measure::SameTokens, "", EASYEDIT),
    metric("forgetfulness.free.contains", &[Axis::Forgetfulness], Measure::Contains, "", RIPPLE),
    metric(
        "forgetfulness.free.edited",
        &[Axis::Forgetfulness],
        Measure::ContainsEdited,
        "",
        RIPPLE,
    ),
    metric("tests.free.counted", &Axis::ALL, Measure::Counted, "executed share", RIPPLE),
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
            Measure::Counted => return share_that_counts(answered),
            Measure::ContainsEdited if !is_edited(answered) => return None,
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
    let mut conditions = case.questions.iter().zip(before).filter(|(question, _)| {
        question.part.is_some_and(|part| part.test == test && part.condition)
    });
    conditions.all(|(question, before)| is_in(question, before))
}

/// The share of tests that count; `None` where none has a condition.
fn share_that_counts(answered: Answered<'_>) -> Option<f64> {
    let Answered { case, .. } = answered;
    let has_condition = |question: &Question| question.part.is_some_and(|part| part.condition);
    case.questions.iter().any(has_condition).then(|| {
        let n = (0..case.tests.len()).filter(|&test| counts(answered, test)).count();
        n as f64 / case.tests.len() as f64
    })
}

/// Whether the new fact is said after the edit.
fn is_edited(answered: Answered<'_>) -> bool {
    let Answered { case, after, .. } = answered;
    let mut rewrites =
        case.questions.iter().zip(after).filter(|(question, _)| question.axis == Axis::Rewrite);
    rewrites.all(|(question, after)| is_in(question, after))
}

/// Whether a question's answer is said. What was not asked, or can't be, is not known to be.
fn is_in(question: &Question, reading: &Reading) -> bool {
    Measure::Contains.of(question, reading, reading).is_some_and(|hit| hit > 0.0)
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
                matches!(axis, "portability" | "consistency" | "tests")
                    || metric.axes == [Axis::find(axis).unwrap()]
            );
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
        let counted = Metric::find("tests.free.counted").unwrap();
        let of = |condition: &str| {
            let before = [says("c"), says("c"), says("c"), says(condition)];
            let after = [says("b"), says("c"), says("c"), says("c")];
            let answered = Answered { case: &case, before: &before, after: &after };
            [metric, counted].map(|metric| metric.of(answered))
        };
        assert_eq!(of("c"), [Some(1.0), Some(0.5)]);
        assert_eq!(of("b"), [Some(0.5), Some(1.0)]);
        // A condition that was not asked freely does not hold.
        let silent = vec![Reading::default(); 4];
        let after = [says("b"), says("c"), says("c"), says("c")];
        let answered = Answered { case: &case, before: &silent, after: &after };
        assert_eq!(metric.of(answered), Some(1.0));
    }

    #[test]
    fn tests_may_be_of_edits_that_succeeded() {
        let mut case = Case::of("1".into(), crate::data::Fact::parse("{x} is => b").unwrap());
        case.questions =
            [Axis::Rewrite, Axis::Logical].map(|axis| question(axis).answered("b")).to_vec();
        let of = |name: &str, rewrite: &str| {
            let says = |text: &str| Reading { says: Some(text.into()), ..Reading::default() };
            let (before, after) = ([says("c"), says("c")], [says(rewrite), says("b")]);
            let answered = Answered { case: &case, before: &before, after: &after };
            Metric::find(name).unwrap().of(answered)
        };
        assert_eq!(of("logical.free.edited", "b"), Some(1.0));
        assert_eq!(of("logical.free.edited", "c"), None);
        assert_eq!(of("logical.free.contains", "c"), Some(1.0));
        assert_eq!(of("tests.free.counted", "b"), None);
    }

    #[test]
    fn the_harmonic_mean_is_of_means() {
        assert!((harmonic(&[1.0, 0.5, 0.5]) - 0.6).abs() < 1e-15);
        assert_eq!(harmonic(&[1.0, 0.0]), 0.0);
    }
}
