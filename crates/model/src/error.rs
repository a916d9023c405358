//! What can go wrong between a checkpoint on disk and a model in memory.

use std::path::{Path, PathBuf};

use crate::weight_id::WeightId;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system failed to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something is already where a checkpoint was to be written.
    #[error("{} exists already", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// A path holds no checkpoint of a kind that can be read.
    #[error("{} is no checkpoint: {what}", path.display())]
    UnknownContainer {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for, or what stands in the way.
        what: String,
    },
    /// A model folder has no `config.json`.
    #[error("{} has no config.json", folder.display())]
    NoConfig {
        /// The folder.
        folder: PathBuf,
    },
    /// A checkpoint holds what an adapter adds to a model, and not the model.
    #[error("{} is an adapter (LoRA), which is no model without its base", path.display())]
    Adapter {
        /// The file or folder.
        path: PathBuf,
    },
    /// A checkpoint sorts texts into classes, and has lost what predicts tokens.
    #[error("{} is a classifier, which has no language-model head: tensor `{name}`", path.display())]
    Classifier {
        /// The folder.
        path: PathBuf,
        /// A tensor that only a classifier has.
        name: String,
    },
    /// A checkpoint is of a mixture of experts.
    #[error("{} is a mixture of experts, which is not supported; experts: {n}", path.display())]
    Experts {
        /// The file.
        path: PathBuf,
        /// How many each block has.
        n: u64,
    },
    /// The weights of a folder are codes that a library of its own decodes.
    #[error("{}: weights quantized in a way that is not supported: {method}", path.display())]
    Quantized {
        /// The file that says so.
        path: PathBuf,
        /// How the file names the method.
        method: String,
    },
    /// A setting is missing or is not what it has to be.
    #[error("{}: `{key}`: expected {expected}, found: {found}", path.display())]
    BadConfig {
        /// The file that the settings come from.
        path: PathBuf,
        /// The setting.
        key: String,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The head of a file is broken or hostile.
    #[error("{}: {what}", path.display())]
    BadHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A tensor is stored in a way that cannot be computed with.
    #[error("{}: tensor `{name}` has an unsupported type: {found}", path.display())]
    UnsupportedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor is not where it should be.
    #[error("{} has no tensor `{name}`", path.display())]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// Two tensors of one checkpoint have one name.
    #[error("{}: tensor `{name}` is there twice", path.display())]
    DuplicateTensor {
        /// The file that holds the second.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor is not of the shape or type that its place asks for.
    #[error("tensor `{name}`: expected {expected}, found: {found}")]
    TensorMismatch {
        /// The tensor.
        name: String,
        /// The type and shape of its place.
        expected: String,
        /// Its own.
        found: String,
    },
    /// A checkpoint is spread over several files, and one of them is not there.
    #[error("{} is missing, though {} names it", path.display(), named_by.display())]
    MissingPart {
        /// The missing file.
        path: PathBuf,
        /// The file that says it should be there.
        named_by: PathBuf,
    },
    /// A model folder has no `tokenizer.json`.
    #[error("{} has no tokenizer.json{}", folder.display(), only(found))]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
        /// The files of older formats that are there, of which it can be made.
        found: Vec<&'static str>,
    },
    /// A tokenizer cannot be built or cannot do its work.
    #[error("{}: tokenizer: {what}", path.display())]
    Tokenizer {
        /// The file that it comes from.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A tokenizer has a pre-tokenizer that nobody has described yet.
    #[error("{}: unknown pre-tokenizer (`tokenizer.ggml.pre`): {found}", path.display())]
    UnknownPreTokenizer {
        /// The file that it comes from.
        path: PathBuf,
        /// What the file calls it.
        found: String,
    },
    /// The model is of a kind that nobody has described yet.
    #[error(
        "{}: model type `{found}` is of no known family; the known ones are: {}",
        path.display(),
        known.join(", ")
    )]
    UnknownFamily {
        /// The file that names the type.
        path: PathBuf,
        /// The type.
        found: String,
        /// The types that are known.
        known: Vec<&'static str>,
    },
    /// A checkpoint has a tensor that a model of its family has no use for.
    #[error("{}: tensor `{name}` has no place in a model of family {family}", path.display())]
    UnexpectedTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The family.
        family: &'static str,
    },
    /// The model has no such weight.
    #[error("the model has no weight `{id}`")]
    NoWeight {
        /// The weight.
        id: WeightId,
    },
    /// A weight that was drawn at load cannot be written into the checkpoint.
    #[error("weight `{id}` has no tensor in the checkpoint, and can't be merged into it")]
    NotInCheckpoint {
        /// The weight.
        id: WeightId,
    },
    /// A delta was made for another model.
    #[error(
        "the delta was made for other weights: fingerprint of `{id}`: expected {expected}, found: {found}"
    )]
    WrongBase {
        /// The first weight that differs.
        id: WeightId,
        /// The fingerprint that the delta names.
        expected: String,
        /// That of the model.
        found: String,
    },
    /// A file holds no delta, or a broken one.
    #[error("{} is no delta that can be used: {what}", path.display())]
    BadDelta {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A change to a weight is none that a model could be run with.
    #[error("the change to `{id}` has numbers that are not finite")]
    NotFinite {
        /// The weight.
        id: WeightId,
    },
    /// A model gives scores that nothing can be drawn from: some weight is not a number, or far too large.
    #[error("the model gives logits that are not finite")]
    NotFiniteLogits,
    /// A memory of facts does not hold together, or not with the model.
    #[error("the memory of facts: {what}")]
    BadMemory {
        /// What is wrong.
        what: String,
    },
    /// Something holds only where no position sees later ones.
    #[error("in a model of family {family} positions see later ones")]
    NotCausal {
        /// Its family.
        family: &'static str,
    },
    /// A sequence of a batch has no tokens.
    #[error("sequence {index} of the batch has no tokens")]
    EmptySequence {
        /// Which one.
        index: usize,
    },
    /// Rows were asked for that are not there, or not in order.
    #[error("rows have to ascend and be below {n}, found: {rows:?}")]
    BadRows {
        /// The rows.
        rows: Vec<u32>,
        /// How many there are.
        n: usize,
    },
    /// A token is not of the model's vocabulary.
    #[error("the vocabulary has {n_vocab} tokens, found: {token}")]
    UnknownToken {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        n_vocab: usize,
    },
    /// A sequence is longer than the model can take.
    #[error("the model takes {limit} positions at most, found: {n}")]
    TooLong {
        /// Its length.
        n: usize,
        /// The model's limit.
        limit: usize,
    },
    /// An encoder was asked to continue a text.
    #[error("a model of family {family} fills masks, it does not continue text")]
    NotADecoder {
        /// Its family.
        family: &'static str,
    },
    /// An operation on tensors failed.
    #[error(transparent)]
    Kernels(#[from] retcon_kernels::Error),
}

/// What is there instead.
fn only(found: &[&str]) -> String {
    if found.is_empty() { String::new() } else { format!(", only {}", found.join(" and ")) }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Kernels(error.into())
    }
}

impl Error {
    /// Wraps what the system said about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Wraps what a parser said about the head of `path`.
    pub(crate) fn header<E: ToString>(path: &Path) -> impl FnOnce(E) -> Self {
        move |what| Self::BadHeader { path: path.to_owned(), what: what.to_string() }
    }

    /// Wraps what the tokenizer library said about `path`.
    pub(crate) fn tokenizer<E: ToString>(path: &Path) -> impl FnOnce(E) -> Self {
        move |what| Self::Tokenizer { path: path.to_owned(), what: what.to_string() }
    }
}
