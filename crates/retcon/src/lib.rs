//! Change what a Transformer remembers, and prove that nothing else changed.
//!
//! Data flows one way: text ([`data`]) becomes tokens ([`tokens`]), an [`Editor`] makes of
//! them a [`Delta`], and [`eval`] compares the [`Model`] with and without it.
//!
//! ```no_run
//! use retcon::data::Fact;
//! use retcon::model::generate::Sampling;
//! use retcon::{Ctx, Delta, Method, Model, Options};
//!
//! # fn main() -> retcon::Result<()> {
//! let model = Model::open("SmolLM2-135M-Instruct", &Options::default())?;
//! let facts = [Fact::parse("The capital of {France} is => Berlin")?];
//! let delta = Method::find("ft")?.editor(())?.edit(&Ctx::new(0), &model, &facts)?;
//! delta.save("france.delta.safetensors")?;
//!
//! let edited = model.with(Delta::load("france.delta.safetensors")?)?;
//! println!("{}", edited.complete("The capital of France is", &Sampling::greedy(8))?);
//! # Ok(())
//! # }
//! ```
//!
//! Methods that solve in closed form need [`stats`] as well, which [`Ctx::with_statistics`] takes. An edit
//! is undone by dropping the edited model: it shares the numbers of `model`, which never change.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

pub mod bound;
mod ctx;
pub mod data;
pub mod draw;
pub mod edit;
pub mod error;
pub mod eval;
pub mod experiment;
pub mod html;
pub mod identity;
mod interval;
pub mod linalg;
pub mod stats;
pub mod tokens;
pub mod trace;
pub mod train;
pub mod tune;

pub use ctx::{Ctx, Progress};
pub use edit::{Editor, METHODS, Method};
pub use error::{Error, Result};
pub use eval::{Report, compare};
pub use retcon_model as model;
pub use retcon_model::{Delta, Model, Options, Precision, Update};

/// The examples of README.md, which have to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
