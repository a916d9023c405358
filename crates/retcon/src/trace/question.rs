//! What is traced: a prompt in tokens, the answer whose probability is watched, and each token's
//! place beside the subject.

use std::ops::Range;

use retcon_model::Model;
use serde::Serialize;

use crate::data::{self, Prompt};
use crate::error::Result;
use crate::tokens::{Packed, Query, query_of};

/// A prompt whose answer is traced.
#[derive(Clone, Debug)]
pub struct Question {
    /// The prompt, as its author wrote it.
    pub prompt: Prompt,
    /// The answer whose probability is watched.
    pub object: String,
    /// The token that the model finds most likely there.
    pub says: String,
    /// Whether the answer is what the model says.
    pub leads: bool,
    /// The probability of all tokens of the answer.
    pub probability: f64,
    pub(super) query: Query,
}

/// A token of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its text, or how the vocabulary writes it where it has none.
    pub text: String,
    /// Where it stands.
    pub role: Role,
}

/// Where a token stands beside the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Before the subject.
    Earlier,
    /// The first of several tokens of the subject.
    SubjectFirst,
    /// Neither the first nor the last of the subject.
    SubjectMiddle,
    /// The last token of the subject, or its only one.
    SubjectLast,
    /// The first after the subject.
    Next,
    /// After that.
    Further,
    /// Where the answer is read: the prompt's last token, or an encoder's masks.
    Answer,
}

impl Role {
    /// All of them, as they stand in a prompt.
    pub const ALL: &[Self] = &[
        Self::Earlier,
        Self::SubjectFirst,
        Self::SubjectMiddle,
        Self::SubjectLast,
        Self::Next,
        Self::Further,
        Self::Answer,
    ];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Earlier => "earlier tokens",
            Self::SubjectFirst => "first subject token",
            Self::SubjectMiddle => "middle subject tokens",
            Self::SubjectLast => "last subject token",
            Self::Next => "first subsequent token",
            Self::Further => "further tokens",
            Self::Answer => "last token, or mask",
        }
    }

    /// Whether it is the subject's.
    #[must_use]
    pub fn is_subject(self) -> bool {
        matches!(self, Self::SubjectFirst | Self::SubjectMiddle | Self::SubjectLast)
    }
}

impl Question {
    /// Asks `model` for `object` after `prompt`, or for what it says itself.
    ///
    /// # Errors
    /// As [`crate::tokens::query`].
    pub fn new(model: &Model, prompt: &Prompt, object: Option<&str>) -> Result<Self> {
        let one = query_of(model, prompt, vec![0])?;
        let said = most_likely(model, &one)?;
        let says = model.tokenizer().shown(said)?;
        let query = match object {
            Some(object) => {
                query_of(model, prompt, model.tokenizer().encode_continuation(object)?)?
            }
            None => Query { object: vec![said], ..one },
        };
        let packed = Packed::new([&query])?;
        let x = model.run(&packed.batch, &packed.rows, &mut ())?;
        let scored = packed.score(model, &x, &[1.0])?;
        Ok(Self {
            prompt: prompt.clone(),
            object: object.map_or_else(|| says.trim().to_owned(), str::to_owned),
            leads: object.is_none() || packed.leads(&scored)[0],
            says: says.trim().to_owned(),
            probability: scored.log_prob.iter().sum::<f64>().exp(),
            query,
        })
    }

    /// The positions of the subject.
    ///
    /// # Errors
    /// [`data::Error::NoSubject`].
    pub(super) fn subject(&self) -> Result<Range<usize>> {
        let prompt = self.prompt.text().to_owned();
        Ok(self.query.subject.clone().ok_or(data::Error::NoSubject { prompt })?)
    }

    /// How many tokens are the prompt's: a decoder's answer comes after them.
    pub(super) fn n_tokens(&self, model: &Model) -> usize {
        if model.spec().is_causal() { self.query.at[0] as usize + 1 } else { self.query.ids.len() }
    }

    /// The prompt's tokens.
    ///
    /// # Errors
    /// [`data::Error::NoSubject`], and what the tokenizer reports.
    pub fn tokens(&self, model: &Model) -> Result<Vec<Token>> {
        let subject = self.subject()?;
        let token = |at: usize| {
            let role = role(at, &subject, &self.query.at);
            Ok(Token { text: model.tokenizer().shown(self.query.ids[at])?, role })
        };
        (0..self.n_tokens(model)).map(token).collect()
    }
}

fn role(at: usize, subject: &Range<usize>, read: &[u32]) -> Role {
    match at {
        at if at + 1 == subject.end => Role::SubjectLast,
        at if at == subject.start => Role::SubjectFirst,
        at if subject.contains(&at) => Role::SubjectMiddle,
        at if read.contains(&(at as u32)) => Role::Answer,
        at if at < subject.start => Role::Earlier,
        at if at == subject.end => Role::Next,
        _ => Role::Further,
    }
}

/// The token that `model` finds most likely where `query` is read, which is once.
fn most_likely(model: &Model, query: &Query) -> Result<u32> {
    let x = Packed::new([query])?.run(model)?;
    Ok(model.logits(&x)?.argmax(1)?.to_vec1::<u32>()?[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_roles() {
        let roles = |subject: Range<usize>, read: &[u32]| -> Vec<Role> {
            (0..7).map(|at| role(at, &subject, read)).collect()
        };
        use Role::{Answer, Earlier, Further, Next, SubjectFirst, SubjectLast, SubjectMiddle};
        let expected = [Earlier, SubjectFirst, SubjectMiddle, SubjectLast, Next, Further, Answer];
        assert_eq!(roles(1..4, &[6]), expected);
        let expected = [Answer, Answer, SubjectLast, Next, Further, Further, Further];
        assert_eq!(roles(2..3, &[0, 1]), expected);
        assert_eq!(roles(5..7, &[6])[5..], [SubjectFirst, SubjectLast]);
    }
}
