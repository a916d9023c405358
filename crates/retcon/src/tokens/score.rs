//! From what enters the unembedding to scores: a memory is looked up, then the objects are scored.

use std::ops::Range;

use retcon_kernels::autograd::Var;
use retcon_kernels::linear::Matrix;
use retcon_kernels::loss::{Head, Scored, cross_entropy};
use retcon_kernels::rows::add;
use retcon_model::Model;

use super::Packed;
use crate::error::Result;

impl Packed {
    /// What `model` multiplies with its unembedding at the rows, `[rows, d_embed]`, with what its memory, if
    /// it has one, adds.
    ///
    /// # Errors
    /// What the model reports.
    pub fn run(&self, model: &Model) -> Result<Var> {
        let x = model.run(&self.batch, &self.rows, &mut ())?;
        Ok(model.recall(&x, &self.places())?.map_or(x, |recalled| recalled.x))
    }

    /// Scores the objects by `x`, which `model` gives for the rows. The loss is the sum over the
    /// queries of `of_queries` times the mean cross-entropy of their objects' tokens.
    ///
    /// Where the model looks facts up and the queries name theirs, the cross-entropy of finding
    /// these is added, which weighs as much (after Verga et al. 2020, arXiv 2007.00849).
    ///
    /// # Errors
    /// What the model reports.
    pub fn score(&self, model: &Model, x: &Var, of_queries: &[f64]) -> Result<Scored> {
        let weights = self.weights(of_queries);
        let recalled = model.recall(x, &self.places())?;
        let bias = model.head_bias()?;
        let head = model.head(bias.as_ref())?;
        let x = recalled.as_ref().map_or(x, |recalled| &recalled.x);
        let mut scored = cross_entropy(x, &head, &self.tokens, &weights)?;
        if let (Some(recalled), Some(entries)) = (&recalled, &self.entries) {
            let weight = Matrix::Trainable(&recalled.keys);
            let keys = Head { weight, bias: None, soft_cap: None };
            let found = cross_entropy(&recalled.queries, &keys, entries, &weights)?;
            scored.loss = add(&scored.loss, &found.loss)?;
        }
        Ok(scored)
    }

    /// For each query, whether each token of its object is the most likely one.
    #[must_use]
    pub fn leads(&self, scored: &Scored) -> Vec<bool> {
        let leads = |rows: &Range<usize>| scored.margin[rows.clone()].iter().all(|&m| m > 0.0);
        self.of_query.iter().map(leads).collect()
    }

    /// Which token of its object each row predicts.
    fn places(&self) -> Vec<usize> {
        self.of_query.iter().flat_map(|rows| 0..rows.len()).collect()
    }
}
