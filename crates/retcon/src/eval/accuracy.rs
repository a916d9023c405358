//! How a model takes objects: the probability of each, and whether it is said.
//!
//! The latter is the measure of the paper on modifying memories: `A_M` is the share of modified facts
//! whose new object is said, `A_{F\S}` that of the others whose old one is (Zhu et al. 2020, section 3).
//! An object is said where each of its tokens is the most likely one: at the masks of an encoder; in a
//! decoder just where greedy decoding says it.

use std::ops::Range;

use retcon_model::Model;

use crate::ctx::{Ctx, Progress};
use crate::error::Result;
use crate::tokens::{Packed, Query, in_runs};

/// How a model takes a given object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The log-probability of all its tokens, in nats.
    pub log_prob: f64,
    /// Whether each is the most likely one.
    pub leads: bool,
}

/// Scores every query's object, teacher-forced.
///
/// # Errors
/// [`Canceled`](crate::Error::Canceled), and what the model reports.
pub fn scores(ctx: &Ctx<'_>, model: &Model, queries: &[Query]) -> Result<Vec<Score>> {
    let mut scores = Vec::with_capacity(queries.len());
    for run in in_runs(queries) {
        ctx.report(&Progress::new("asking", scores.len(), queries.len()))?;
        let packed = Packed::new(run)?;
        let x = model.run(&packed.batch, &packed.rows, &mut ())?;
        let scored = packed.score(model, &x, &vec![1.0; run.len()])?;
        let score = |(rows, leads): (&Range<usize>, bool)| Score {
            log_prob: scored.log_prob[rows.clone()].iter().sum(),
            leads,
        };
        scores.extend(packed.of_query.iter().zip(packed.leads(&scored)).map(score));
    }
    Ok(scores)
}

/// For each query, whether its object is said.
///
/// # Errors
/// As [`scores`].
pub fn said(ctx: &Ctx<'_>, model: &Model, queries: &[Query]) -> Result<Vec<bool>> {
    Ok(scores(ctx, model, queries)?.iter().map(|score| score.leads).collect())
}

/// The share of `said` that is true; 0 for none.
#[must_use]
pub fn share(said: &[bool]) -> f64 {
    said.iter().filter(|&&said| said).count() as f64 / said.len().max(1) as f64
}
