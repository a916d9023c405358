//! How far an edit has moved what a model says where it was not to move.

use candle_core::Tensor;
use rayon::prelude::*;
use retcon_kernels::loss::log_softmax;
use retcon_model::generate::is_decoder;
use retcon_model::{Batch, Model};
use serde::{Deserialize, Serialize};

use crate::data::Prompt;
use crate::edit::lookup::{Query, opening, query};
use crate::error::Result;

/// The distance between what two models say, over the positions of some texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Positions that were compared.
    pub n_positions: usize,
    /// The mean of KL(before ‖ after) of the next token, in nats.
    pub mean_kl: f64,
    /// Its largest value.
    pub max_kl: f64,
    /// The share of positions where the most likely token is the same.
    pub top1_agreement: f64,
}

/// Compares `before` and `after` at every position of `prompts`; an encoder's at the masks.
///
/// # Errors
/// What the tokenizer and the models report.
pub fn drift(before: &Model, after: &Model, prompts: &[Prompt]) -> Result<Drift> {
    /// Bounds the logits that are alive at once.
    const PROMPTS_AT_ONCE: usize = 4;
    let mut sum = Drift::default();
    for prompts in prompts.chunks(PROMPTS_AT_ONCE) {
        let readings = prompts.iter().map(|prompt| reading(before, prompt));
        let readings = readings.collect::<Result<Vec<_>>>()?;
        let batch = Batch::new(readings.iter().map(|(ids, _)| ids))?;
        let rows = readings
            .iter()
            .zip(batch.starts())
            .flat_map(|((_, at), start)| at.iter().map(move |at| at + start as u32));
        let rows: Vec<u32> = rows.collect();
        let [p, q] = [before, after].map(|model| log_probs(model, &batch, &rows));
        add(&mut sum, &p?, &q?)?;
    }
    if sum.n_positions > 0 {
        sum.mean_kl /= sum.n_positions as f64;
        sum.top1_agreement /= sum.n_positions as f64;
    }
    Ok(sum)
}

/// The tokens of a prompt, and the positions where something is predicted.
fn reading(model: &Model, prompt: &Prompt) -> Result<(Vec<u32>, Vec<u32>)> {
    if is_decoder(model.spec()) {
        let ids = opening(model, prompt.text())?;
        let at = (0..ids.len() as u32).collect();
        return Ok((ids, at));
    }
    // Any word of one token makes one mask.
    let Query { ids, at, .. } = query(model, prompt, "it")?;
    Ok((ids, at))
}

fn log_probs(model: &Model, batch: &Batch, rows: &[u32]) -> Result<Tensor> {
    Ok(log_softmax(&model.logits(&model.run(batch, rows, &mut ())?)?)?)
}

fn add(sum: &mut Drift, p: &Tensor, q: &Tensor) -> Result<()> {
    let (n, n_vocab) = p.dims2()?;
    let [p, q] = [p, q].map(|log_probs| log_probs.flatten_all()?.to_vec1::<f32>());
    let (p, q) = (p?, q?);
    let rows = p.par_chunks(n_vocab).zip(q.par_chunks(n_vocab));
    let rows: Vec<(f64, bool)> = rows.map(|(p, q)| (kl(p, q), best(p) == best(q))).collect();
    sum.n_positions += n;
    for (kl, same) in rows {
        sum.mean_kl += kl;
        sum.max_kl = sum.max_kl.max(kl);
        sum.top1_agreement += f64::from(u8::from(same));
    }
    Ok(())
}

/// `KL(p ‖ q)` of two rows of log-probabilities; not below zero, where rounding could take it.
fn kl(p: &[f32], q: &[f32]) -> f64 {
    let terms = p.iter().zip(q).map(|(&p, &q)| f64::from(p.exp() * (p - q)));
    terms.sum::<f64>().max(0.0)
}

fn best(log_probs: &[f32]) -> Option<usize> {
    (0..log_probs.len()).max_by(|&a, &b| log_probs[a].total_cmp(&log_probs[b]))
}
