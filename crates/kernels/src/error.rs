//! What can go wrong in an operation.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was given a tensor of the wrong shape.
    #[error("{op}: `{operand}` has the wrong shape: expected {expected}, found {found:?}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Which of its operands.
        operand: &'static str,
        /// The shape that it takes, in words.
        expected: String,
        /// The shape that it was given.
        found: Vec<usize>,
    },
    /// An unknown took part in no operation on the way to the objective.
    #[error("unknown {index} has no gradient: the objective does not depend on it")]
    NoGradient {
        /// Its position in the list of unknowns that was asked for.
        index: usize,
    },
    /// The same trace was walked backward a second time.
    #[error("this objective was differentiated before, and its trace is used up")]
    TraceUsed,
    /// Stored bytes don't hold the tensor that they claim to.
    #[error("a {format} tensor of shape {shape:?} takes {expected} bytes, found: {found}")]
    Bytes {
        /// The storage format.
        format: String,
        /// The claimed shape.
        shape: Vec<usize>,
        /// The bytes that such a tensor takes, or what is wrong with the shape.
        expected: String,
        /// The bytes that are there.
        found: usize,
    },
    /// The tensor library failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
