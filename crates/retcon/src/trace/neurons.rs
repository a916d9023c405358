//! Knowledge neurons: entries of an MLP's key, by what the answer's probability owes to them.
//!
//! Source: Dai et al. 2022, *Knowledge Neurons in Pretrained Transformers*, arXiv 2104.08696, and
//! its code.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::gather_rows;
use retcon_model::tap::{Capture, Restore};
use retcon_model::{Batch, Hidden, Model, Site, Spot};
use serde::Serialize;

use super::question::Question;
use crate::ctx::{Ctx, Progress};
use crate::error::{Error, Result};
use crate::tokens::{Packed, Query};

/// What a question's answer owes to each entry of each MLP's key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attribution {
    /// The prompt.
    pub prompt: String,
    /// The answer.
    pub object: String,
    /// The token of it whose probability is attributed: the last.
    pub token: String,
    /// Its probability, after the tokens before it.
    pub probability: f64,
    /// For each block, the attributions of its key's entries.
    #[serde(skip)]
    pub values: Vec<Vec<f64>>,
}

/// An entry of an MLP's key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Neuron {
    /// The block.
    pub block: usize,
    /// The entry.
    pub index: usize,
    /// What of the probability is attributed to it.
    pub attribution: f64,
}

/// An entry that several prompts for a fact have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shared {
    /// The block.
    pub block: usize,
    /// The entry.
    pub index: usize,
    /// For how many of the prompts it is kept.
    pub prompts: usize,
    /// Its mean attribution over all prompts.
    pub attribution: f64,
}

/// Attributes the probability of the last token of `question`'s answer by integrated gradients
/// with `points` points from zero on, the whole key scaled at once: `attribution_i = a_i / m ·
/// Σ_{j<m} ∂p(a ← j/m · a) / ∂a_i`.
///
/// # Errors
/// [`Error::BadSetting`] where there are no points, [`Error::Canceled`], and what the model
/// reports.
pub fn attribute(
    ctx: &Ctx<'_>,
    model: &Model,
    question: &Question,
    points: usize,
) -> Result<Attribution> {
    if points == 0 {
        return Err(Error::bad_setting("points", "at least 1", 0));
    }
    let query = last_token(model, &question.query);
    let scaled = Scaled::new(model, &query, points)?;
    let total = model.spec().n_blocks;
    let mut values = Vec::new();
    for done in 0..total {
        let stage = "attributing";
        ctx.report(&Progress::new(stage, done, total))?;
        values.push(scaled.attributions(done)?);
    }
    Ok(Attribution {
        prompt: question.prompt.text().to_owned(),
        object: question.object.clone(),
        token: model.tokenizer().shown(query.object[0])?,
        probability: scaled.probability,
        values,
    })
}

/// The query for the last token of an answer, with those before it said.
fn last_token(model: &Model, query: &Query) -> Query {
    let (mut ids, last) = (query.ids.clone(), query.at.len() - 1);
    // In a decoder they stand in the text already.
    if !model.spec().is_causal() {
        for (&at, &token) in query.at.iter().zip(&query.object).take(last) {
            ids[at as usize] = token;
        }
    }
    Query { ids, at: vec![query.at[last]], object: vec![query.object[last]], ..query.clone() }
}

/// A query whose keys are scaled, block by block.
struct Scaled<'a> {
    model: &'a Model,
    query: &'a Query,
    points: usize,
    /// What enters the first block; of a decoder at the position that is read alone.
    start: Hidden,
    /// The row of that position.
    row: u32,
    /// What leaves each block, and each key.
    states: BTreeMap<Site, Tensor>,
    /// The token's probability as it is.
    probability: f64,
}

impl<'a> Scaled<'a> {
    fn new(model: &'a Model, query: &'a Query, points: usize) -> Result<Self> {
        let n_blocks = model.spec().n_blocks;
        let whole = model.embed(&Batch::new([&query.ids])?, &mut ())?;
        let at = query.at[0];
        let (start, row) = match model.spec().is_causal() {
            true => (model.from_positions(0..n_blocks, &whole, &[at as usize])?, 0),
            false => (whole, at),
        };
        let sites = |block| [Spot::MlpKey, Spot::Out].map(|spot| Site::Block(block, spot));
        let mut capture = Capture::only((0..n_blocks).flat_map(sites));
        let h = model.blocks(0..n_blocks, start.clone(), &mut capture)?;
        let x = model.finish(n_blocks, h, &[row], &mut ())?;
        let scored = Packed::new([query])?.score(model, &x, &[1.0])?;
        let (states, probability) = (capture.seen, scored.log_prob[0].exp());
        if !probability.is_finite() {
            let what = "the probability of the answer".to_owned();
            return Err(Error::NotFinite { what });
        }
        Ok(Self { model, query, points, start, row, states, probability })
    }

    /// The attributions of the key of `block`: all points are rows of one batch, which starts there.
    fn attributions(&self, block: usize) -> Result<Vec<f64>> {
        let (n_blocks, n) = (self.model.spec().n_blocks, self.points);
        let key = Var::constant(self.states[&Site::Block(block, Spot::MlpKey)].clone());
        let key = gather_rows(&key, &[self.row])?.into_value();
        let factors: Vec<f32> = (0..n).map(|j| j as f32 / n as f32).collect();
        let factors = Tensor::from_vec(factors, (n, 1), &Device::Cpu)?;
        let factors = factors.to_dtype(key.dtype())?.to_device(key.device())?;
        let scaled = Var::unknown(key.broadcast_mul(&factors)?);

        let mut one = self.start.clone();
        if let Some(before) = block.checked_sub(1) {
            one.x = Var::constant(self.states[&Site::Block(before, Spot::Out)].clone());
        }
        let length = one.lengths()[0] as u32;
        let h = one.sequences(&vec![0; n])?;
        let at: Vec<u32> = (0..n as u32).map(|j| j * length + self.row).collect();
        // The last block goes on with the rows that are read alone.
        let rows = if block + 1 == n_blocks { (0..n as u32).collect() } else { at.clone() };
        let site = Site::Block(block, Spot::MlpKey);
        let mut tap = Restore { at: [(site, (rows, scaled.clone()))].into() };
        let x = self.model.finish(block, h, &at, &mut tap)?;
        let packed = Packed::new(std::iter::repeat_n(self.query, n))?;
        let scored = packed.score(self.model, &x, &vec![1.0; n])?;
        let gradients = numbers(&scored.loss.gradients(&[&scaled])?[0])?;

        let mut sums = vec![0.0; key.dim(1)?];
        for (gradient, log_prob) in gradients.chunks(sums.len()).zip(&scored.log_prob) {
            // The loss is minus the log-probability.
            let factor = -log_prob.exp();
            sums.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += factor * g);
        }
        let attribution = |(sum, a): (f64, f64)| sum * a / n as f64;
        Ok(sums.into_iter().zip(numbers(&key)?).map(attribution).collect())
    }
}

fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    let x = x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    Ok(x.flatten_all()?.to_vec1()?)
}

impl Attribution {
    /// The entries with more than `share` of the highest attribution, the highest first.
    pub fn neurons(&self, share: f64) -> Vec<Neuron> {
        let all = self.values.iter().enumerate().flat_map(|(block, values)| {
            let neuron = move |(index, &attribution)| Neuron { block, index, attribution };
            values.iter().enumerate().map(neuron)
        });
        let highest = self.values.iter().flatten().copied().fold(0.0, f64::max);
        let mut kept: Vec<Neuron> =
            all.filter(|neuron| neuron.attribution > share * highest).collect();
        kept.sort_by(|a, b| b.attribution.total_cmp(&a.attribution));
        kept
    }

    /// The highest attribution in each block.
    #[must_use]
    pub fn strongest(&self) -> Vec<f64> {
        let highest = |values: &Vec<f64>| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.values.iter().map(highest).collect()
    }
}

/// The entries that at least the share `of_prompts` of several prompts for one fact have in common,
/// each prompt with those of more than `share` of its highest attribution; the most common first.
/// `None` of fewer than three prompts, which would not tell the fact from its wording.
#[must_use]
pub fn refine(prompts: &[Attribution], share: f64, of_prompts: f64) -> Option<Vec<Shared>> {
    const FEWEST: usize = 3;
    if prompts.len() < FEWEST {
        return None;
    }
    let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for neuron in prompts.iter().flat_map(|prompt| prompt.neurons(share)) {
        *counts.entry((neuron.block, neuron.index)).or_default() += 1;
    }
    let n = prompts.len() as f64;
    // A share such as 0.7 of 10 prompts is 7 of them, however it is rounded.
    let enough = |count: usize| count as f64 >= of_prompts * n - 1e-9;
    let shared = |((block, index), prompts_with): ((usize, usize), usize)| {
        let sum: f64 = prompts.iter().map(|prompt| prompt.values[block][index]).sum();
        Shared { block, index, prompts: prompts_with, attribution: sum / n }
    };
    let mut kept: Vec<Shared> =
        counts.into_iter().filter(|&(_, count)| enough(count)).map(shared).collect();
    kept.sort_by(|a, b| b.prompts.cmp(&a.prompts).then(b.attribution.total_cmp(&a.attribution)));
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribution(values: &[[f64; 3]; 2]) -> Attribution {
        let empty = String::new;
        Attribution {
            prompt: empty(),
            object: empty(),
            token: empty(),
            probability: 1.0,
            values: values.iter().map(|values| values.to_vec()).collect(),
        }
    }

    #[test]
    fn entries_are_kept_by_their_share_of_the_highest() {
        let kept = attribution(&[[0.1, 1.0, -2.0], [0.2, 0.3, 0.0]]).neurons(0.2);
        let places: Vec<_> = kept.iter().map(|neuron| (neuron.block, neuron.index)).collect();
        assert_eq!(places, [(0, 1), (1, 1)]);
        assert!(attribution(&[[-1.0, 0.0, -2.0]; 2]).neurons(0.2).is_empty());
    }

    #[test]
    fn what_most_prompts_share_is_the_facts() {
        let one = attribution(&[[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]]);
        let other = attribution(&[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        assert_eq!(refine(&[one.clone(), other.clone()], 0.2, 0.7), None);
        let shared = refine(&[one.clone(), other, one], 0.2, 0.7).unwrap();
        assert_eq!(shared.len(), 1);
        assert_eq!((shared[0].block, shared[0].index, shared[0].prompts), (1, 1, 3));
        assert!((shared[0].attribution - 2.0 / 3.0).abs() < 1e-12);
    }
}
