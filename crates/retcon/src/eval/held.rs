//! Held-out texts, which belong to no edit: how far what is said along them has moved.
//!
//! One pass over a text gives all that is measured of it: the divergence and the most likely token at
//! every position, its perplexity, and whether its last words, the answer, are the most likely ones.
//! An encoder is read at the masks that hide the answer.

use std::ops::Range;

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::loss::{Compared, compare};
use retcon_kernels::rows::gather_rows;
use retcon_model::batch::runs;
use retcon_model::{Batch, Hidden, Model};
use serde::{Deserialize, Serialize};

use super::unbounded;
use crate::data::Prompt;
use crate::error::Result;
use crate::tokens::query;

/// What a held-out text is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// Plain text.
    Text,
    /// Common knowledge.
    General,
    /// A sum.
    Arithmetic,
    /// A fact of the set that is edited, not edited itself: of `F\S`.
    Kept,
}

/// A held-out text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldText {
    /// What it is there for.
    pub holds: Holds,
    /// The text up to the answer.
    pub prompt: Prompt,
    /// The answer, where there is one.
    pub answer: Option<String>,
}

/// How a text has moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// What it is there for.
    pub holds: Holds,
    /// Positions that were compared.
    pub n_positions: usize,
    /// The mean over them of KL(before ‖ after) of the next token, in nats; infinite where the edited
    /// model's logits are not finite.
    #[serde(with = "unbounded")]
    pub mean_kl: f64,
    /// Its largest value.
    #[serde(with = "unbounded")]
    pub max_kl: f64,
    /// The share of positions where the most likely token is the same.
    pub same: f64,
    /// The mean of `-log p` of the text's own tokens, before and after, in nats.
    #[serde(with = "unbounded::pair")]
    pub nll: [f64; 2],
    /// Whether every token of the answer led, before and after.
    pub right: Option<[bool; 2]>,
}

/// Held-out texts as a model takes them without an edit.
#[derive(Debug)]
pub struct Held {
    texts: Vec<Text>,
    runs: Vec<Run>,
}

/// A text in tokens.
#[derive(Debug)]
struct Text {
    holds: Holds,
    ids: Vec<u32>,
    /// The positions that are read.
    at: Vec<u32>,
    /// The token that each should say; the last may have none.
    targets: Vec<u32>,
    /// Which of them say the answer.
    answer: Range<usize>,
}

/// Texts that run together.
#[derive(Debug)]
struct Run {
    texts: Range<usize>,
    batch: Batch,
    rows: Vec<u32>,
    /// What the model without an edit multiplies with its unembedding, `[rows, d_embed]`.
    x: Var,
    /// More of that model, where it doesn't take too much.
    kept: Option<Kept>,
}

/// What a model without an edit does along some texts.
#[derive(Debug)]
struct Kept {
    /// What enters each of its blocks.
    entering: Vec<Hidden>,
    /// The logits at the rows that are read, [`POSITIONS`] at a time, `[rows, n_vocab]`.
    said: Vec<Tensor>,
}

/// Positions whose logits are alive at once, two of them for each.
const POSITIONS: usize = 64;

/// Tokens that run at once.
const TOKENS: usize = 2048;

/// Bytes that may be kept of what the model without an edit does; beyond that, it does most of it again.
pub const KEPT: usize = 512 << 20;

impl Held {
    /// Runs `texts` through `before`. Texts longer than what the model takes are left out.
    ///
    /// # Errors
    /// What the tokenizer and the model report.
    pub fn new(before: &Model, texts: &[HeldText]) -> Result<Self> {
        let texts = texts.iter().map(|text| Text::new(before, text));
        let mut texts = texts.collect::<Result<Vec<_>>>()?;
        texts.retain(|text| text.ids.len() <= before.spec().n_positions && !text.at.is_empty());
        let spec = before.spec();
        let n_numbers = |text: &Text| {
            text.at.len() * spec.n_vocab + text.ids.len() * spec.d_model * spec.n_blocks
        };
        let is_kept = texts.iter().map(n_numbers).sum::<usize>() * size_of::<f32>() <= KEPT;
        let runs = runs(texts.iter().map(|text| text.ids.len()), TOKENS).into_iter();
        let runs = runs.map(|run| Run::new(before, &texts, run, is_kept)).collect::<Result<_>>()?;
        Ok(Self { texts, runs })
    }

    /// How each text has moved in `after`, an edit of the model that these were run through, which is
    /// `before`.
    ///
    /// # Errors
    /// What the models report.
    pub fn moved(&self, before: &Model, after: &Model) -> Result<Vec<Moved>> {
        let mut moved = Vec::with_capacity(self.texts.len());
        let last = before.spec().n_blocks - 1;
        let first = after.first_change(before).unwrap_or(last).min(last);
        for run in &self.runs {
            let x = match &run.kept {
                Some(kept) => {
                    after.finish(first, kept.entering[first].clone(), &run.rows, &mut ())?
                }
                None => after.run(&run.batch, &run.rows, &mut ())?,
            };
            let rows = self.compare(before, after, run, &x)?;
            let mut rows = rows.as_slice();
            for text in &self.texts[run.texts.clone()] {
                let (mine, rest) = rows.split_at(text.at.len());
                moved.push(text.moved(mine));
                rows = rest;
            }
        }
        Ok(moved)
    }

    fn compare(&self, before: &Model, after: &Model, run: &Run, x: &Var) -> Result<Vec<Compared>> {
        let targets = self.texts[run.texts.clone()]
            .iter()
            .flat_map(|text| (0..text.at.len()).map(|i| text.targets.get(i).copied()));
        let targets: Vec<Option<u32>> = targets.collect();
        let mut rows = Vec::with_capacity(targets.len());
        for (chunk, at) in chunks(targets.len()).enumerate() {
            let q = logits(after, x, at.clone())?;
            let p = match &run.kept {
                Some(kept) => kept.said[chunk].clone(),
                None => logits(before, &run.x, at.clone())?,
            };
            rows.extend(compare(&p, &q, &targets[at])?);
        }
        Ok(rows)
    }
}

impl Text {
    fn new(model: &Model, text: &HeldText) -> Result<Self> {
        let HeldText { holds, prompt, answer } = text;
        let holds = *holds;
        if !model.spec().is_causal() {
            // Any word of one token makes one mask.
            let query = query(model, prompt, answer.as_deref().unwrap_or("it"))?;
            let n = if answer.is_some() { query.object.len() } else { 0 };
            return Ok(Self {
                holds,
                ids: query.ids,
                at: query.at,
                targets: query.object,
                answer: 0..n,
            });
        }
        let Some(answer) = answer else {
            let ids = model.tokenizer().opening(prompt.text())?;
            let (at, targets) = ((0..ids.len() as u32).collect(), ids.get(1..).unwrap_or_default());
            return Ok(Self { holds, at, targets: targets.to_vec(), ids, answer: 0..0 });
        };
        let query = query(model, prompt, answer)?;
        let n_answer = query.object.len();
        if holds == Holds::Kept {
            // Of a fact its object alone is of interest.
            let (at, targets) = (query.at, query.object);
            return Ok(Self { holds, ids: query.ids, at, targets, answer: 0..n_answer });
        }
        let at: Vec<u32> = (0..query.ids.len() as u32).collect();
        let mut targets = query.ids[1..].to_vec();
        targets.extend(query.object.last());
        let answer = at.len() - n_answer..at.len();
        Ok(Self { holds, ids: query.ids, at, targets, answer })
    }

    fn moved(&self, rows: &[Compared]) -> Moved {
        let n = rows.len().max(1) as f64;
        let mean = |of: fn(&Compared) -> f64| rows.iter().map(of).sum::<f64>() / n;
        let scored = &rows[..self.targets.len().min(rows.len())];
        let nll = [0, 1].map(|side| {
            let sum: f64 = scored.iter().map(|row| surprise(row.log_prob[side])).sum();
            sum / scored.len().max(1) as f64
        });
        let answer =
            || rows.iter().zip(&self.targets).skip(self.answer.start).take(self.answer.len());
        let right = [0, 1].map(|side| answer().all(|(row, &token)| leads(row, side, token)));
        Moved {
            holds: self.holds,
            n_positions: rows.len(),
            mean_kl: mean(|row| row.kl),
            max_kl: rows.iter().map(|row| row.kl).fold(0.0, f64::max),
            same: mean(|row| f64::from(u8::from(is_same(row)))),
            nll,
            right: (!self.answer.is_empty()).then_some(right),
        }
    }
}

impl Run {
    fn new(model: &Model, texts: &[Text], run: Range<usize>, is_kept: bool) -> Result<Self> {
        let batch = Batch::new(texts[run.clone()].iter().map(|text| &text.ids))?;
        let rows = texts[run.clone()].iter().zip(batch.starts());
        let rows = rows.flat_map(|(text, start)| text.at.iter().map(move |at| at + start as u32));
        let rows: Vec<u32> = rows.collect();
        if !is_kept {
            let x = model.run(&batch, &rows, &mut ())?;
            return Ok(Self { texts: run, batch, rows, x, kept: None });
        }
        let mut entering = vec![model.embed(&batch, &mut ())?];
        for block in 0..model.spec().n_blocks - 1 {
            entering.push(model.blocks(block..block + 1, entering[block].clone(), &mut ())?);
        }
        let last = entering.len() - 1;
        let x = model.finish(last, entering[last].clone(), &rows, &mut ())?;
        let said = chunks(rows.len()).map(|at| logits(model, &x, at)).collect::<Result<_>>()?;
        Ok(Self { texts: run, batch, rows, x, kept: Some(Kept { entering, said }) })
    }
}

/// Whether one token is the most likely one before and after.
fn is_same(row: &Compared) -> bool {
    row.kl.is_finite() && row.best[0] == row.best[1]
}

/// Whether `token` is the most likely one on a side; where numbers are none, no token is.
fn leads(row: &Compared, side: usize, token: u32) -> bool {
    row.log_prob[side].is_finite() && row.best[side] == Some(token)
}

/// `-log p`; infinite where it is no number.
fn surprise(log_prob: f64) -> f64 {
    if log_prob.is_nan() { f64::INFINITY } else { -log_prob }
}

/// Runs of [`POSITIONS`] of `n` rows.
fn chunks(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(POSITIONS).map(move |from| from..n.min(from + POSITIONS))
}

/// The logits of `model` at some rows of `x`, which is multiplied with its unembedding.
fn logits(model: &Model, x: &Var, rows: Range<usize>) -> Result<Tensor> {
    let rows: Vec<u32> = (rows.start as u32..rows.end as u32).collect();
    Ok(model.logits(&gather_rows(x, &rows)?)?)
}
