//! Which weights a method may change: chosen blocks times chosen components.

use std::fmt;
use std::str::FromStr;

use retcon_model::{Component, Model, Part, WeightId};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which weights a method may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The blocks, counted as they are stored: one that several share is one, and all of them
    /// change with it.
    pub blocks: Blocks,
    /// What of them, and of what lies outside of them.
    pub components: Vec<Target>,
}

/// A choice of blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "Written")]
pub enum Blocks {
    /// The one at two thirds of the depth.
    Auto,
    /// Every one.
    All,
    /// These, from 0; negative ones count from the end.
    These(Vec<isize>),
}

/// A part of a block, or what lies outside of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Queries, keys, values and output of the attention.
    Attention,
    /// Queries and values alone.
    AttentionQv,
    /// The MLP's projections.
    Mlp,
    /// What leads into the MLP alone: its up-projection and its gate.
    MlpUp,
    /// The MLP's down-projection alone.
    MlpDown,
    /// The norms of the chosen blocks; with all blocks, those outside too.
    Norms,
    /// Token, position and segment embeddings, whatever the blocks.
    Embeddings,
    /// What makes logits of the last hidden state, beside a tied embedding, whatever the blocks.
    Head,
    /// What finds facts in a memory and mixes them in, whatever the blocks.
    Memory,
    /// Everything in the chosen blocks; with all blocks, everything.
    All,
}

impl Target {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Attention,
        Self::AttentionQv,
        Self::Mlp,
        Self::MlpUp,
        Self::MlpDown,
        Self::Norms,
        Self::Embeddings,
        Self::Head,
        Self::Memory,
        Self::All,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::AttentionQv => "attention-qv",
            Self::Mlp => "mlp",
            Self::MlpUp => "mlp-up",
            Self::MlpDown => "mlp-down",
            Self::Norms => "norms",
            Self::Embeddings => "embeddings",
            Self::Head => "head",
            Self::Memory => "memory",
            Self::All => "all",
        }
    }

    /// Whether it lies outside of the blocks, whichever are chosen.
    #[must_use]
    pub fn is_outside(self) -> bool {
        matches!(self, Self::Embeddings | Self::Head | Self::Memory)
    }

    fn covers(self, id: WeightId, all_blocks: bool) -> bool {
        let inside = id.block.is_some();
        match self {
            Self::Attention => id.part.component() == Component::Attention,
            Self::AttentionQv => {
                matches!(id.part, Part::Q | Part::QBias | Part::V | Part::VBias)
            }
            Self::Mlp => id.part.component() == Component::Mlp,
            Self::MlpUp => {
                matches!(id.part, Part::Up | Part::UpBias | Part::Gate | Part::GateBias)
            }
            Self::MlpDown => matches!(id.part, Part::Down | Part::DownBias),
            Self::Norms => id.part.component() == Component::Norms && (inside || all_blocks),
            Self::Embeddings => id.part.component() == Component::Embeddings,
            Self::Head => id.part.component() == Component::Head,
            Self::Memory => id.part.component() == Component::Memory,
            Self::All => inside || all_blocks,
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|target| target.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|target| target.name()).collect();
            Error::bad_setting("components", known.join(", "), name)
        })
    }
}

impl Scope {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { blocks: Blocks::All, components: vec![Target::All] }
    }

    /// The weights of `model` that it covers, in order.
    ///
    /// # Errors
    /// [`Error::BadSetting`] where a block is not there or nothing is covered.
    pub fn weights(&self, model: &Model) -> Result<Vec<WeightId>> {
        let blocks = self.blocks.resolve(model.spec().n_stored_blocks())?;
        let all_blocks = self.blocks == Blocks::All;
        let covered = |id: WeightId| {
            id.block.is_none_or(|block| blocks.contains(&block))
                && self.components.iter().any(|target| target.covers(id, all_blocks))
        };
        let ids: Vec<_> =
            model.weights().iter().map(|(id, _)| id).filter(|&id| covered(id)).collect();
        if ids.is_empty() {
            return Err(Error::bad_setting("components", "something that the model has", self));
        }
        Ok(ids)
    }
}

impl Blocks {
    /// The indices of the blocks, ascending, in a model that stores `n_blocks`.
    ///
    /// # Errors
    /// [`Error::BadSetting`] where one is not there.
    pub fn resolve(&self, n_blocks: usize) -> Result<Vec<usize>> {
        let mut blocks = match self {
            Self::Auto => vec![n_blocks * 2 / 3],
            Self::All => (0..n_blocks).collect(),
            Self::These(blocks) if blocks.is_empty() => {
                return Err(Error::bad_setting("blocks", "one block at least", "none"));
            }
            Self::These(blocks) => {
                let place = |&block: &isize| {
                    let from_start = if block < 0 { block + n_blocks as isize } else { block };
                    usize::try_from(from_start).ok().filter(|&b| b < n_blocks).ok_or_else(|| {
                        let expected = format!("blocks from 0 to {}", n_blocks - 1);
                        Error::bad_setting("blocks", expected, block)
                    })
                };
                blocks.iter().map(place).collect::<Result<_>>()?
            }
        };
        blocks.sort_unstable();
        blocks.dedup();
        Ok(blocks)
    }
}

impl FromStr for Blocks {
    type Err = Error;

    /// `auto`, `all`, or a list such as `3`, `-1`, `0,5`, `4-7`.
    fn from_str(text: &str) -> Result<Self> {
        let expected = "auto, all, or blocks such as 3 or 0,5 or 4-7 or -1";
        let bad = || Error::bad_setting("blocks", expected, text);
        match text.trim() {
            "auto" => return Ok(Self::Auto),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let mut blocks = Vec::new();
        for item in text.split(',').map(str::trim) {
            // A leading minus is a sign, a later one a range.
            match item.char_indices().skip(1).find(|&(_, c)| c == '-') {
                Some((dash, _)) => {
                    let from: isize = item[..dash].parse().map_err(|_| bad())?;
                    let to: isize = item[dash + 1..].parse().map_err(|_| bad())?;
                    const MOST: isize = 10_000;
                    if from < 0 || to < from || to > MOST {
                        return Err(bad());
                    }
                    blocks.extend(from..=to);
                }
                None => blocks.push(item.parse().map_err(|_| bad())?),
            }
        }
        Ok(Self::These(blocks))
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::These(blocks) => {
                let blocks: Vec<_> = blocks.iter().map(ToString::to_string).collect();
                f.write_str(&blocks.join(","))
            }
        }
    }
}

impl From<Blocks> for String {
    fn from(blocks: Blocks) -> Self {
        blocks.to_string()
    }
}

/// The ways to write a choice of blocks in JSON: `"4-7"`, `4`, `[4, 5]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "auto, all, a block, or a list of blocks")]
enum Written {
    Text(String),
    One(isize),
    Many(Vec<isize>),
}

impl TryFrom<Written> for Blocks {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Text(text) => text.parse(),
            Written::One(block) => Ok(Self::These(vec![block])),
            Written::Many(blocks) => Ok(Self::These(blocks)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components: Vec<_> = self.components.iter().map(|target| target.name()).collect();
        write!(f, "{} of blocks {}", components.join(" and "), self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_people_write_them() {
        let resolve = |text: &str| text.parse::<Blocks>().and_then(|blocks| blocks.resolve(12));
        assert_eq!(resolve("auto").unwrap(), [8]);
        assert_eq!(resolve("all").unwrap().len(), 12);
        assert_eq!(resolve("-1, 0").unwrap(), [0, 11]);
        assert_eq!(resolve("4-6,5").unwrap(), [4, 5, 6]);
        for wrong in ["12", "-13", "x", "", "5-3", "1-2-3"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["auto", "all", "1,-2"] {
            assert_eq!(text.parse::<Blocks>().unwrap().to_string(), text);
        }
        for &target in Target::ALL {
            assert_eq!(target.name().parse::<Target>().unwrap(), target);
        }
    }
}
