//! Names of weights, the same for every family and file format.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::spec::Spec;

/// A weight of a model, as `blocks.5.mlp.down` or `embed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct WeightId {
    /// The block, for a weight of one, as it is stored: where blocks share weights, several that
    /// run.
    pub block: Option<usize>,
    /// Which weight.
    pub part: Part,
}

impl WeightId {
    /// A weight outside the blocks.
    #[must_use]
    pub fn global(part: Part) -> Self {
        Self { block: None, part }
    }

    /// A weight of the stored block `block`.
    #[must_use]
    pub fn of_block(block: usize, part: Part) -> Self {
        Self { block: Some(block), part }
    }
}

/// What a weight belongs to: the granularity of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Queries, keys, values and the attention's output.
    Attention,
    /// The MLP's projections.
    Mlp,
    /// Normalizations anywhere.
    Norms,
    /// Token, position and segment embeddings; a tied one maps back to tokens too.
    Embeddings,
    /// What makes logits of the last hidden state, beside a tied embedding.
    Head,
    /// What finds facts in a memory and mixes them in.
    Memory,
}

macro_rules! parts {
    ($($(#[$doc:meta])* $part:ident $name:literal $place:ident $component:ident $shape:expr;)*) => {
        /// The role of a weight.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Part {
            $($(#[$doc])* $part,)*
        }

        impl Part {
            /// All roles.
            pub const ALL: &[Self] = &[$(Self::$part),*];

            /// Its name, without the block.
            pub fn name(self) -> &'static str {
                match self { $(Self::$part => $name,)* }
            }

            /// Whether each block has one of its own.
            pub fn is_per_block(self) -> bool {
                match self { $(Self::$part => Place::$place == Place::Block,)* }
            }

            /// What it belongs to.
            pub fn component(self) -> Component {
                match self { $(Self::$part => Component::$component,)* }
            }

            /// Its shape; `[d_out, d_in]` for a matrix.
            pub fn shape(self, spec: &Spec) -> Vec<usize> {
                let of: fn(&Spec) -> Vec<usize> = match self { $(Self::$part => $shape,)* };
                of(spec)
            }
        }
    };
}

#[derive(PartialEq)]
enum Place {
    Model,
    Block,
}

parts! {
    /// Token embeddings.
    Embed "embed" Model Embeddings |s| vec![s.n_vocab, s.d_embed()];
    /// Learned position embeddings.
    Position "position" Model Embeddings |s| vec![s.n_positions, s.d_embed()];
    /// Segment embeddings (BERT's token types).
    Segment "segment" Model Embeddings |s| vec![s.n_segments, s.d_embed()];
    /// The norm after the embeddings (BERT).
    EmbedNorm "embed_norm" Model Norms |s| vec![s.d_embed()];
    /// Its bias.
    EmbedNormBias "embed_norm.bias" Model Norms |s| vec![s.d_embed()];
    /// What maps embeddings to the residual stream (ALBERT).
    EmbedMap "embed_map" Model Embeddings |s| vec![s.d_model, s.d_embed()];
    /// Its bias.
    EmbedMapBias "embed_map.bias" Model Embeddings |s| vec![s.d_model];
    /// The attention's norm.
    AttnNorm "attn.norm" Block Norms |s| vec![s.d_model];
    /// Its bias.
    AttnNormBias "attn.norm.bias" Block Norms |s| vec![s.d_model];
    /// Queries.
    Q "attn.q" Block Attention |s| vec![s.n_heads * s.d_head, s.d_model];
    /// Their bias.
    QBias "attn.q.bias" Block Attention |s| vec![s.n_heads * s.d_head];
    /// Keys.
    K "attn.k" Block Attention |s| vec![s.n_kv_heads * s.d_head, s.d_model];
    /// Their bias.
    KBias "attn.k.bias" Block Attention |s| vec![s.n_kv_heads * s.d_head];
    /// Values.
    V "attn.v" Block Attention |s| vec![s.n_kv_heads * s.d_head, s.d_model];
    /// Their bias.
    VBias "attn.v.bias" Block Attention |s| vec![s.n_kv_heads * s.d_head];
    /// The norm of queries.
    QNorm "attn.q_norm" Block Norms |s| vec![s.d_qk_norm(s.n_heads)];
    /// The norm of keys.
    KNorm "attn.k_norm" Block Norms |s| vec![s.d_qk_norm(s.n_kv_heads)];
    /// The attention's output.
    O "attn.o" Block Attention |s| vec![s.d_model, s.n_heads * s.d_head];
    /// Its bias.
    OBias "attn.o.bias" Block Attention |s| vec![s.d_model];
    /// The norm of the attention's output, before it is added (Gemma 2).
    AttnPostNorm "attn.post_norm" Block Norms |s| vec![s.d_model];
    /// The MLP's norm.
    MlpNorm "mlp.norm" Block Norms |s| vec![s.d_model];
    /// Its bias.
    MlpNormBias "mlp.norm.bias" Block Norms |s| vec![s.d_model];
    /// The MLP's gate.
    Gate "mlp.gate" Block Mlp |s| vec![s.d_mlp, s.d_model];
    /// Its bias.
    GateBias "mlp.gate.bias" Block Mlp |s| vec![s.d_mlp];
    /// The MLP's up-projection.
    Up "mlp.up" Block Mlp |s| vec![s.d_mlp, s.d_model];
    /// Its bias.
    UpBias "mlp.up.bias" Block Mlp |s| vec![s.d_mlp];
    /// The MLP's down-projection: a key-value memory whose keys are its inputs.
    Down "mlp.down" Block Mlp |s| vec![s.d_model, s.d_mlp];
    /// Its bias.
    DownBias "mlp.down.bias" Block Mlp |s| vec![s.d_model];
    /// The norm of the MLP's output, before it is added (Gemma 2).
    MlpPostNorm "mlp.post_norm" Block Norms |s| vec![s.d_model];
    /// The norm after the last block.
    FinalNorm "final_norm" Model Norms |s| vec![s.d_model];
    /// Its bias.
    FinalNormBias "final_norm.bias" Model Norms |s| vec![s.d_model];
    /// The dense layer before the unembedding (BERT).
    HeadDense "head.dense" Model Head |s| vec![s.d_embed(), s.d_model];
    /// Its bias.
    HeadDenseBias "head.dense.bias" Model Head |s| vec![s.d_embed()];
    /// The norm before the unembedding (BERT).
    HeadNorm "head.norm" Model Head |s| vec![s.d_embed()];
    /// Its bias.
    HeadNormBias "head.norm.bias" Model Head |s| vec![s.d_embed()];
    /// What maps the last hidden state to logits, where it isn't the embedding.
    Unembed "unembed" Model Head |s| vec![s.n_vocab, s.d_embed()];
    /// The bias of the logits.
    UnembedBias "unembed.bias" Model Head |s| vec![s.n_vocab];
    /// What stands for the subjects of facts in keys of the memory; the last row for none.
    MemorySubject "memory.subject" Model Memory |s| vec![s.n_subjects(), s.d_embed()];
    /// What stands for their relations; the last row for none.
    MemoryRelation "memory.relation" Model Memory |s| vec![s.n_relations(), s.d_embed()];
    /// What makes a query to the memory.
    MemoryQuery "memory.query" Model Memory |s| vec![s.d_embed(), s.d_embed()];
    /// What makes a contribution to the prediction of the objects that were found.
    MemoryValue "memory.value" Model Memory |s| vec![s.d_embed(), s.d_embed()];
}

impl Part {
    /// The bias that belongs to a weight.
    #[must_use]
    pub fn bias(self) -> Option<Self> {
        Some(match self {
            Self::EmbedNorm => Self::EmbedNormBias,
            Self::EmbedMap => Self::EmbedMapBias,
            Self::AttnNorm => Self::AttnNormBias,
            Self::Q => Self::QBias,
            Self::K => Self::KBias,
            Self::V => Self::VBias,
            Self::O => Self::OBias,
            Self::MlpNorm => Self::MlpNormBias,
            Self::Gate => Self::GateBias,
            Self::Up => Self::UpBias,
            Self::Down => Self::DownBias,
            Self::FinalNorm => Self::FinalNormBias,
            Self::HeadDense => Self::HeadDenseBias,
            Self::HeadNorm => Self::HeadNormBias,
            Self::Unembed => Self::UnembedBias,
            _ => return None,
        })
    }

    /// Whether it scales what a norm has normalized.
    #[must_use]
    pub fn is_norm(self) -> bool {
        use Part::{AttnNorm, AttnPostNorm, MlpNorm, MlpPostNorm};
        use Part::{EmbedNorm, FinalNorm, HeadNorm, KNorm, QNorm};
        matches!(self, AttnNorm | AttnPostNorm | MlpNorm | MlpPostNorm | QNorm | KNorm)
            || matches!(self, EmbedNorm | FinalNorm | HeadNorm)
    }

    /// Whether it is a table with a row for each token, position or segment.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(
            self,
            Self::Embed
                | Self::Position
                | Self::Segment
                | Self::MemorySubject
                | Self::MemoryRelation
        )
    }

    /// Whether it is a matrix that maps hidden states.
    #[must_use]
    pub fn is_linear(self) -> bool {
        use Part::{
            Down, EmbedMap, Gate, HeadDense, K, MemoryQuery, MemoryValue, O, Q, Unembed, Up, V,
        };
        matches!(self, EmbedMap | Q | K | V | O | Gate | Up | Down | HeadDense | Unembed)
            || matches!(self, MemoryQuery | MemoryValue)
    }
}

impl fmt::Display for WeightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some(block) => write!(f, "blocks.{block}.{}", self.part.name()),
            None => f.write_str(self.part.name()),
        }
    }
}

/// A name that is no weight's.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` names no weight; expected one like `blocks.5.mlp.down` or `embed`")]
pub struct UnknownWeight(String);

impl FromStr for WeightId {
    type Err = UnknownWeight;

    fn from_str(name: &str) -> Result<Self, UnknownWeight> {
        let unknown = || UnknownWeight(name.to_owned());
        let (block, part) = match name.strip_prefix("blocks.") {
            Some(rest) => {
                let (block, part) = rest.split_once('.').ok_or_else(unknown)?;
                (Some(block.parse().map_err(|_| unknown())?), part)
            }
            None => (None, name),
        };
        let part = Part::ALL.iter().copied().find(|p| p.name() == part).ok_or_else(unknown)?;
        if part.is_per_block() != block.is_some() {
            return Err(unknown());
        }
        Ok(Self { block, part })
    }
}

impl From<WeightId> for String {
    fn from(id: WeightId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for WeightId {
    type Error = UnknownWeight;

    fn try_from(name: String) -> Result<Self, UnknownWeight> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for &part in Part::ALL {
            let id = WeightId { block: part.is_per_block().then_some(7), part };
            assert_eq!(id.to_string().parse::<WeightId>().unwrap(), id);
        }
    }

    #[test]
    fn a_bias_is_named_after_its_weight() {
        for &part in Part::ALL {
            let bias = format!("{}.bias", part.name());
            let named = Part::ALL.iter().copied().find(|p| p.name() == bias);
            assert_eq!(part.bias().filter(|_| named.is_some()), named, "{}", part.name());
        }
    }

    #[test]
    fn names_of_no_weight_are_refused() {
        for name in ["", "blocks", "blocks.1", "blocks.x.attn.q", "attn.q", "blocks.1.embed", "w"] {
            assert!(name.parse::<WeightId>().is_err(), "{name}");
        }
    }
}
