//! From what was said to numbers: of a case, of a whole model, and those that are made of others.

use std::collections::BTreeMap;

use retcon::data::case::Question;
use retcon::eval::bootstrap::Score;
use retcon::eval::drift::Drift;
use retcon::eval::held::{Holds, Moved};
use retcon::eval::metrics::{Answered, METRICS, Measure, harmonic};
use retcon::eval::reading::Reading;

/// Numbers under the names of columns.
pub(super) type Numbers = BTreeMap<&'static str, Vec<f64>>;

/// Every metric of a case that it has.
pub(super) fn of_case(
    case: &retcon::data::Case,
    before: &[Reading],
    after: &[Reading],
) -> BTreeMap<&'static str, f64> {
    let answered = Answered { case, before, after };
    METRICS.iter().filter_map(|metric| Some((metric.name, metric.of(answered)?))).collect()
}

/// What is told apart for cases that are asked right after their own edit.
const ONLINE: &[(&str, &str)] = &[
    ("rewrite.tf.sequence", "online.rewrite.tf.sequence"),
    ("rewrite.free.exact", "online.rewrite.free.exact"),
    ("paraphrase.tf.sequence", "online.paraphrase.tf.sequence"),
];

/// The numbers of a case right after its own edit.
pub(super) fn online(numbers: &BTreeMap<&'static str, f64>) -> BTreeMap<&'static str, f64> {
    ONLINE.iter().filter_map(|(name, online)| Some((*online, *numbers.get(name)?))).collect()
}

/// What held-out texts tell of a whole model: a number a text, or one in all.
pub(super) fn of_state(moved: &[Moved], in_all: bool) -> Numbers {
    let mut numbers = Numbers::new();
    let texts: Vec<Moved> = moved.iter().copied().filter(|m| m.holds != Holds::Kept).collect();
    let mut add = |name, of_texts: Vec<f64>| {
        if of_texts.is_empty() {
            return;
        }
        let mean = of_texts.iter().sum::<f64>() / of_texts.len() as f64;
        numbers.insert(name, if in_all { vec![mean] } else { of_texts });
    };
    let one = |of: fn(&Moved) -> f64| texts.iter().map(of).collect();
    add("text.perplexity", one(|moved| moved.nll[1]));
    if in_all && !texts.is_empty() {
        let drift = Drift::of(&texts);
        add("text.kl", vec![drift.mean_kl]);
        add("text.top1", vec![drift.top1_agreement]);
    } else {
        add("text.kl", one(|moved| moved.mean_kl));
        add("text.top1", one(|moved| moved.same));
    }
    for (holds, name) in [
        (Holds::General, "general.tf.sequence"),
        (Holds::Arithmetic, "arithmetic.tf.sequence"),
        (Holds::Kept, "kept.tf.sequence"),
    ] {
        let right = moved.iter().filter(|moved| moved.holds == holds);
        add(name, right.filter_map(|moved| Some(f64::from(u8::from(moved.right?[1])))).collect());
    }
    numbers
}

/// The same text without any edit.
pub(super) fn unmoved(moved: &Moved) -> Moved {
    let [nll, _] = moved.nll;
    let right = moved.right.map(|[right, _]| [right; 2]);
    Moved { mean_kl: 0.0, max_kl: 0.0, same: 1.0, nll: [nll; 2], right, ..*moved }
}

/// What is made of the means of several metrics, where all are there.
pub(super) fn composed(
    cases: &[&BTreeMap<&'static str, f64>],
    seed: u64,
) -> Vec<(&'static str, Score)> {
    type Combine = fn(&[f64]) -> f64;
    let of: [(&str, &[&str], Combine); 2] = [
        ("score", &["rewrite.prefer", "paraphrase.prefer", "neighbor.prefer"], harmonic),
        ("forgetting", &["online.rewrite.tf.sequence", "rewrite.tf.sequence"], |means| {
            means[0] - means[1]
        }),
    ];
    let composed = of.into_iter().filter_map(|(name, parts, combine)| {
        let column =
            |part: &&str| cases.iter().filter_map(|numbers| numbers.get(part)).copied().collect();
        let columns: Vec<Vec<f64>> = parts.iter().map(column).collect();
        Some((name, Score::joint(&columns, seed, combine)?))
    });
    composed.collect()
}

/// Whether an answer is as it should be: the new object said first, or the same text as before.
pub(super) fn as_wanted(question: &Question, [before, after]: &[Reading; 2]) -> Option<bool> {
    let measure = match question.axis.should_change() {
        true => Measure::Begins,
        false => Measure::SameText,
    };
    measure.of(question, before, after).map(|number| number > 0.0)
}
