//! Exact match of objects, the measure of the paper on modifying memories.
//!
//! `A_M` is the share of modified facts whose new object is said, `A_{F\S}` that of the others whose
//! old one is (Zhu et al. 2020, section 3). An object is said where each of its tokens is the most
//! likely one: at the masks of an encoder; in a decoder just where greedy decoding says it.

use retcon_model::Model;

use super::belief::scores;
use crate::edit::lookup::{Query, in_runs};
use crate::error::Result;

/// For each query, whether its object is said.
///
/// # Errors
/// What the model reports.
pub fn said(model: &Model, queries: &[Query]) -> Result<Vec<bool>> {
    let mut said = Vec::with_capacity(queries.len());
    for run in in_runs(queries) {
        said.extend(scores(model, run)?.iter().map(|score| score.leads));
    }
    Ok(said)
}

/// The share of `said` that is true; 0 for none.
pub fn share(said: &[bool]) -> f64 {
    said.iter().filter(|&&said| said).count() as f64 / said.len().max(1) as f64
}
