//! How sure a mean is: bootstrap intervals over cases, and paired tests between two methods.
//!
//! Efron 1979: cases are drawn with replacement, and the mean of each draw is taken; the interval holds
//! the middle 95% of them. A paired test turns the signs of differences at random (Fisher 1935).

use retcon_model::random::Random;
use serde::{Deserialize, Serialize};

use super::unbounded;

/// Draws of a bootstrap, and of a test.
const N_DRAWS: usize = 2000;

/// A mean with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    #[serde(with = "unbounded")]
    pub mean: f64,
    /// The lower end of the interval.
    #[serde(with = "unbounded")]
    pub low: f64,
    /// The upper end.
    #[serde(with = "unbounded")]
    pub high: f64,
    /// How many numbers it is of.
    pub n: usize,
}

impl Estimate {
    /// Of `numbers`; `None` where there are none. The same seed gives the same interval.
    #[must_use]
    pub fn of(numbers: &[f64], seed: u64) -> Option<Self> {
        Self::by(numbers, seed, |mean| mean)
    }

    /// As [`Estimate::of`], of what `shown` makes of a mean, such as its exponential.
    #[must_use]
    pub fn by(numbers: &[f64], seed: u64, shown: impl Fn(f64) -> f64) -> Option<Self> {
        Self::joint(std::slice::from_ref(&numbers), seed, |means| shown(means[0]))
    }

    /// Of what is made of the means of several columns; `None` where one is empty. Columns of the same
    /// length are drawn together, as they are of the same cases.
    #[must_use]
    pub fn joint<C: AsRef<[f64]>>(
        columns: &[C],
        seed: u64,
        made: impl Fn(&[f64]) -> f64,
    ) -> Option<Self> {
        let n = columns.iter().map(|column| column.as_ref().len()).min().filter(|&n| n > 0)?;
        let most = columns.iter().map(|column| column.as_ref().len()).max().unwrap_or(n);
        let mut random = Random::new(seed);
        let draw = |_| {
            let mut sums = vec![0.0; columns.len()];
            for i in 0..most {
                let place = random.uniform();
                for (sum, column) in sums.iter_mut().zip(columns) {
                    let column = column.as_ref();
                    if i < column.len() {
                        *sum += column[(place * column.len() as f64) as usize];
                    }
                }
            }
            made(&means(&sums, columns))
        };
        let mut draws: Vec<f64> = (0..N_DRAWS).map(draw).collect();
        draws.sort_by(f64::total_cmp);
        let sums: Vec<f64> = columns.iter().map(|column| column.as_ref().iter().sum()).collect();
        let mean = made(&means(&sums, columns));
        Some(Self { mean, low: draws[N_DRAWS / 40], high: draws[N_DRAWS - 1 - N_DRAWS / 40], n })
    }
}

fn means<C: AsRef<[f64]>>(sums: &[f64], columns: &[C]) -> Vec<f64> {
    sums.iter().zip(columns).map(|(sum, column)| sum / column.as_ref().len() as f64).collect()
}

/// How two methods differ on the same cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The mean of the differences, with its interval.
    pub score: Estimate,
    /// How often a difference as large arises where the signs are drawn at random.
    pub p: f64,
}

impl Difference {
    /// Of pairs, the first minus the second; `None` where there are none, or one is infinite.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)], seed: u64) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        let score = Estimate::of(&differences, seed).filter(|score| score.mean.is_finite())?;
        let mut random = Random::new(seed ^ 1);
        let found = differences.iter().sum::<f64>().abs();
        // Rounding must not tell a draw that has the same signs from what was found.
        let slack = 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
        let as_large = |_: &usize| {
            let sum: f64 = differences.iter().map(|d| d * f64::from(random.sign())).sum();
            sum.abs() >= found - slack
        };
        let n = (0..N_DRAWS).filter(as_large).count();
        Some(Self { score, p: (n + 1) as f64 / (N_DRAWS + 1) as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_that_of_the_binomial() {
        // 80 of 200: by the normal approximation 0.4 +- 1.96 sqrt(0.24 / 200) = 0.4 +- 0.068.
        let numbers: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i < 80))).collect();
        let score = Estimate::of(&numbers, 7).unwrap();
        assert!((score.mean - 0.4).abs() < 1e-12 && score.n == 200);
        // 2000 draws put the ends within about 0.01 of where they are.
        assert!((score.low - 0.332).abs() < 0.012, "{score:?}");
        assert!((score.high - 0.468).abs() < 0.012, "{score:?}");
        assert_eq!(Estimate::of(&numbers, 7), Some(score));
        assert_eq!(Estimate::of(&[], 7), None);
    }

    #[test]
    fn a_difference_is_told_from_chance() {
        let better: Vec<_> = (0..50).map(|i| (1.0, f64::from(u8::from(i % 2 == 0)))).collect();
        let difference = Difference::of(&better, 0).unwrap();
        assert!((difference.score.mean - 0.5).abs() < 1e-12 && difference.p < 0.01);
        let same: Vec<_> = (0..50).map(|i| (f64::from(i % 2), f64::from((i + 1) % 2))).collect();
        assert!(Difference::of(&same, 0).unwrap().p > 0.5);
        assert_eq!(Difference::of(&[(1.0, 1.0)], 0).unwrap().p, 1.0);
        assert_eq!(Difference::of(&[(1.0, f64::INFINITY), (2.0, 1.0)], 0), None);
    }
}
