//! Transformer operations with gradients only where they are wanted.
//!
//! Three types meet here. A [`Var`](autograd::Var) is a tensor that knows how it came from the
//! unknowns, if it did. A [`Weight`](weight::Weight) is a frozen matrix in whatever form it is held:
//! dense, or [stored](stored::Stored) bytes of a file that are decoded on use. An operation takes
//! variables and perhaps a [`Matrix`](linear::Matrix), frozen or trainable, and gives a variable;
//! [`Var::gradients`](autograd::Var::gradients) walks back from a scalar to the unknowns.
//!
//! | file | operation | computes |
//! |---|---|---|
//! | [`rows`] | [`gather_rows`](rows::gather_rows) | the rows of `x` at given places |
//! | | [`scatter_add_rows`](rows::scatter_add_rows) | `x` with rows added at given places |
//! | | [`set_rows`](rows::set_rows) | `x` with other rows at given places |
//! | | [`add`](rows::add), [`scale`](rows::scale) | `a + b`, `factor x` |
//! | [`linear`] | [`linear`](linear::linear) | `x wᵀ`, and `+ onto` |
//! | | [`add_bias`](linear::add_bias) | `x + bias` for every row |
//! | [`norm`] | [`rms_norm`](norm::rms_norm) | rows over their root mean square |
//! | | [`layer_norm`](norm::layer_norm) | rows centered, over their deviation |
//! | [`activation`] | [`activate`](activation::activate) | `act(x)` |
//! | | [`gated`](activation::gated) | `act(gate) up` |
//! | | [`soft_cap`](activation::soft_cap) | `cap tanh(x / cap)` |
//! | [`rope`] | [`rope`](rope::rope) | heads rotated by their position |
//! | [`attention`] | [`attention`](attention::attention) | `softmax(q kᵀ) v` within each sequence |
//! | [`loss`] | [`logits`](loss::logits) | `cap(h wᵀ + bias)` |
//! | | [`cross_entropy`](loss::cross_entropy) | `-sum weight log p(target)`, and scores by row |
//! | | [`kl`](loss::kl) | `sum weight KL`, to or from given log-probabilities |
//! | | [`cross_entropy_and_kl`](loss::cross_entropy_and_kl) | both, for some rows each |
//! | | [`log_softmax`](loss::log_softmax) | log-probabilities, without a gradient |
//! | | [`compare`](loss::compare) | what two sets of logits say of each row, without a gradient |
//!
//! Beside them, [`trained`] steps a weight along its gradients, and [`moment`] sums outer products
//! of rows. Every operation fulfills this contract:
//!
//! - Hidden states are `[n_tokens, width]`, all sequences of a batch one after another without
//!   padding. Only [`attention`] tells them apart, by [`Sequences`](attention::Sequences).
//! - On the CPU it runs natively, in `f32`, or `f64` to check against, on rayon's current pool. Its
//!   result doesn't depend on how the threads take turns.
//! - A gradient is computed only for an input that depends on an unknown, and nothing is kept for
//!   the way back that no such gradient needs.
//! - A `reference` beside it says the same in plain operations of candle. On other devices that is
//!   what runs, through [`composed`]: there the price of backward is a second forward.
//! - Shapes that don't fit are an [`Error::Shape`]. Numbers that are not finite pass through.
//!
//! What it does not do: it knows no models and no files, and it never copies a weight to transpose
//! it.

#![allow(unsafe_code, reason = "views of matrices for the threads, and stored bytes as numbers")]
#![deny(missing_docs)]

pub mod activation;
pub mod attention;
pub mod autograd;
mod blocks;
pub mod composed;
mod cpu;
mod decode;
pub mod error;
mod iq4;
pub mod linear;
pub mod loss;
mod matmul;
pub mod moment;
pub mod norm;
pub mod pool;
mod real;
pub mod rope;
pub mod rows;
mod shape;
pub mod squares;
pub mod stored;
pub mod trained;
pub mod weight;

pub use error::{Error, Result};
