//! From what was said to numbers: of a case, of all cases, and those that are made of others.

use std::collections::BTreeMap;

use retcon::data::case::Question;
use retcon::eval::Measure;
use retcon::eval::bootstrap::Estimate;
use retcon::eval::metrics::{Answered, METRICS, harmonic};
use retcon::eval::reading::Reading;

use super::sheet::Measured;

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

/// The numbers of each case: the mean over seeds, which do not make the cases more.
pub(super) fn by_case(measured: &[&Measured<'_>]) -> Vec<BTreeMap<&'static str, f64>> {
    let mut cases: BTreeMap<usize, BTreeMap<&'static str, (f64, usize)>> = BTreeMap::new();
    for of_seed in measured {
        let of_case = cases.entry(of_seed.case).or_default();
        for (&name, number) in &of_seed.numbers {
            let (sum, n) = of_case.entry(name).or_default();
            *sum += number;
            *n += 1;
        }
    }
    let mean = |(name, (sum, n)): (&'static str, (f64, usize))| (name, sum / n as f64);
    cases.into_values().map(|of_case| of_case.into_iter().map(mean).collect()).collect()
}

/// The numbers of two methods on the same cases, each the mean over the seeds that both have.
pub(super) fn pairs(one: &[&Measured<'_>], other: &[&Measured<'_>], name: &str) -> Vec<(f64, f64)> {
    let numbers = |measured: &[&Measured<'_>]| -> BTreeMap<(usize, u64), f64> {
        let number = |m: &&Measured<'_>| Some(((m.case, m.seed), *m.numbers.get(name)?));
        measured.iter().filter_map(number).collect()
    };
    let (one, other) = (numbers(one), numbers(other));
    let mut cases: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for ((case, seed), &mine) in &one {
        let theirs = other.get(&(*case, *seed));
        cases.entry(*case).or_default().extend(theirs.map(|&theirs| (mine, theirs)));
    }
    let mean = |pairs: &Vec<(f64, f64)>, of: fn(&(f64, f64)) -> f64| {
        pairs.iter().map(of).sum::<f64>() / pairs.len() as f64
    };
    let cases = cases.values().filter(|pairs| !pairs.is_empty());
    cases.map(|pairs| (mean(pairs, |pair| pair.0), mean(pairs, |pair| pair.1))).collect()
}

/// What is made of the means of several metrics, where all are there.
pub(super) fn composed(
    cases: &[BTreeMap<&'static str, f64>],
    seed: u64,
) -> Vec<(&'static str, Estimate)> {
    type Combine = fn(&[f64]) -> f64;
    let of: [(&str, &[&str], Combine); 3] = [
        ("score", &["rewrite.prefer", "paraphrase.prefer", "neighbor.prefer"], harmonic),
        (
            "score.tf.token",
            &["rewrite.tf.token", "paraphrase.tf.token", "unrelated.tf.token"],
            harmonic,
        ),
        ("forgetting", &["online.rewrite.tf.sequence", "rewrite.tf.sequence"], |means| {
            means[0] - means[1]
        }),
    ];
    let composed = of.into_iter().filter_map(|(name, parts, combine)| {
        let column =
            |part: &&str| cases.iter().filter_map(|numbers| numbers.get(part)).copied().collect();
        let columns: Vec<Vec<f64>> = parts.iter().map(column).collect();
        Some((name, Estimate::joint(&columns, seed, combine)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(case: usize, seed: u64, number: f64) -> Measured<'static> {
        let numbers = BTreeMap::from([("rewrite.prefer", number)]);
        Measured { case, seed, n_edits: 1, answers: None, numbers }
    }

    #[test]
    fn seeds_do_not_make_cases_more() {
        let all = [measured(0, 0, 1.0), measured(0, 1, 0.0), measured(1, 0, 1.0)];
        let all: Vec<_> = all.iter().collect();
        let numbers: Vec<f64> = by_case(&all).iter().map(|case| case["rewrite.prefer"]).collect();
        assert_eq!(numbers, [0.5, 1.0]);
        let other = [measured(0, 1, 0.25), measured(1, 0, 0.5), measured(2, 0, 0.0)];
        let other: Vec<_> = other.iter().collect();
        assert_eq!(pairs(&all, &other, "rewrite.prefer"), [(0.0, 0.25), (1.0, 0.5)]);
    }
}
