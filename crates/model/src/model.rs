//! A model that runs: its sizes, weights and tokenizer, and the checkpoint that they came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_kernels::rope::Rotary;

use crate::checkpoint::Checkpoint;
use crate::delta::Delta;
use crate::error::Result;
use crate::load::{self, Source};
use crate::memory::FactMemory;
use crate::random::Random;
use crate::rotary;
use crate::spec::{Position, Spec};
use crate::tokenizer::Tokenizer;
use crate::update::Update;
use crate::weight_id::{Part, WeightId};
use crate::weights::{Param, Weights};

/// A Transformer language model. Clones, edited or not, share the numbers of the base.
#[derive(Clone)]
pub struct Model {
    pub(crate) spec: Arc<Spec>,
    pub(crate) weights: Weights,
    tokenizer: Arc<Tokenizer>,
    /// One a block, where positions enter so.
    rotary: Arc<[Rotary]>,
    source: Arc<Source>,
    device: Device,
    deltas: Vec<Arc<Delta>>,
    pub(crate) memory: Option<Arc<FactMemory>>,
}

/// What tells it apart; its numbers would fill screens.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("path", &self.source.checkpoint.path)
            .field("spec", &self.spec)
            .field("n_deltas", &self.deltas.len())
            .finish_non_exhaustive()
    }
}

/// How weights are held in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the checkpoint stores them: mapped and decoded on use on the CPU, the stored half
    /// precision elsewhere.
    #[default]
    Stored,
    /// In this type.
    As(DType),
}

/// How to load a model.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it runs.
    pub device: Device,
    /// How its weights are held.
    pub precision: Precision,
    /// Draws weights that the checkpoint lacks.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Precision::Stored, seed: 0 }
    }
}

impl Model {
    /// Opens the Hugging Face folder or GGUF file at `path`.
    ///
    /// # Errors
    /// Whatever is wrong with it, named: [`crate::Error::UnknownFamily`], [`crate::Error::MissingTensor`],
    /// [`crate::Error::TensorMismatch`], [`crate::Error::UnexpectedTensor`], and those of
    /// [`Checkpoint::open`].
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Self::of(Checkpoint::open(path.as_ref())?, options)
    }

    /// The model in an opened checkpoint.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn of(checkpoint: Checkpoint, options: &Options) -> Result<Self> {
        // Tokenizers of many words take a while to build, and nothing else needs them.
        let (loaded, tokenizer) =
            rayon::join(|| load::load(&checkpoint, options), || checkpoint.tokenizer());
        let (spec, weights, plan) = loaded?;
        let rotary = match &spec.position {
            Position::Rotary(blocks) => rotary::tables(blocks),
            Position::Learned => Vec::new(),
        };
        Ok(Self {
            spec: Arc::new(spec),
            weights,
            tokenizer: Arc::new(tokenizer?),
            rotary: rotary.into(),
            source: Arc::new(Source::new(checkpoint, plan)),
            device: options.device.clone(),
            deltas: Vec::new(),
            memory: None,
        })
    }

    /// Its sizes and choices.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its weights.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Its tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The checkpoint that it came from, and where its weights lie in it.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The deltas that it carries, in the order in which they were laid on.
    #[must_use]
    pub fn deltas(&self) -> &[Arc<Delta>] {
        &self.deltas
    }

    /// The model without any delta.
    #[must_use]
    pub fn base(&self) -> Self {
        Self { weights: self.weights.without_updates(), deltas: Vec::new(), ..self.clone() }
    }

    /// This model with one more delta. The base is shared, and dropping the result undoes it.
    ///
    /// # Errors
    /// [`crate::Error::WrongBase`] where the delta was made for other weights.
    pub fn with(&self, delta: impl Into<Arc<Delta>>) -> Result<Self> {
        let delta = delta.into();
        delta.check_base(self)?;
        let mut edited = self.with_updates(&delta.updates)?;
        edited.deltas.push(delta);
        Ok(edited)
    }

    /// This model with changes that belong to no delta yet, for a method that has to see how far it
    /// has come.
    ///
    /// # Errors
    /// [`crate::Error::NoWeight`], or [`crate::Error::TensorMismatch`] where the shapes differ.
    pub fn with_updates(&self, updates: &BTreeMap<WeightId, Update>) -> Result<Self> {
        let mut edited = self.clone();
        for (&id, update) in updates {
            edited.weights.add_update(id, update)?;
        }
        Ok(edited)
    }

    /// This model with unknowns in the place of some weights, to differentiate by.
    ///
    /// # Errors
    /// [`crate::Error::NoWeight`].
    pub fn with_unknowns(&self, unknowns: &BTreeMap<WeightId, Var>) -> Result<Self> {
        let mut open = self.clone();
        for (&id, unknown) in unknowns {
            open.weights.set_unknown(id, unknown.clone())?;
        }
        Ok(open)
    }

    /// This model with a product of unknown factors beside some matrices of its blocks, `[d_out, rank]`
    /// and `[rank, d_in]`, to differentiate by.
    ///
    /// # Errors
    /// [`crate::Error::NoWeight`].
    pub fn with_unknown_factors(&self, factors: &BTreeMap<WeightId, (Var, Var)>) -> Result<Self> {
        let mut open = self.clone();
        for (&id, (left, right)) in factors {
            open.weights.set_beside(id, left.clone(), right.clone())?;
        }
        Ok(open)
    }

    /// This model with other numbers in the place of some weights, as after training. There is no
    /// way back from it, and no delta can be made for it: it is no longer what its checkpoint says.
    ///
    /// # Errors
    /// [`crate::Error::NoWeight`], or [`crate::Error::TensorMismatch`] where the shapes differ.
    pub fn replaced(&self, weights: &BTreeMap<WeightId, Tensor>) -> Result<Self> {
        let mut replaced = self.clone();
        for (&id, weight) in weights {
            replaced.weights.replace(id, weight)?;
        }
        Ok(replaced)
    }

    /// All weights drawn anew, as for a model that is trained from the start.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn redrawn(&self, seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let draw = |(id, _)| Ok((id, load::fresh(id, &self.spec, &mut random, &self.device)?));
        self.replaced(&self.weights.iter().map(draw).collect::<Result<_>>()?)
    }

    /// The first block that may do something else than in `other`; the number of blocks where only what
    /// comes after them may, and `None` where nothing does. Models that share no numbers may differ
    /// from the first on.
    pub fn first_change(&self, other: &Self) -> Option<usize> {
        let same_frame = Arc::ptr_eq(&self.spec, &other.spec)
            && Arc::ptr_eq(&self.tokenizer, &other.tokenizer)
            && self.memory.as_ref().map(Arc::as_ptr) == other.memory.as_ref().map(Arc::as_ptr);
        if !same_frame {
            return Some(0);
        }
        let first = |id: WeightId| match (id.block, id.part) {
            (Some(stored), _) => self.spec.runs_of(stored).min().unwrap_or(0),
            (None, Part::FinalNorm | Part::Unembed | Part::UnembedBias) => self.spec.n_blocks,
            _ => 0,
        };
        self.weights.changed(&other.weights).map(first).min()
    }

    /// The weight `id`.
    ///
    /// # Errors
    /// [`crate::Error::NoWeight`].
    pub fn weight(&self, id: WeightId) -> Result<&Param> {
        self.weights.get(id)
    }

    /// What tells the tensor that the weight `id` came from apart from any other: the SHA-256 of
    /// its name, type, shape and bytes, in hexadecimal.
    ///
    /// # Errors
    /// [`crate::Error::NoWeight`].
    pub fn fingerprint(&self, id: WeightId) -> Result<String> {
        self.source.fingerprint(id, self.weights.get(id)?)
    }

    /// The weight that makes logits.
    pub(crate) fn head_part(&self) -> Part {
        if self.spec.head.is_tied() { Part::Embed } else { Part::Unembed }
    }

    pub(crate) fn rotary(&self, block: usize) -> Option<&Rotary> {
        self.rotary.get(block).filter(|rotary| rotary.width() > 0)
    }
}
