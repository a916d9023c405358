//! Numbers of a whole model: how held-out texts have moved, and what edits took.

use std::collections::BTreeMap;

use retcon::eval::bootstrap::Estimate;
use retcon::eval::held::{Holds, Moved};

use super::SEED;

/// Under the names of columns a number for each unit: a held-out text, a case that is edited alone, or
/// a job. What a unit has from several seeds or batches is one number, their mean, since it does not
/// make the units more.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Whole(BTreeMap<&'static str, BTreeMap<usize, Weighed>>);

/// A sum of numbers, each times its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Weighed {
    sum: f64,
    weight: f64,
    n: usize,
}

impl Whole {
    /// A number of a unit, which counts as `weight` in the mean of all.
    pub(super) fn add(&mut self, name: &'static str, unit: usize, number: f64, weight: f64) {
        let of = self.0.entry(name).or_default().entry(unit).or_default();
        // What weighs nothing says nothing, even where it is infinite.
        if weight > 0.0 {
            of.sum += number * weight;
            of.weight += weight;
            of.n += 1;
        }
    }

    /// What texts tell, each as long as it is.
    pub(super) fn add_texts(&mut self, moved: &[Moved]) {
        for (unit, moved) in moved.iter().enumerate() {
            if moved.holds != Holds::Kept {
                self.add("text.kl", unit, moved.mean_kl, moved.n_positions as f64);
                self.add("text.top1", unit, moved.same, moved.n_positions as f64);
                self.add("text.perplexity", unit, moved.nll[1], n_scored(moved));
            }
            if let (Some(name), Some(right)) = (answers(moved.holds), moved.right) {
                self.add(name, unit, f64::from(right[1]), 1.0);
            }
        }
    }

    /// The same in one number for all texts, of a case that is edited alone.
    pub(super) fn add_case(&mut self, unit: usize, moved: &[Moved]) {
        let mut of_texts = Self::default();
        of_texts.add_texts(moved);
        for (name, texts) in of_texts.0 {
            let total = |of: fn(&Weighed) -> f64| texts.values().map(of).sum::<f64>();
            let weight = total(|text| text.weight);
            if weight > 0.0 {
                self.add(name, unit, total(|text| text.sum) / weight, 1.0);
            }
        }
    }

    /// The mean under a name, of what `shown` makes of it.
    pub(super) fn score(&self, name: &str, shown: impl Fn(f64) -> f64) -> Option<Estimate> {
        let units = self.0.get(name)?.values().filter(|unit| unit.n > 0);
        let mean = |of: fn(&Weighed) -> f64| units.clone().map(of).collect::<Vec<f64>>();
        let columns =
            [mean(|unit| unit.sum / unit.n as f64), mean(|unit| unit.weight / unit.n as f64)];
        Estimate::joint(&columns, SEED, |means| shown(means[0] / means[1]))
    }

    /// The numbers of the units that both have, the weight of each put into its number, so that their
    /// plain mean is the mean of all.
    pub(super) fn pairs(&self, other: &Self, name: &str) -> Vec<(f64, f64)> {
        let (Some(mine), Some(theirs)) = (self.0.get(name), other.0.get(name)) else {
            return Vec::new();
        };
        let both = mine.iter().filter_map(|(unit, a)| Some((a, theirs.get(unit)?)));
        let both: Vec<_> = both.filter(|(a, b)| a.n > 0 && b.n > 0).collect();
        let weight = |of: &Weighed| of.weight / of.n as f64;
        let all: f64 = both.iter().map(|(a, _)| weight(a)).sum();
        let scale = both.len() as f64 / all;
        let scaled = |of: &Weighed, weight: f64| of.sum / of.weight * weight * scale;
        both.into_iter().map(|(a, b)| (scaled(a, weight(a)), scaled(b, weight(a)))).collect()
    }
}

/// The column of what the answers of such texts come to.
fn answers(holds: Holds) -> Option<&'static str> {
    match holds {
        Holds::General => Some("general.tf.sequence"),
        Holds::Arithmetic => Some("arithmetic.tf.sequence"),
        Holds::Kept => Some("kept.tf.sequence"),
        Holds::Text => None,
    }
}

/// The tokens of a text that are predicted: what follows its last one is not known.
fn n_scored(moved: &Moved) -> f64 {
    let last = usize::from(moved.holds == Holds::Text && moved.n_positions > 1);
    (moved.n_positions - last) as f64
}

/// The same text without any edit.
pub(super) fn unmoved(moved: &Moved) -> Moved {
    let [nll, _] = moved.nll;
    let right = moved.right.map(|[right, _]| [right; 2]);
    Moved { mean_kl: 0.0, max_kl: 0.0, same: 1.0, nll: [nll; 2], right, ..*moved }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(holds: Holds, n_positions: usize, kl: f64, right: Option<bool>) -> Moved {
        Moved {
            holds,
            n_positions,
            mean_kl: kl,
            max_kl: kl,
            same: 0.5,
            nll: [1.0, 2.0 * kl],
            right: right.map(|right| [true, right]),
        }
    }

    fn texts() -> [Moved; 4] {
        [
            moved(Holds::Text, 11, 0.1, None),
            moved(Holds::General, 30, 0.2, Some(true)),
            moved(Holds::Arithmetic, 5, 0.4, Some(false)),
            moved(Holds::Kept, 1, 9.0, Some(true)),
        ]
    }

    #[test]
    fn texts_weigh_as_many_positions_as_they_have() {
        let kl = (11.0 * 0.1 + 30.0 * 0.2 + 5.0 * 0.4) / 46.0;
        let nll: f64 = 2.0 * (10.0 * 0.1 + 30.0 * 0.2 + 5.0 * 0.4) / 45.0;
        let (mut of_texts, mut of_case) = (Whole::default(), Whole::default());
        of_texts.add_texts(&texts());
        of_case.add_case(7, &texts());
        for (whole, n) in [(&of_texts, 3), (&of_case, 1)] {
            let score = whole.score("text.kl", |mean| mean).unwrap();
            assert!((score.mean - kl).abs() < 1e-12 && score.n == n, "{score:?}");
            let score = whole.score("text.perplexity", f64::exp).unwrap();
            assert!((score.mean - nll.exp()).abs() < 1e-12, "{score:?}");
            assert_eq!(whole.score("kept.tf.sequence", |mean| mean).unwrap().mean, 1.0);
            assert_eq!(whole.score("arithmetic.tf.sequence", |mean| mean).unwrap().mean, 0.0);
        }
    }

    #[test]
    fn seeds_and_batches_do_not_make_texts_more() {
        let mut whole = Whole::default();
        whole.add_texts(&texts());
        let once = whole.score("text.kl", |mean| mean);
        for _ in 0..3 {
            whole.add_texts(&texts());
        }
        let again = whole.score("text.kl", |mean| mean).unwrap();
        let once = once.unwrap();
        assert_eq!(again.n, once.n);
        assert!((again.high - once.high).abs() < 1e-12 && (again.low - once.low).abs() < 1e-12);
    }

    #[test]
    fn the_mean_of_differences_is_the_difference_of_means() {
        let (mut one, mut other) = (Whole::default(), Whole::default());
        one.add_texts(&texts());
        other
            .add_texts(&texts().map(|text| Moved { mean_kl: text.mean_kl * text.mean_kl, ..text }));
        let mean = |whole: &Whole| whole.score("text.kl", |mean| mean).unwrap().mean;
        let pairs = one.pairs(&other, "text.kl");
        let difference = pairs.iter().map(|(a, b)| a - b).sum::<f64>() / pairs.len() as f64;
        assert!((difference - (mean(&one) - mean(&other))).abs() < 1e-12);
        assert!(one.pairs(&other, "time.edit").is_empty());
    }

    #[test]
    fn a_text_that_is_infinitely_far_is_not_lost_in_the_mean() {
        let mut whole = Whole::default();
        whole.add_texts(&[moved(Holds::Text, 3, f64::INFINITY, None), texts()[1]]);
        assert_eq!(whole.score("text.kl", |mean| mean).unwrap().mean, f64::INFINITY);
    }
}
