//! Which texts make a step: endless, shuffled, and the same for a seed wherever it is entered.

use std::ops::Range;

use retcon_model::random::Random;

/// Texts, some from each of several pools in every step.
///
/// A pool is a run of texts that is gone through in an order of its own, again and again, each time
/// shuffled anew.
#[derive(Clone, Debug)]
pub struct Stream {
    pools: Vec<Pool>,
}

/// How many texts of a step come from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The texts of the pool.
    pub texts: Range<usize>,
    /// How many of them a step has.
    pub per_step: usize,
}

#[derive(Clone, Debug)]
struct Pool {
    share: Share,
    seed: u64,
    /// The pass over the pool whose order is at hand.
    pass: usize,
    order: Vec<usize>,
}

impl Stream {
    /// Texts in the shares `shares`; those of empty pools are left out.
    pub fn new(shares: impl IntoIterator<Item = Share>, seed: u64) -> Self {
        let pool = |(i, share): (usize, Share)| {
            let mut pool =
                Pool { share, seed: seed ^ ((i as u64 + 1) << 32), pass: 0, order: vec![] };
            pool.shuffle();
            pool
        };
        let shares = shares.into_iter().filter(|share| !share.texts.is_empty());
        Self { pools: shares.enumerate().map(pool).collect() }
    }

    /// One pool, `batch` of whose texts make a step.
    #[must_use]
    pub fn of(texts: Range<usize>, batch: usize, seed: u64) -> Self {
        Self::new([Share { per_step: batch.min(texts.len()), texts }], seed)
    }

    /// How many pools there are.
    #[must_use]
    pub fn n_pools(&self) -> usize {
        self.pools.len()
    }

    /// The texts of step `step`, from 0: those of each pool.
    pub fn step(&mut self, step: usize) -> Vec<Vec<usize>> {
        self.pools.iter_mut().map(|pool| pool.step(step)).collect()
    }
}

impl Pool {
    fn step(&mut self, step: usize) -> Vec<usize> {
        let first = step * self.share.per_step;
        (first..first + self.share.per_step).map(|place| self.at(place)).collect()
    }

    fn at(&mut self, place: usize) -> usize {
        let n = self.share.texts.len();
        if place / n != self.pass {
            self.pass = place / n;
            self.shuffle();
        }
        self.order[place % n]
    }

    fn shuffle(&mut self) {
        self.order = self.share.texts.clone().collect();
        let pass = (self.pass as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random::new(self.seed ^ pass).shuffle(&mut self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_once_a_pass_and_each_pool_has_its_share() {
        let shares = [
            Share { texts: 0..6, per_step: 2 },
            Share { texts: 6..6, per_step: 3 },
            Share { texts: 6..16, per_step: 3 },
        ];
        let mut stream = Stream::new(shares, 7);
        let steps: Vec<_> = (0..6).map(|step| stream.step(step)).collect();
        let mut pass: Vec<usize> = steps[..3].iter().flat_map(|step| step[0].clone()).collect();
        pass.sort_unstable();
        assert_eq!(pass, [0, 1, 2, 3, 4, 5]);
        assert!(steps.iter().all(|step| step.len() == 2 && step[1].iter().all(|i| *i >= 6)));
        assert_ne!(steps[..3], steps[3..]);
        // Entered in the middle, as after an interruption.
        assert_eq!(Stream::new([Share { texts: 0..6, per_step: 2 }], 7).step(4)[0], steps[4][0]);
    }
}
