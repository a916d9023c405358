//! Prompts and objects as tokens: where each lies, and how a model takes the object.
//!
//! Everything that meets a model goes through here: editing, measuring, tracing and training alike.

pub mod lookup;
mod score;

pub use lookup::{Packed, Query, fits, in_runs, query, query_of};
