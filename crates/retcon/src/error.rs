//! What can go wrong when a model is edited or measured.

use std::path::PathBuf;

use retcon_model::WeightId;

use crate::data;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The facts can't be read.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// The model can't be loaded, run or written.
    #[error(transparent)]
    Model(#[from] retcon_model::Error),
    /// A setting has no meaning.
    #[error("setting `{key}`: expected {expected}, found: {found}")]
    BadSetting {
        /// The setting.
        key: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A method's settings could not be read.
    #[error("settings of `{method}`: {what}")]
    BadSettings {
        /// The method.
        method: &'static str,
        /// What is wrong.
        what: String,
    },
    /// No method has this name.
    #[error("there is no method `{name}`; the known ones are: {}", known.join(", "))]
    UnknownMethod {
        /// The name.
        name: String,
        /// All names.
        known: Vec<&'static str>,
    },
    /// Nothing was published for a model.
    #[error(
        "there is no preset of `{method}` for `{found}`; there are: {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    UnknownPreset {
        /// The method.
        method: &'static str,
        /// The model that was asked for.
        found: String,
        /// The models that there are presets for.
        known: Vec<String>,
    },
    /// An object is empty, or has no tokens.
    #[error("the object has no tokens, after: {prompt}")]
    EmptyObject {
        /// The prompt.
        prompt: String,
    },
    /// A decoder was given text after the object.
    #[error("a decoder says the object at the end of a prompt, found text after it: {prompt}")]
    SlotInDecoder {
        /// From the object on.
        prompt: String,
    },
    /// An encoder has no token that hides an object.
    #[error("the tokenizer has no mask token, and a model of family {family} needs one")]
    NoMask {
        /// Its family.
        family: &'static str,
    },
    /// There is nothing to edit.
    #[error("there are no facts to edit")]
    NoFacts,
    /// Of a source, there is nothing to train on.
    #[error("no fact is left that fits the model and has {texts} to train on, of: {facts}")]
    NoTexts {
        /// What was to be trained on.
        texts: &'static str,
        /// The source.
        facts: String,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss{} is {loss} at step {step}: nothing is kept; try a smaller learning rate",
        of(subject.as_deref())
    )]
    Diverged {
        /// Whose it is, where each subject has its own.
        subject: Option<String>,
        /// The step.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// A prompt has no token of its subject.
    #[error("the prompt has no token of its subject: {prompt}")]
    SubjectNotFound {
        /// The prompt, with the subject in braces.
        prompt: String,
    },
    /// A prompt and its object are longer than what the model takes.
    #[error("{n} tokens are more than the model's {limit}: {prompt}")]
    PromptTooLong {
        /// The prompt, with the subject in braces.
        prompt: String,
        /// Its tokens.
        n: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// Facts about several subjects, for a solve that knows one.
    #[error(
        "facts about {n} subjects at once, with `through=bare`: what was published for the bare \
         prompt's key writes one edit at a time"
    )]
    SeveralSubjects {
        /// How many.
        n: usize,
    },
    /// A prompt is to get two objects.
    #[error("two edits contradict each other, `{first}` and `{second}`, after: {prompt}")]
    Contradiction {
        /// The prompt.
        prompt: String,
        /// What one edit wants.
        first: String,
        /// What the other wants.
        second: String,
    },
    /// An edit is there twice.
    #[error("an edit is there twice: {prompt}")]
    Repeated {
        /// The prompt.
        prompt: String,
    },
    /// A method that writes to a block would write to others too.
    #[error(
        "the blocks of a model of family {family} share weights: this method can't change one alone"
    )]
    SharedBlocks {
        /// The family.
        family: &'static str,
    },
    /// A value makes no difference to what is asked.
    #[error("nothing after block {block} reads the value there: choose an earlier block")]
    NothingReads {
        /// The block.
        block: usize,
    },
    /// A change would destroy what is there.
    #[error(
        "the change to `{id}` is {relative:.1} times as large as the weight, more than {limit}: \
         nothing is kept of what was edited: {edits}"
    )]
    TooLarge {
        /// The weight.
        id: WeightId,
        /// The norm of the change over that of the weight.
        relative: f64,
        /// What it may be at most.
        limit: f64,
        /// What was edited.
        edits: String,
    },
    /// A sweep has nothing to try edits on.
    #[error(
        "the model knows {found} of the facts that come with the program, and at least {needed} \
         that can be told apart are needed to choose settings by trial"
    )]
    KnowsTooLittle {
        /// Facts that it knows.
        found: usize,
        /// Facts that are needed.
        needed: usize,
    },
    /// There is no such block.
    #[error("there is no block {block}; the model has {n_blocks}")]
    NoBlock {
        /// The block.
        block: usize,
        /// How many there are.
        n_blocks: usize,
    },
    /// A method needs statistics, and there are none.
    #[error("there are no statistics of the keys of block {block}")]
    NoStatistics {
        /// The block.
        block: usize,
    },
    /// A text is too short for a moment of its keys to say anything about most directions.
    #[error(
        "statistics over {found} tokens say too little about keys of {width} numbers: \
         at least {needed} are needed, {} more", needed - found
    )]
    TooFewTokens {
        /// Tokens that there are.
        found: u64,
        /// Tokens that there should be.
        needed: u64,
        /// Numbers in a key.
        width: usize,
    },
    /// A file of statistics can't be used.
    #[error("{}: no statistics that can be used: {what}", path.display())]
    BadStatistics {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A file of statistics lacks blocks that are asked for.
    #[error("{}: statistics that lack blocks: {blocks}", path.display())]
    MissingBlocks {
        /// The file.
        path: PathBuf,
        /// The blocks.
        blocks: String,
    },
    /// Statistics can't be added to others.
    #[error("statistics that can't be merged: {what}")]
    Unmergeable {
        /// Why.
        what: String,
    },
    /// A matrix can't be solved with.
    #[error("{what} is singular")]
    Singular {
        /// The matrix.
        what: String,
    },
    /// A matrix contains NaN or infinity.
    #[error("{what} has numbers that are not finite")]
    NotFinite {
        /// What it is part of.
        what: String,
    },
    /// A second moment has something in every direction.
    #[error(
        "{what} has no eigenvalue below {threshold:e}, the least is {least:e}: \
         set a larger threshold"
    )]
    NoNullSpace {
        /// The moment.
        what: String,
        /// What an eigenvalue has to be below.
        threshold: f64,
        /// The least.
        least: f64,
    },
    /// Every value is too long for the norm that values are brought to.
    #[error(
        "every value at block {block} is more than twice as long as {anchor:.3}, the norm that \
         values are brought to: nothing would be edited"
    )]
    AllLeftOut {
        /// The block.
        block: usize,
        /// The norm.
        anchor: f64,
    },
    /// No change within a bound on side effects was found.
    #[error(
        "no change stays within a mean divergence of {bound:.2e} nats on unrelated text: \
         a thousandth of this one reaches {least:.2e}"
    )]
    OutOfBound {
        /// What was allowed, in nats.
        bound: f64,
        /// What the least change that was tried reaches.
        least: f64,
    },
    /// What an earlier edit left for later ones is not what its method leaves.
    #[error(
        "an earlier edit left `{name}` of shape {found:?}, not {expected}: undo it, and edit anew"
    )]
    WrongState {
        /// The name in the state of its delta.
        name: String,
        /// The shape that was expected.
        expected: String,
        /// The shape that it has.
        found: Vec<usize>,
    },
    /// Interrupted training can't go on from a file.
    #[error("{}: can't go on from this: {what}", path.display())]
    BadState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An experiment's plan makes no sense.
    #[error("{}: {what}", path.display())]
    BadPlan {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A folder holds the results of another plan, or of another model.
    #[error(
        "{} holds the results of another experiment (see plan.json in it): \
         give another folder, or remove it",
        folder.display()
    )]
    OtherExperiment {
        /// The folder.
        folder: PathBuf,
    },
    /// A picture can't be drawn.
    #[error("can't draw a picture: {what}")]
    NoPicture {
        /// Why.
        what: String,
    },
    /// A record of an experiment can't be read.
    #[error("{}, line {line}: {what}", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A folder of results can't be used.
    #[error("{}: {what}", path.display())]
    BadFolder {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The user has stopped the work.
    #[error("stopped")]
    Canceled,
}

/// What an edit failed for, and so what may succeed where it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was to be edited: other facts may do.
    Facts,
    /// The numbers that it was made with: others may do, and so may other facts.
    Numbers,
    /// Neither: the next edit would fail as well.
    Surroundings,
}

impl Error {
    /// What an edit that fails so has failed for.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Diverged { .. }
            | Self::TooLarge { .. }
            | Self::Singular { .. }
            | Self::NotFinite { .. }
            | Self::Model(retcon_model::Error::NotFinite { .. })
            | Self::NoNullSpace { .. }
            | Self::NothingReads { .. }
            | Self::AllLeftOut { .. }
            | Self::OutOfBound { .. } => Fault::Numbers,
            Self::Data(_)
            | Self::EmptyObject { .. }
            | Self::SlotInDecoder { .. }
            | Self::NoFacts
            | Self::SubjectNotFound { .. }
            | Self::PromptTooLong { .. }
            | Self::SeveralSubjects { .. }
            | Self::Contradiction { .. }
            | Self::Repeated { .. } => Fault::Facts,
            Self::Model(_)
            | Self::BadSetting { .. }
            | Self::BadSettings { .. }
            | Self::UnknownMethod { .. }
            | Self::UnknownPreset { .. }
            | Self::NoMask { .. }
            | Self::NoTexts { .. }
            | Self::SharedBlocks { .. }
            | Self::KnowsTooLittle { .. }
            | Self::NoBlock { .. }
            | Self::NoStatistics { .. }
            | Self::TooFewTokens { .. }
            | Self::BadStatistics { .. }
            | Self::MissingBlocks { .. }
            | Self::Unmergeable { .. }
            | Self::WrongState { .. }
            | Self::BadState { .. }
            | Self::BadPlan { .. }
            | Self::OtherExperiment { .. }
            | Self::NoPicture { .. }
            | Self::BadRecord { .. }
            | Self::BadFolder { .. }
            | Self::Canceled => Fault::Surroundings,
        }
    }

    /// Of a setting that has no meaning.
    pub(crate) fn bad_setting(
        key: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::BadSetting { key, expected: expected.to_string(), found: found.to_string() }
    }
}

/// ` of NAME`, where there is one.
fn of(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(" of {name}"))
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<retcon_kernels::Error> for Error {
    fn from(error: retcon_kernels::Error) -> Self {
        Self::Model(error.into())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}
