//! The points of a forward pass that can be observed or changed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point of the forward pass. What passes there is `[n_rows, width]`, one row a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Site {
    /// What enters the first block.
    Embed,
    /// A point of a block, counted as they run, whichever weights it runs with.
    Block(usize, Spot),
    /// What is multiplied with the unembedding.
    Final,
}

/// A point of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spot {
    /// The block's input, `[n, d_model]`.
    In,
    /// The attention's input: normalized, in a pre-norm model, `[n, d_model]`.
    AttnIn,
    /// The mixed values, all heads, before the output projection, `[n, n_heads * d_head]`.
    AttnMix,
    /// The attention's output, before it is added, `[n, d_model]`.
    AttnOut,
    /// The residual stream with the attention's output, `[n, d_model]`: what the MLP reads, unless
    /// it reads the block's input, and what its output is added to.
    Mid,
    /// The MLP's input: normalized, in a pre-norm model, `[n, d_model]`.
    MlpIn,
    /// The up-projection's output, `[n, d_mlp]`.
    MlpUp,
    /// The gate's output before its activation, in a gated MLP, `[n, d_mlp]`.
    MlpGate,
    /// The down-projection's input: the key of the MLP seen as a memory, `[n, d_mlp]`.
    MlpKey,
    /// The down-projection's output, before it is added: the value, `[n, d_model]`.
    MlpOut,
    /// The block's output, `[n, d_model]`.
    Out,
}

impl Spot {
    /// All points, in the order in which they are passed.
    pub const ALL: &[Self] = &[
        Self::In,
        Self::AttnIn,
        Self::AttnMix,
        Self::AttnOut,
        Self::Mid,
        Self::MlpIn,
        Self::MlpUp,
        Self::MlpGate,
        Self::MlpKey,
        Self::MlpOut,
        Self::Out,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::AttnIn => "attn.in",
            Self::AttnMix => "attn.mix",
            Self::AttnOut => "attn.out",
            Self::Mid => "mid",
            Self::MlpIn => "mlp.in",
            Self::MlpUp => "mlp.up",
            Self::MlpGate => "mlp.gate",
            Self::MlpKey => "mlp.key",
            Self::MlpOut => "mlp.out",
            Self::Out => "out",
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => f.write_str("embed"),
            Self::Block(block, spot) => write!(f, "blocks.{block}.{}", spot.name()),
            Self::Final => f.write_str("final"),
        }
    }
}

/// A name that is no site's.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` names no site; expected one like `blocks.5.mlp.key`, `embed` or `final`")]
pub struct UnknownSite(String);

impl FromStr for Site {
    type Err = UnknownSite;

    fn from_str(name: &str) -> Result<Self, UnknownSite> {
        let unknown = || UnknownSite(name.to_owned());
        match name {
            "embed" => return Ok(Self::Embed),
            "final" => return Ok(Self::Final),
            _ => {}
        }
        let rest = name.strip_prefix("blocks.").ok_or_else(unknown)?;
        let (block, spot) = rest.split_once('.').ok_or_else(unknown)?;
        let block = block.parse().map_err(|_| unknown())?;
        let spot = Spot::ALL.iter().copied().find(|s| s.name() == spot).ok_or_else(unknown)?;
        Ok(Self::Block(block, spot))
    }
}

impl From<Site> for String {
    fn from(site: Site) -> Self {
        site.to_string()
    }
}

impl TryFrom<String> for Site {
    type Error = UnknownSite;

    fn try_from(name: String) -> Result<Self, UnknownSite> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        let spots = Spot::ALL.iter().map(|&spot| Site::Block(12, spot));
        for site in spots.chain([Site::Embed, Site::Final]) {
            assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
        }
        assert!("blocks.1".parse::<Site>().is_err());
        assert!("blocks.x.mid".parse::<Site>().is_err());
    }
}
