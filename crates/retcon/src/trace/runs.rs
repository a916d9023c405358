//! The runs in which nothing is restored: one as it is, and copies with the subject in noise.

use std::collections::BTreeMap;

use candle_core::Tensor;
use retcon_kernels::rows::scatter_add_rows;
use retcon_model::tap::Capture;
use retcon_model::{Batch, Hidden, Model, Site, Spot};

use super::causal::Settings;
use super::noise;
use super::question::Question;
use crate::error::{Error, Result};
use crate::tokens::Packed;

/// What the two runs leave for those in which something is restored.
pub(super) struct Runs<'a> {
    pub(super) model: &'a Model,
    pub(super) question: &'a Question,
    /// How many draws of noise there are.
    pub(super) samples: usize,
    /// The first position that the noise reaches: nothing before it is run again.
    pub(super) from: usize,
    /// What enters the first block in the noise, `samples` sequences.
    pub(super) start: Hidden,
    /// What passed without noise, one row a position from `from` on.
    pub(super) clean: BTreeMap<Site, Tensor>,
    /// What passed in the noise, sequence by sequence.
    pub(super) corrupted: BTreeMap<Site, Tensor>,
    /// The answer's probability in the noise.
    pub(super) low: f64,
    /// That without.
    pub(super) high: f64,
}

impl<'a> Runs<'a> {
    pub(super) fn new(
        seed: u64,
        model: &'a Model,
        question: &'a Question,
        settings: &Settings,
    ) -> Result<Self> {
        let (subject, samples) = (question.subject()?, settings.samples);
        let n_blocks = model.spec().n_blocks;
        let whole = model.embed(&Batch::new([&question.query.ids])?, &mut ())?;
        // Nothing changes before the subject where no position sees later ones.
        let (from, one) = match model.spec().is_causal() {
            true => (subject.start, model.from_positions(0..n_blocks, &whole, &[subject.start])?),
            false => (0, whole),
        };
        let n_rows = question.query.ids.len() - from;
        let mut start = one.sequences(&vec![0; samples])?;
        let rows: Vec<u32> = (0..samples)
            .flat_map(|i| subject.clone().map(move |at| (i * n_rows + at - from) as u32))
            .collect();
        let noise = noise::draw(seed, rows.len(), settings.noise, start.x.value())?;
        start.x = scatter_add_rows(&start.x, &rows, &noise)?;
        let mut runs = Self {
            model,
            question,
            samples,
            from,
            start,
            clean: BTreeMap::new(),
            corrupted: BTreeMap::new(),
            low: 0.0,
            high: 0.0,
        };
        (runs.high, runs.clean) = runs.record(settings, one)?;
        (runs.low, runs.corrupted) = runs.record(settings, runs.start.clone())?;
        Ok(runs)
    }

    /// Runs `h`; gives the answer's mean probability, and what passed where it may be restored.
    fn record(&self, settings: &Settings, h: Hidden) -> Result<(f64, BTreeMap<Site, Tensor>)> {
        let n_blocks = self.model.spec().n_blocks;
        let mut spots = vec![Spot::Out];
        spots.extend(settings.kinds.iter().filter_map(|kind| kind.module()));
        let sites =
            (0..n_blocks).flat_map(|block| spots.iter().map(move |&spot| Site::Block(block, spot)));
        let mut capture = Capture::only(sites);
        let lengths = h.lengths();
        let h = self.model.blocks(0..n_blocks, h, &mut capture)?;
        let (mut at, mut first) = (Vec::new(), 0);
        for length in &lengths {
            at.extend(self.read().map(|row| first + row));
            first += *length as u32;
        }
        let p = self.probabilities(n_blocks, h, &at, &mut (), lengths.len())?;
        Ok((p.iter().sum::<f64>() / p.len() as f64, capture.seen))
    }

    /// Where the answer is read, counted from `from`.
    pub(super) fn read(&self) -> impl Iterator<Item = u32> + '_ {
        self.question.query.at.iter().map(|&at| at - self.from as u32)
    }

    /// Runs the blocks from `first` on; gives the answer's probability in each of `n` sequences,
    /// which is read at the rows `at`.
    pub(super) fn probabilities(
        &self,
        first: usize,
        h: Hidden,
        at: &[u32],
        tap: &mut dyn retcon_model::Tap,
        n: usize,
    ) -> Result<Vec<f64>> {
        let x = self.model.finish(first, h, at, tap)?;
        let packed = Packed::new(std::iter::repeat_n(&self.question.query, n))?;
        let scored = packed.score(self.model, &x, &vec![1.0; n])?;
        let probability =
            |rows: &std::ops::Range<usize>| scored.log_prob[rows.clone()].iter().sum::<f64>().exp();
        let found: Vec<f64> = packed.of_query.iter().map(probability).collect();
        match found.iter().all(|p| p.is_finite()) {
            true => Ok(found),
            false => Err(Error::NotFinite { what: "the probability of the answer".to_owned() }),
        }
    }
}
