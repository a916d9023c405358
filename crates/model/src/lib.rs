//! Transformer language models as values: load, run, observe, patch, write back.
//!
//! A [`Checkpoint`] is what lies on disk, in a Hugging Face folder or a GGUF file. A [`Family`]
//! says what its settings and tensors mean, and makes of them a [`Model`], whose forward pass is
//! the same code for all (`block.rs`, [`run`]). Every point of it is a [`Site`], where a
//! [`Tap`] can look and change what passes. A [`Delta`] is a change to its weights, beside them:
//! a model with a delta is another model, which shares the first one's numbers.
//!
//! Nothing here knows of edits or measures, and of facts only what a [`FactMemory`] holds.

pub mod atomic;
pub mod batch;
mod block;
pub mod checkpoint;
pub mod delta;
pub mod error;
pub mod family;
pub mod generate;
pub mod kv_cache;
pub mod layout;
pub mod load;
mod memory;
pub mod model;
pub mod random;
mod rotary;
pub mod run;
pub mod site;
pub mod spec;
pub mod tap;
pub mod tokenizer;
pub mod update;
pub mod weight_id;
pub mod weights;

pub use batch::Batch;
pub use checkpoint::{Checkpoint, Config, Container};
pub use delta::{Delta, Record};
pub use error::{Error, Result};
pub use family::{FAMILIES, Family};
pub use kv_cache::KvCache;
pub use memory::{Entry, FactMemory, Recalled};
pub use model::{Model, Options, Precision};
pub use run::Hidden;
pub use site::{Site, Spot};
pub use spec::Spec;
pub use tap::Tap;
pub use tokenizer::{Encoding, Tokenizer};
pub use update::Update;
pub use weight_id::{Component, Part, WeightId};
