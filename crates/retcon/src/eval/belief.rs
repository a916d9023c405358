//! What a model believes: the probability of answers, and the answer that it gives freely.

use retcon_model::Model;
use serde::{Deserialize, Serialize};

use super::answer::first;
use super::questions::Question;
use super::reading::{Ask, Reading, Taken, read};
use crate::error::{Error, Result};
use crate::tokens::{fits, query};

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

/// Tokens that a free answer has at most, unless the new object has more.
const N_SAID: usize = 8;

/// Asks `model` all of `questions`.
///
/// # Errors
/// What the tokenizer and the model report; a question that is longer than the model takes is one.
pub fn believe(model: &Model, questions: &[Question]) -> Result<Vec<Belief>> {
    let beliefs = questions.iter().zip(ask(model, questions, N_SAID)?);
    beliefs.map(|(question, reading)| belief(model, question, reading)).collect()
}

/// As [`believe`], where what `model` says becomes the old object of each question that has none.
///
/// # Errors
/// As [`believe`].
pub fn believe_and_note(model: &Model, questions: &mut [Question]) -> Result<Vec<Belief>> {
    let mut beliefs = believe(model, questions)?;
    let mut noted = Vec::new();
    for (i, (question, belief)) in questions.iter_mut().zip(&beliefs).enumerate() {
        let own = first(&belief.says);
        // Encoded anew, what was said can take more tokens than it had.
        let is_new = question.old.is_none() && !own.is_empty() && own != question.new;
        if is_new && fits(model, &question.prompt, own)? {
            question.old = Some(own.to_owned());
            noted.push(i);
        }
    }
    let of_noted: Vec<Question> = noted.iter().map(|&i| questions[i].clone()).collect();
    for (i, reading) in noted.into_iter().zip(ask(model, &of_noted, 0)?) {
        beliefs[i].p_old = reading.other.as_ref().map(Taken::probability);
    }
    Ok(beliefs)
}

/// What is said with both objects of each question, and freely in at least `n_free` tokens, unless that
/// is 0.
fn ask(model: &Model, questions: &[Question], n_free: usize) -> Result<Vec<Reading>> {
    let mut asks = Vec::with_capacity(questions.len());
    for question in questions {
        let n_new = model.tokenizer().encode_continuation(&question.new)?.len();
        let n_free = if n_free > 0 { n_free.max(n_new) } else { 0 };
        let objects = [Some(question.new.as_str()), question.old.as_deref()];
        // The new object may be several sentences.
        asks.push(Ask { prompt: &question.prompt, objects, n_free, stops: false });
    }
    read(model, &asks)
}

fn belief(model: &Model, question: &Question, reading: Reading) -> Result<Belief> {
    let Some(new) = reading.wanted else {
        // Nothing is read of what can't be asked.
        let n = query(model, &question.prompt, &question.new)?.ids.len();
        let limit = model.spec().n_positions;
        return Err(Error::PromptTooLong { prompt: question.prompt.marked(), n, limit });
    };
    Ok(Belief {
        p_old: reading.other.as_ref().map(Taken::probability),
        p_new: new.probability(),
        new_leads: new.leads(),
        says: reading.says.unwrap_or_default(),
    })
}
