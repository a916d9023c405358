//! Facts, their paraphrases and their probes, as plain text; it knows no tensor, tokenizer or model.
//!
//! A [`Fact`] is a [`Prompt`] with its subject in braces, and the answer that it is to get.
//! Files hold them as [`Format::Lines`], for people, or as [`Format::Jsonl`], with every detail.
//! What a fact's author leaves out is made here without a model:
//! [`rewordings`] and [`contexts`] say the same in other words,
//! [`neighbors`] and [`unrelated`] ask what must not change.
//!
//! ```
//! use retcon::data::{Fact, neighbors, rewordings};
//!
//! let fact = Fact::parse("The capital of {France} is => Berlin")?;
//! assert_eq!(fact.subject(), "France");
//! assert_eq!(rewordings(&fact.prompt)[0].text(), "France's capital is");
//!
//! let probe = &neighbors(&fact, 1, 0)[0];
//! assert!(probe.prompt.starts_with("The capital of "));
//! assert!(probe.answer.is_some());
//! # Ok::<(), retcon::data::Error>(())
//! ```

mod article;
pub mod case;
mod corpus;
pub mod datasets;
mod error;
mod fact;
mod facts;
mod general;
pub(crate) mod jsonl;
pub mod knowledge;
mod mention;
mod names;
mod object;
mod paraphrase;
mod place;
mod probes;
mod prompt;
mod read;
mod relations;
mod seed;
mod text_file;

pub use case::{Axis, Case, Question};
pub use corpus::Corpus;
pub use error::{Error, Origin, Place, Result};
pub use fact::{Fact, Probe};
pub use jsonl::to_jsonl;
pub use paraphrase::{contexts, paraphrases, rewordings};
pub use probes::{known_answer, neighbors, sums, unrelated};
pub use prompt::{Prompt, SLOT};
pub use read::{Format, parse, read};
