//! Change what a Transformer remembers, and prove that nothing else changed.
//!
//! Data flows one way: text ([`data`]) becomes tokens ([`edit::lookup`]), an [`Editor`] makes of
//! them a [`Delta`], and [`eval`] compares the [`Model`] with and without it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

pub mod bound;
pub mod data;
pub mod draw;
pub mod edit;
pub mod error;
pub mod eval;
pub mod experiment;
pub mod html;
mod interval;
pub mod linalg;
pub mod stats;

pub mod trace;
pub mod train;
pub mod tune;

pub use edit::{Ctx, Editor, METHODS, Method, Progress};
pub use error::{Error, Result};
pub use eval::{Report, compare};
pub use retcon_model as model;
pub use retcon_model::{Delta, Model, Options, Precision, Update};

/// The examples of README.md, which have to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
