//! The settings of a closed form; a published method is a row of them.

use std::fmt;

use faer::Mat;
use retcon_model::spec::NormOrder;
use retcon_model::{Model, Spot};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::anchor::{Anchor, NamedAnchor};
use super::subject::Average;
use super::value::{Search, Stop};
use crate::edit::scope::Blocks;
use crate::error::{Error, Result};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The blocks that change, one after another; the value is searched at the last.
    pub blocks: Blocks,
    /// Words before the prompt; made where they are not given.
    pub prefixes: Option<Vec<String>>,
    /// The lengths in tokens of those that are made.
    pub prefix_tokens: Vec<usize>,
    /// How a subject's situations are averaged.
    pub average: Average,
    /// Whether facts about one subject share a value.
    pub merge_subjects: bool,
    /// Where the value is searched.
    pub site: ValueSite,
    /// Times that the objective of a value is computed.
    pub steps: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// The weight of the divergence.
    pub kl: f64,
    /// The weight of the offset's norm.
    pub decay: f64,
    /// How long an offset may be, in norms of what is there.
    pub clamp: f64,
    /// The objective at which a value is good enough.
    pub stop_loss: f64,
    /// Or how often all tokens have to lead.
    pub stop_leads: Option<usize>,
    /// The divergence above which that is not enough.
    pub stop_kl: Option<f64>,
    /// What the likelihood counts while all tokens lead.
    pub weight_when_leading: f64,
    /// The norm that values are brought to.
    pub anchor: Anchor,
    /// Whose value a value replaces.
    pub start: Of,
    /// Where it is measured what is still missing.
    pub present: Of,
    /// Through which key the value has to come out.
    pub through: Of,
    /// What makes a change small.
    pub metric: MetricName,
    /// What counts as nothing, of an eigenvalue of the second moment.
    pub threshold: f64,
    /// How soft the constraint is. Where it is not given it is what an average key has in the metric, so
    /// that half of what is missing is written; so does the lambda of 15,000 that was published for MLPs
    /// about as wide.
    pub mu: Option<f64>,
    /// What is added to the second moment's diagonal.
    pub ridge: f64,
    /// Whether the keys of earlier edits are protected, and these are handed on.
    pub past: bool,
    /// How what is missing is spread over the blocks.
    pub spread: Spread,
    /// The share of a change's numbers that is kept, those that change most in proportion.
    pub keep: Option<f64>,
    /// The base of the logarithm that condenses large singular values.
    pub condense: Option<f64>,
}

/// Where a value is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueSite {
    /// At the MLP's output.
    Mlp,
    /// At the block's output.
    Block,
    /// At the outputs of MLP and attention, of which the first is written.
    MlpAndAttention,
}

impl fmt::Display for ValueSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mlp => "mlp",
            Self::Block => "block",
            Self::MlpAndAttention => "mlp-and-attention",
        })
    }
}

/// Situations of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The bare prompt.
    Bare,
    /// All of them.
    All,
}

/// A metric, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricName {
    /// The second moment of the keys.
    Moment,
    /// None.
    Identity,
    /// A null space of that moment.
    NullSpace,
}

/// A spread over blocks, of which `n` are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// One part in `n`.
    Even,
    /// One part in the root of `n`.
    Root,
}

/// Each setting, and what it means.
pub const SETTINGS: &[(&str, &str)] = &[
    ("blocks", "blocks that change, the last holds the value: auto (by depth), or 5 or 4-8"),
    (
        "prefixes",
        "words before the prompt that an edit has to hold after; null: written by the model",
    ),
    ("prefix_tokens", "the length in tokens of each prefix that the model writes"),
    (
        "average",
        "how a key's situations count: all alike, or halves: the bare prompt as much as the rest",
    ),
    ("merge_subjects", "whether facts about one subject share one value"),
    ("site", "where the value is searched: mlp, block, mlp-and-attention"),
    ("steps", "times that a value's objective is computed, at most"),
    ("learning_rate", "Adam's step size for values"),
    ("kl", "the weight of what must not change about the subject"),
    ("decay", "the weight of the offset's length"),
    ("clamp", "how long an offset may be, in lengths of what is there"),
    ("stop_loss", "the objective at which a value is good enough"),
    ("stop_leads", "or: how often in a row all tokens have to lead (ENCORE); null: never enough"),
    ("stop_kl", "the divergence above which stop_leads is not enough (PMET); null: none"),
    ("weight_when_leading", "what the likelihood counts once all tokens lead (PMET)"),
    ("anchor", "the length that values are brought to (NAS): none, auto, or a number"),
    ("start", "what an offset is added to: the value of the bare prompt, or of all situations"),
    ("present", "where it is measured what is missing: at the bare prompt, or in all situations"),
    (
        "through",
        "the key through which the value comes out: that of all situations, or of the bare prompt",
    ),
    ("metric", "what makes a change small: moment (of keys), identity, null-space"),
    ("threshold", "below it an eigenvalue of the moment counts as nothing (null-space)"),
    (
        "mu",
        "how soft the constraint is: 0 is hard; MEMIT's lambda, AlphaEdit's L2; null: what an average \
         key has in the metric, of moment its width",
    ),
    ("ridge", "what is added to the moment's diagonal (ENCORE: beta over lambda)"),
    ("past", "whether keys of earlier edits are protected, and these are handed on"),
    (
        "spread",
        "what a block takes of what is missing, n blocks left: even (1/n), root (1 over its root)",
    ),
    ("keep", "the share of numbers that is kept, by relative change (RECT); null: all"),
    ("condense", "the base of the logarithm for large singular values (PRUNE); null: as they are"),
];

impl Recipe {
    /// What most of them have in common: MEMIT with the numbers that EasyEdit has for models like
    /// Llama, searched at the output of the last block.
    #[must_use]
    pub fn memit() -> Self {
        Self {
            blocks: Blocks::Auto,
            prefixes: None,
            prefix_tokens: vec![10; 5],
            average: Average::Halves,
            merge_subjects: true,
            site: ValueSite::Block,
            steps: 25,
            learning_rate: 0.5,
            kl: 0.0625,
            decay: 1e-3,
            clamp: 4.0,
            stop_loss: 0.05,
            stop_leads: None,
            stop_kl: None,
            weight_when_leading: 1.0,
            anchor: Anchor::Named(NamedAnchor::None),
            start: Of::Bare,
            present: Of::Bare,
            through: Of::All,
            metric: MetricName::Moment,
            threshold: 0.02,
            mu: None,
            ridge: 0.0,
            past: false,
            spread: Spread::Even,
            keep: None,
            condense: None,
        }
    }

    /// A method's own settings, with those that are `given` in their place.
    ///
    /// # Errors
    /// [`Error::BadSettings`] for an unknown key or a wrong type, [`Error::BadSetting`] for a number
    /// that means nothing.
    pub fn given(self, method: &'static str, given: Map<String, Value>) -> Result<Self> {
        let recipe = crate::edit::settings(method, &self, given)?;
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<()> {
        let at_least_zero = [
            ("kl", self.kl),
            ("decay", self.decay),
            ("mu", self.mu.unwrap_or_default()),
            ("ridge", self.ridge),
            ("stop_loss", self.stop_loss),
            ("weight_when_leading", self.weight_when_leading),
        ];
        for (key, value) in at_least_zero {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::bad_setting(key, "a number that is not negative", value));
            }
        }
        crate::edit::positive("learning_rate", self.learning_rate)?;
        crate::edit::positive("clamp", self.clamp)?;
        crate::edit::positive("threshold", self.threshold)?;
        if let Some(keep) = self.keep.filter(|keep| !(*keep > 0.0 && *keep <= 1.0)) {
            return Err(Error::bad_setting("keep", "a share above 0 and up to 1", keep));
        }
        if let Some(base) = self.condense.filter(|base| !(*base > 1.0 && base.is_finite())) {
            return Err(Error::bad_setting("condense", "a number above 1", base));
        }
        if self.through == Of::Bare && (self.mu != Some(0.0) || self.past) {
            return Err(Error::bad_setting(
                "through",
                "all, unless mu is 0 and past is false",
                "bare",
            ));
        }
        if let (Some(kl), None) = (self.stop_kl, self.stop_leads) {
            return Err(Error::bad_setting("stop_kl", "null, unless stop_leads is set", kl));
        }
        if let Some(n) = self.prefix_tokens.iter().find(|n| !(1..=100).contains(*n)) {
            return Err(Error::bad_setting("prefix_tokens", "lengths from 1 to 100", n));
        }
        Ok(())
    }

    /// Makes sure that the edits of `n` subjects can be solved for at once.
    ///
    /// # Errors
    /// [`Error::SeveralSubjects`] for ROME's published code and several: it writes one edit after
    /// another, each with the key and the value of the model that the one before left.
    pub(super) fn check_subjects(&self, n: usize) -> Result<()> {
        if self.through == Of::All || n <= 1 {
            return Ok(());
        }
        Err(Error::SeveralSubjects { n })
    }

    /// The blocks that change, ascending. By depth, where nothing else is said: one at a fifth of it,
    /// or five that end at three tenths, which is where the published ones lie.
    ///
    /// # Errors
    /// [`Error::BadSetting`] where a block is not there, or there are several in a model whose MLP's
    /// output is normalized before it is added, so that what is missing can't be shared out.
    pub fn blocks(&self, model: &Model) -> Result<Vec<usize>> {
        let spec = model.spec();
        let n = spec.n_blocks;
        if spec.groups.is_some() {
            return Err(Error::SharedBlocks { family: spec.family });
        }
        let is_pre = spec.norm_order == NormOrder::Pre;
        let blocks = match (&self.blocks, self.site) {
            (Blocks::Auto, ValueSite::Mlp) => vec![n / 5],
            (Blocks::Auto, _) if !is_pre => vec![n / 5],
            (Blocks::Auto, _) => {
                // After the last block nothing is left that could read the value.
                let last = (n * 3).div_ceil(10).min(n.saturating_sub(2));
                (last.saturating_sub(4)..=last).collect()
            }
            (blocks, _) => blocks.resolve(n)?,
        };
        if blocks.len() > 1 && !is_pre {
            let expected = "one block: this model normalizes what its MLPs add";
            return Err(Error::bad_setting("blocks", expected, &self.blocks));
        }
        Ok(blocks)
    }

    /// The sites at which a value is searched in `model`. Where the MLP's output is normalized before
    /// it is added, an offset to the block's output is none to the MLP's, so the latter is taken.
    #[must_use]
    pub fn spots(&self, model: &Model) -> Vec<Spot> {
        match self.site {
            ValueSite::Block if model.spec().norm_order == NormOrder::Pre => vec![Spot::Out],
            ValueSite::Block | ValueSite::Mlp => vec![Spot::MlpOut],
            ValueSite::MlpAndAttention => vec![Spot::MlpOut, Spot::AttnOut],
        }
    }

    /// How values are searched at the last of `blocks`, for all of these to change.
    ///
    /// # Panics
    /// Where there are none.
    #[must_use]
    pub fn search(&self, model: &Model, blocks: &[usize]) -> Search {
        Search {
            block: blocks[blocks.len() - 1],
            first_changed: blocks[0],
            spots: self.spots(model),
            steps: self.steps,
            learning_rate: self.learning_rate,
            kl: self.kl,
            decay: self.decay,
            clamp: self.clamp,
            stop: Stop {
                loss: self.stop_loss,
                leads: self.stop_leads,
                kl: self.stop_kl.unwrap_or(f64::INFINITY),
                weight_when_leading: self.weight_when_leading,
            },
        }
    }
}

/// The part of what is missing that one of `n_left` blocks takes.
impl Spread {
    pub(super) fn part(self, n_left: usize) -> f64 {
        match self {
            Self::Even => 1.0 / n_left as f64,
            Self::Root => (n_left as f64).sqrt().recip(),
        }
    }
}

/// Values brought to the norm `anchor`, and those that are more than twice as long dropped; a column
/// each.
pub(super) fn anchored(values: &mut Mat<f64>, before: &Mat<f64>, anchor: f64) -> usize {
    let mut n_dropped = 0;
    for i in 0..values.ncols() {
        let norm = values.col(i).norm_l2();
        let is_dropped = norm > 2.0 * anchor;
        n_dropped += usize::from(is_dropped);
        for row in 0..values.nrows() {
            values[(row, i)] = match is_dropped {
                true => before[(row, i)],
                false => values[(row, i)] * anchor / norm,
            };
        }
    }
    n_dropped
}
