//! The value that makes a model say the new object: an offset at one site of one block, searched for
//! every subject at once.
//!
//! ```text
//! J(δ) = mean over situations of -log p(object)  +  kl · KL(p_δ ‖ p_0)  +  decay · ‖δ‖ / ‖x0‖²
//! ```
//!
//! (Meng et al. 2022, equation 4, and the terms of their code.) `p_δ` and `p_0` are the distributions of
//! the token after the subject in `{subject} is a`; `x0` is what the site has for the bare prompt. Adam
//! makes `J` small, `‖δ‖` stays within `clamp · ‖x0‖`, and a subject that is done is left alone.
//! What no step changes is run once: all blocks below, and in a causal model all positions before the
//! subject's last token. Only rows that are read run in the last block.

mod objective;
mod prepared;

use std::ops::Range;

use candle_core::{DType, Tensor};
use retcon_kernels::trained::{Ball, Trained};
use retcon_model::batch::runs;
use retcon_model::{Model, Spot};

use super::subject::{Situation, Subject};
use super::walk::Walk;
use crate::ctx::Ctx;
use crate::edit::optim::{Apart, Outcome, Unknown, minimize_each};
use crate::error::{Error, Result};
use objective::Objective;
use prepared::{Prepared, is_direct};

/// How values are searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The block.
    pub block: usize,
    /// The first block that will change for the values' sake, this one or one below.
    pub first_changed: usize,
    /// The sites that get an offset; what is written is the first one's.
    pub spots: Vec<Spot>,
    /// Times that the objective is computed, at most; there is a step between two.
    pub steps: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// The weight of the divergence.
    pub kl: f64,
    /// The weight of the offset's norm.
    pub decay: f64,
    /// How long an offset may be, in norms of what the site has.
    pub clamp: f64,
    /// When a subject is done.
    pub stop: Stop,
}

/// When a subject is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Where the objective is below this.
    pub loss: f64,
    /// Or every token of the object has led in all situations this often (ENCORE).
    pub leads: Option<usize>,
    /// For which the divergence must not be above this (PMET).
    pub kl: f64,
    /// What the likelihood counts while every token leads (PMET).
    pub weight_when_leading: f64,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The offset of each subject at the first site, a row each: `[n, d_model]`.
    pub offsets: Tensor,
    /// What the first site has for each situation, unedited: `[situations, d_model]`.
    pub states: Tensor,
    /// Its mean for the bare prompts: `[n, d_model]`.
    pub before: Tensor,
    /// All situations where they enter the first block that will change.
    pub walk: Walk,
    /// How each search ended.
    pub outcomes: Vec<Outcome>,
}

/// Searches a value for each of `subjects`.
///
/// # Errors
/// [`Error::NothingReads`] in a last block, [`Error::Diverged`], [`Error::Canceled`], and what the model
/// reports.
pub fn search(
    ctx: &Ctx<'_>,
    model: &Model,
    subjects: &[Subject],
    search: &Search,
) -> Result<Found> {
    check_is_read(model, subjects, search)?;
    let (mut offsets, mut before, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut states, mut walk) = (Vec::new(), Walk::at(search.first_changed));
    for group in groups(model, subjects) {
        let prepared = Prepared::new(model, &subjects[group.clone()], search, &mut walk)?;
        let mut unknowns = prepared.unknowns(search)?;
        let apart = Apart {
            names: subjects[group.clone()].iter().map(|subject| subject.name.as_str()).collect(),
            stage: "searching values",
            n_looks: search.steps,
            before: group.start,
            of: subjects.len(),
        };
        let mut objective = Objective::new(&prepared, search);
        let evaluate = |parts: &[usize], offsets: &_| objective.at(parts, offsets);
        outcomes.extend(minimize_each(ctx, &apart, &mut unknowns, evaluate)?);
        for of_subject in &unknowns {
            offsets.push(of_subject[0].trained.change().clone());
        }
        before.push(prepared.before[0].clone());
        states.push(prepared.states);
    }
    let [offsets, states, before] =
        [offsets, states, before].map(|rows: Vec<Tensor>| Tensor::cat(&rows, 0));
    Ok(Found { offsets: offsets?, states: states?, before: before?, walk, outcomes })
}

/// Makes sure that what is asked depends on an offset. Nothing after the last block takes it from one
/// position to another, so there it matters only where the object is read at the subject's last token.
fn check_is_read(model: &Model, subjects: &[Subject], search: &Search) -> Result<()> {
    let is_read = |subject: &Subject| {
        let mut situations = subject.situations.iter();
        situations.any(|situation| situation.query.at.contains(&(situation.lookup as u32)))
    };
    let is_last = search.block + 1 == model.spec().n_blocks;
    // Inside of the last block there are rows only where something is read.
    if is_last && !(is_direct(model, search) && subjects.iter().all(is_read)) {
        return Err(Error::NothingReads { block: search.block });
    }
    Ok(())
}

/// Runs of subjects that are searched for at once: as many as keep what backward needs within a
/// quarter of the weights, or 64 MiB.
fn groups(model: &Model, subjects: &[Subject]) -> Vec<Range<usize>> {
    let spec = model.spec();
    let per_block = 8 * spec.d_model + 4 * spec.d_mlp + 4 * spec.n_heads * spec.d_head;
    let per_row = size_of::<f32>() * spec.n_blocks * per_block;
    let weights = spec.n_blocks * spec.d_model * (3 * spec.d_mlp + 4 * spec.d_model);
    let most = (size_of::<f32>() * weights / 4).max(64 << 20) / per_row;
    let n_rows = |subject: &Subject| -> usize {
        let rows = subject.situations.iter().map(|s| s.query.ids.len() - first(model, s));
        rows.sum::<usize>() + 1
    };
    runs(subjects.iter().map(n_rows), most)
}

/// The first position that the offset can reach.
fn first(model: &Model, situation: &Situation) -> usize {
    if model.spec().is_causal() { situation.lookup } else { 0 }
}

impl Prepared<'_> {
    /// The offsets of each subject, one a site: zero, and inside of a ball.
    fn unknowns(&self, search: &Search) -> Result<Vec<Vec<Unknown>>> {
        let (n, width) = self.before[0].dims2()?;
        let unknown = |norm: f64| -> Result<Unknown> {
            let zero = Tensor::zeros((1, width), DType::F32, self.before[0].device())?;
            let ball = Ball::L2(search.clamp * norm);
            let (trained, learning_rate) = (Trained::new(zero)?, search.learning_rate);
            Ok(Unknown { trained, learning_rate, weight_decay: 0.0, ball })
        };
        let of_subject = |i| self.norms.iter().map(|norms| unknown(norms[i])).collect();
        (0..n).map(of_subject).collect()
    }
}
