//! What a model is made of: sizes and choices, read from its configuration. Nothing is computed here.

use retcon_kernels::activation::Activation;
use retcon_kernels::attention::Mask;
use retcon_kernels::rope::Pairing;

use crate::weight_id::Part;

/// The sizes and choices of one Transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The family that it belongs to.
    pub family: &'static str,
    /// Tokens in the vocabulary.
    pub n_vocab: usize,
    /// Blocks that run, each an attention and an MLP.
    pub n_blocks: usize,
    /// How blocks share weights; `None` where each has its own.
    pub groups: Option<Groups>,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the embeddings, where a linear map brings them to that of the residual stream
    /// and the head maps back (ALBERT); `None` where they have that width.
    pub factorized: Option<usize>,
    /// Width of the MLP's key: the input of its down-projection.
    pub d_mlp: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub d_head: usize,
    /// Positions that the model was made for.
    pub n_positions: usize,
    /// Which positions a position sees.
    pub mask: Mask,
    /// Per block, how many positions back a position sees, itself included; `None` is all.
    pub windows: Vec<Option<usize>>,
    /// Per block, what multiplies a query's product with a key.
    pub attention_scale: Vec<f64>,
    /// What that product then stays below, as `cap tanh(product / cap)`.
    pub attention_cap: Option<f64>,
    /// How hidden states are normalized.
    pub norm: Norm,
    /// Where they are normalized.
    pub norm_order: NormOrder,
    /// What the MLP of a block reads.
    pub residual: Residual,
    /// How queries and keys are normalized.
    pub qk_norm: QkNorm,
    /// How a position enters.
    pub position: Position,
    /// What multiplies the embeddings.
    pub embed_scale: f64,
    /// The MLP's nonlinearity.
    pub activation: Activation,
    /// Whether it multiplies a second projection of the input: `key = act(gate) * up`.
    pub gated: bool,
    /// Which linear maps have a bias.
    pub biases: Biases,
    /// Segments that embeddings distinguish, of which only the first is used; 0 for none.
    pub n_segments: usize,
    /// What turns the last hidden state into logits.
    pub head: Head,
    /// What logits stay below, as `cap tanh(logit / cap)`.
    pub logit_cap: Option<f64>,
    /// The sizes of its memory of facts, where it was given one.
    pub memory: Option<MemorySize>,
}

/// The sizes of a memory of facts (see [`crate::FactMemory`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySize {
    /// Subjects.
    pub n_subjects: usize,
    /// Relations.
    pub n_relations: usize,
}

/// Stored blocks that run more than once (ALBERT): the blocks of a group one after the other, that
/// several times, and then those of the next group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Groups; each has its share of the blocks that run.
    pub n_groups: usize,
    /// Stored blocks in a group.
    pub n_inner: usize,
}

/// A normalization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// `x / rms(x) * weight`.
    Rms {
        /// Added to the mean square.
        eps: f64,
    },
    /// `(x - mean(x)) / std(x) * weight + bias`.
    Layer {
        /// Added to the variance.
        eps: f64,
    },
}

/// Where a block normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// The input of attention and MLP; the residual stream is never touched.
    Pre,
    /// The residual stream, after each addition.
    Post,
    /// The input of attention and MLP, and their output before it is added.
    Sandwich,
    /// The output of attention and MLP, before it is added.
    Branch,
}

/// How queries and keys are normalized, before they are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// Not at all.
    None,
    /// Head by head.
    Heads,
    /// All heads in one.
    Whole,
}

/// What the MLP of a block reads. It is added to the residual stream after the attention either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// The residual stream with the attention's output.
    Sequential,
    /// The block's input, as the attention, normalized by a norm of its own (GPT-NeoX).
    Parallel,
    /// The block's input, normalized as the attention reads it (GPT-J).
    Shared,
}

/// How a position enters.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Queries and keys are rotated, in each block by its own.
    Rotary(Vec<Rotary>),
    /// A learned vector is added to the embedding.
    Learned,
}

/// A rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// The base of the wavelengths.
    pub theta: f64,
    /// How many of a head's numbers are rotated, from the first.
    pub width: usize,
    /// Which numbers form a pair.
    pub pairing: Pairing,
    /// How wavelengths are stretched for contexts longer than those of pretraining.
    pub scaling: Scaling,
    /// What is rotated is multiplied by this: 1, unless attention is to be sharper over a longer context.
    pub amplitude: f64,
}

/// A stretching of rotary wavelengths.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// None.
    None,
    /// All frequencies divided by a factor.
    Linear(f64),
    /// Low frequencies divided by a factor, high ones kept, a ramp between (Llama 3.1).
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are stretched whole.
        low: f64,
        /// Wavelengths below `original / high` are kept.
        high: f64,
        /// Positions of pretraining.
        original: f64,
    },
    /// Pairs that turn often over the positions of pretraining kept, those that hardly turn divided by a
    /// factor, a ramp over the pairs between (YaRN).
    Yarn {
        /// The divisor of low frequencies.
        factor: f64,
        /// Pairs that turn more often are kept.
        fast: f64,
        /// Pairs that turn less often are divided whole.
        slow: f64,
        /// Positions of pretraining.
        original: f64,
        /// Whether the ramp begins and ends at a pair.
        whole: bool,
    },
    /// Each frequency divided by a factor of its own (LongRoPE, and Llama 3.1 in GGUF files).
    Factors(Vec<f64>),
}

/// Which linear maps have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The attention's output.
    pub o: bool,
    /// The MLP's projections.
    pub mlp: bool,
}

/// What turns the last hidden state into logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// A product with the unembedding.
    Plain {
        /// Whether the unembedding is the embedding.
        tied: bool,
        /// Whether each token has a bias.
        bias: bool,
    },
    /// A dense layer, activation and normalization first, and a bias per token (BERT).
    MaskedLm {
        /// The dense layer's activation.
        activation: Activation,
        /// Whether the unembedding is the embedding.
        tied: bool,
    },
}

impl Head {
    /// Whether the unembedding is the embedding.
    #[must_use]
    pub fn is_tied(self) -> bool {
        match self {
            Self::Plain { tied, .. } | Self::MaskedLm { tied, .. } => tied,
        }
    }
}

impl Spec {
    /// Whether it continues text, as a decoder does, rather than filling masks: no position sees a later
    /// one.
    #[must_use]
    pub fn is_causal(&self) -> bool {
        self.mask == Mask::Causal
    }

    /// Width of the embeddings, and of what is multiplied with the unembedding.
    #[must_use]
    pub fn d_embed(&self) -> usize {
        self.factorized.unwrap_or(self.d_model)
    }

    /// Width of the norm of queries or keys that have `n_heads`.
    pub(crate) fn d_qk_norm(&self, n_heads: usize) -> usize {
        match self.qk_norm {
            QkNorm::Whole => n_heads * self.d_head,
            QkNorm::None | QkNorm::Heads => self.d_head,
        }
    }

    fn memory_size(&self) -> MemorySize {
        self.memory.unwrap_or_default()
    }

    /// Subjects in its memory, and one that stands for none.
    pub(crate) fn n_subjects(&self) -> usize {
        self.memory_size().n_subjects + 1
    }

    /// Relations in its memory, and one that stands for none.
    pub(crate) fn n_relations(&self) -> usize {
        self.memory_size().n_relations + 1
    }

    /// How many blocks have weights of their own.
    #[must_use]
    pub fn n_stored_blocks(&self) -> usize {
        self.groups.map_or(self.n_blocks, |groups| groups.n_groups * groups.n_inner)
    }

    /// The stored block whose weights the block `block` runs with.
    #[must_use]
    pub fn weights_of(&self, block: usize) -> usize {
        let Some(Groups { n_groups, n_inner }) = self.groups else { return block };
        let (round, inner) = (block / n_inner, block % n_inner);
        // Rounded as transformers does it (`modeling_albert.py`), which matters where the groups
        // don't divide the blocks.
        let per_group = (self.n_blocks / n_inner) as f64 / n_groups as f64;
        (round as f64 / per_group) as usize * n_inner + inner
    }

    /// The blocks that run with the weights of the stored block `stored`, ascending.
    pub fn runs_of(&self, stored: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.n_blocks).filter(move |&block| self.weights_of(block) == stored)
    }

    /// Whether a model of this kind has a weight.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        let layer_norm = matches!(self.norm, Norm::Layer { .. });
        let branch = self.norm_order == NormOrder::Branch;
        let outer = self.norm_order == NormOrder::Post;
        let own_mlp_norm = self.residual != Residual::Shared;
        let masked_lm = matches!(self.head, Head::MaskedLm { .. });
        match part {
            Part::Embed => true,
            Part::AttnNorm => !branch,
            Part::MlpNorm => !branch && own_mlp_norm,
            Part::Q | Part::K | Part::V | Part::O | Part::Up | Part::Down => true,
            Part::AttnNormBias => !branch && layer_norm,
            Part::MlpNormBias => !branch && own_mlp_norm && layer_norm,
            Part::Position => self.position == Position::Learned,
            Part::Segment => self.n_segments > 0,
            Part::AttnPostNorm | Part::MlpPostNorm => {
                branch || self.norm_order == NormOrder::Sandwich
            }
            Part::EmbedNorm => outer,
            Part::EmbedNormBias => outer && layer_norm,
            Part::EmbedMap | Part::EmbedMapBias => self.factorized.is_some(),
            Part::FinalNorm => !outer,
            Part::FinalNormBias => !outer && layer_norm,
            Part::QBias | Part::KBias | Part::VBias => self.biases.qkv,
            Part::OBias => self.biases.o,
            Part::UpBias | Part::DownBias => self.biases.mlp,
            Part::Gate => self.gated,
            Part::GateBias => self.gated && self.biases.mlp,
            Part::QNorm | Part::KNorm => self.qk_norm != QkNorm::None,
            Part::HeadDense | Part::HeadDenseBias | Part::HeadNorm | Part::HeadNormBias => {
                masked_lm
            }
            Part::Unembed => !self.head.is_tied(),
            Part::UnembedBias => masked_lm || matches!(self.head, Head::Plain { bias: true, .. }),
            Part::MemorySubject | Part::MemoryRelation => self.memory.is_some(),
            Part::MemoryQuery | Part::MemoryValue => self.memory.is_some(),
        }
    }
}
