//! Causal tracing: the subject is hidden in noise, one state is restored, the answer is watched.
//!
//! Source: Meng et al. 2022, *Locating and Editing Factual Associations in GPT*, arXiv 2202.05262,
//! and its code.

use std::fmt;
use std::str::FromStr;

use retcon_model::{Model, Spot};
use serde::Serialize;

use super::patch::scores;
use super::question::{Question, Token};
use super::runs::Runs;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// What is restored at a token and a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The block's output.
    Hidden,
    /// The outputs of the MLPs of a window of blocks around it.
    Mlp,
    /// The outputs of the attention of such a window.
    Attention,
    /// The block's output, while the outputs of the token's MLPs stay as they are in the noise.
    SeveredMlp,
    /// The block's output, while the outputs of the token's attention stay so.
    SeveredAttention,
}

impl Kind {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Hidden, Self::Mlp, Self::Attention, Self::SeveredMlp, Self::SeveredAttention];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Mlp => "mlp",
            Self::Attention => "attention",
            Self::SeveredMlp => "severed-mlp",
            Self::SeveredAttention => "severed-attention",
        }
    }

    /// Where the part of a block puts what this is about, unless that is the whole block.
    pub(super) fn module(self) -> Option<Spot> {
        match self {
            Self::Hidden => None,
            Self::Mlp | Self::SeveredMlp => Some(Spot::MlpOut),
            Self::Attention | Self::SeveredAttention => Some(Spot::AttnOut),
        }
    }

    /// Whether the outputs of a window of blocks are restored, rather than that of the block.
    pub(super) fn is_window(self) -> bool {
        matches!(self, Self::Mlp | Self::Attention)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            Error::bad_setting("kind", names.join(", "), name)
        })
    }
}

/// How a question is traced.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// What is restored; all that are wanted share the runs in which nothing is.
    pub kinds: Vec<Kind>,
    /// The standard deviation of the noise.
    pub noise: f64,
    /// How many draws of it are averaged over.
    pub samples: usize,
    /// How many blocks a window has.
    pub window: usize,
}

impl Settings {
    /// What has no meaning in them.
    ///
    /// # Errors
    /// [`Error::BadSetting`].
    pub fn check(&self) -> Result<()> {
        if !(self.noise > 0.0 && self.noise.is_finite()) {
            return Err(Error::bad_setting("noise", "a number above 0", self.noise));
        }
        if self.samples == 0 {
            return Err(Error::bad_setting("samples", "at least 1", 0));
        }
        if self.window == 0 {
            return Err(Error::bad_setting("window", "at least 1", 0));
        }
        Ok(())
    }
}

/// What restoring the states of a question does, one by one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trace {
    /// The prompt, its subject in braces.
    pub prompt: String,
    /// The answer.
    pub object: String,
    /// The token that the model finds most likely.
    pub says: String,
    /// Whether the answer is what the model says.
    pub leads: bool,
    /// The prompt's tokens.
    pub tokens: Vec<Token>,
    /// The answer's probability with the subject hidden, the mean over the draws of noise.
    pub low: f64,
    /// That without noise.
    pub high: f64,
    /// One for each kind, in the order in which they were asked for.
    pub maps: Vec<Map>,
}

/// What restoring states of one kind does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// What was restored.
    pub kind: Kind,
    /// For each token and block, the answer's probability with that state restored, the mean over
    /// the draws of noise.
    pub scores: Vec<Vec<f64>>,
}

/// The block where restoring a token's state brings back most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Peak {
    /// The token's index.
    pub token: usize,
    /// The block.
    pub block: usize,
    /// The answer's probability with that state restored.
    pub score: f64,
}

impl Map {
    /// For each token, its strongest cell; the first of equal ones.
    #[must_use]
    pub fn peaks(&self) -> Vec<Peak> {
        let peak = |(token, scores): (usize, &Vec<f64>)| {
            let first = Peak { token, block: 0, score: f64::NEG_INFINITY };
            scores.iter().enumerate().fold(first, |peak, (block, &score)| {
                if score > peak.score { Peak { block, score, ..peak } } else { peak }
            })
        };
        self.scores.iter().enumerate().map(peak).collect()
    }
}

impl Trace {
    /// How much of the answer's probability the noise takes.
    #[must_use]
    pub fn total_effect(&self) -> f64 {
        self.high - self.low
    }
}

/// Traces `question` through `model`. `ctx.seed` is that of the noise: the same draws hide the
/// subject whatever is restored, so that cells can be compared.
///
/// # Errors
/// [`Error::BadSetting`], [`crate::data::Error::NoSubject`] where the prompt has none,
/// [`Error::Canceled`], and what the model reports.
pub fn trace(
    ctx: &Ctx<'_>,
    model: &Model,
    question: &Question,
    settings: &Settings,
) -> Result<Trace> {
    settings.check()?;
    let runs = Runs::new(ctx.seed, model, question, settings)?;
    let map = |&kind: &Kind| Ok(Map { kind, scores: scores(ctx, &runs, kind, settings.window)? });
    Ok(Trace {
        prompt: question.prompt.marked(),
        object: question.object.clone(),
        says: question.says.clone(),
        leads: question.leads,
        tokens: question.tokens(model)?,
        low: runs.low,
        high: runs.high,
        maps: settings.kinds.iter().map(map).collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for &kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert!("all".parse::<Kind>().is_err());
    }

    #[test]
    fn a_peak_is_the_first_of_the_highest() {
        let map = Map { kind: Kind::Hidden, scores: vec![vec![0.1, 0.3, 0.3], vec![0.0; 3]] };
        let peaks = map.peaks();
        assert_eq!(peaks[0], Peak { token: 0, block: 1, score: 0.3 });
        assert_eq!(peaks[1], Peak { token: 1, block: 0, score: 0.0 });
    }
}
