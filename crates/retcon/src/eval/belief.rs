//! What a model believes: the probability of answers, and the answer that it gives freely.

use candle_core::Tensor;
use retcon_model::generate::{Sampling, generate};
use retcon_model::{Batch, Model};
use serde::{Deserialize, Serialize};

use super::answer::first;
use super::questions::Question;
use crate::edit::lookup::{Packed, Query, fits, query};
use crate::error::Result;

/// What a model answers to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    /// The probability of the old object, all of its tokens; `None` where there is no old object.
    pub p_old: Option<f64>,
    /// The probability of the new object, all of its tokens.
    pub p_new: f64,
    /// Whether each token of the new object is the most likely one after those before it.
    pub new_leads: bool,
    /// What the model says freely: the most likely token, each time.
    pub says: String,
}

/// Tokens that a free answer has at most.
const N_SAID: usize = 8;

/// Asks `model` all of `questions`.
///
/// # Errors
/// What the tokenizer and the model report.
pub fn believe(model: &Model, questions: &[Question]) -> Result<Vec<Belief>> {
    beliefs(model, questions, says(model, questions)?)
}

/// As [`believe`], where what `model` says becomes the old object of each question that has none.
///
/// # Errors
/// As [`believe`].
pub fn believe_and_note(model: &Model, questions: &mut [Question]) -> Result<Vec<Belief>> {
    let says = says(model, questions)?;
    for (question, says) in questions.iter_mut().zip(&says) {
        let own = first(says);
        if question.old.is_none() && !own.is_empty() && own != question.new {
            // Encoded anew, what was said can take more tokens than it had.
            let fits = fits(model, &question.prompt, own)?;
            question.old = fits.then(|| own.to_owned());
        }
    }
    beliefs(model, questions, says)
}

/// Of its logarithm; 0 where that is no number, as of a model that an edit has broken.
fn probability(log_prob: f64) -> f64 {
    if log_prob.is_nan() { 0.0 } else { log_prob.exp() }
}

fn beliefs(model: &Model, questions: &[Question], says: Vec<String>) -> Result<Vec<Belief>> {
    let new = |question: &Question| query(model, &question.prompt, &question.new);
    let new = scores(model, &questions.iter().map(new).collect::<Result<Vec<_>>>()?)?;
    let known: Vec<usize> = (0..questions.len()).filter(|&i| questions[i].old.is_some()).collect();
    let old = |&i: &usize| {
        let question = &questions[i];
        query(model, &question.prompt, question.old.as_deref().unwrap_or_default())
    };
    let old = scores(model, &known.iter().map(old).collect::<Result<Vec<_>>>()?)?;
    let mut p_old = vec![None; questions.len()];
    for (&i, score) in known.iter().zip(old) {
        p_old[i] = Some(probability(score.log_prob));
    }
    let beliefs = says.into_iter().zip(new).zip(p_old).map(|((says, new), p_old)| Belief {
        p_old,
        p_new: probability(new.log_prob),
        new_leads: new.leads,
        says,
    });
    Ok(beliefs.collect())
}

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
/// What the model reports.
pub fn scores(model: &Model, queries: &[Query]) -> Result<Vec<Score>> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let packed = Packed::new(queries)?;
    let x = model.run(&packed.batch, &packed.rows, &mut ())?;
    let scored = packed.score(model, &x, &vec![1.0; queries.len()])?;
    let score = |(rows, leads): (&std::ops::Range<usize>, bool)| Score {
        log_prob: scored.log_prob[rows.clone()].iter().sum(),
        leads,
    };
    Ok(packed.of_query.iter().zip(packed.leads(&scored)).map(score).collect())
}

/// What `model` says to each question.
fn says(model: &Model, questions: &[Question]) -> Result<Vec<String>> {
    if model.spec().is_causal() {
        let openings =
            questions.iter().map(|question| model.tokenizer().opening(question.prompt.text()));
        let openings = openings.collect::<Result<Vec<_>, _>>()?;
        let said = generate(model, &openings, &Sampling::greedy(N_SAID), |_, _| true)?;
        return said.iter().map(|ids| Ok(model.tokenizer().decode(ids)?)).collect();
    }
    let filled = |question: &Question| {
        let query = query(model, &question.prompt, &question.new)?;
        let batch = Batch::new([&query.ids])?;
        let x = model.run(&batch, &query.at, &mut ())?;
        let places: Vec<usize> = (0..query.at.len()).collect();
        let x = model.recall(&x, &places)?.map_or(x, |recalled| recalled.x);
        let logits = model.logits(&x)?;
        Ok(model.tokenizer().decode(&best(&logits)?)?)
    };
    questions.iter().map(filled).collect()
}

/// The most likely token of each row of `logits`.
fn best(logits: &Tensor) -> Result<Vec<u32>> {
    Ok(logits.argmax(1)?.to_vec1()?)
}
