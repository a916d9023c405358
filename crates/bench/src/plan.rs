//! What a benchmark is to do: a model, cases, methods, settings and seeds; a job for each part.

use std::ops::Range;

use retcon::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::setting::Setting;

/// What a benchmark is to do. Its results depend on nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The model, as people call it.
    pub model: String,
    /// The fingerprint of its weights and its tokenizer.
    pub fingerprint: String,
    /// How its weights are held.
    pub precision: String,
    /// The data, as people call it.
    pub data: String,
    /// The name of its format.
    pub dataset: String,
    /// What its statistics are computed over, where a method needs any.
    pub statistics: String,
    /// Methods, each with its settings.
    pub methods: Vec<Chosen>,
    /// How edits are made.
    pub settings: Vec<Setting>,
    /// Seeds, each of which everything is done with.
    pub seeds: Vec<u64>,
    /// How cases are asked.
    pub asking: Asking,
}

/// A method with settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// What reports call it; the method's name unless it is there twice.
    pub label: String,
    /// The method.
    pub method: String,
    /// Its settings; those that are left out have their defaults.
    pub settings: Map<String, Value>,
}

/// How cases are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asking {
    /// Tokens of a free answer at most; 0 for none.
    pub free: usize,
    /// Tokens of a text that is written about the subject, prompt included, for fluency and consistency;
    /// 0 for none.
    pub text: usize,
    /// Held-out texts of common knowledge, and half as many sums.
    pub general: usize,
    /// Facts of the data that are not edited, whose old objects must stay.
    pub kept: usize,
}

impl Default for Asking {
    fn default() -> Self {
        Self { free: 20, text: 0, general: 16, kept: 8 }
    }
}

/// A part of a benchmark that is done at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The method, by index.
    pub method: usize,
    /// The setting, by index.
    pub setting: usize,
    /// The seed.
    pub seed: u64,
    /// Which part of the setting.
    pub part: usize,
    /// Its cases.
    pub cases: Range<usize>,
}

impl Plan {
    /// All jobs over `n` cases, in the order in which they are done.
    #[must_use]
    pub fn jobs(&self, n: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        for &seed in &self.seeds {
            for (setting, kind) in self.settings.iter().enumerate() {
                for method in 0..self.methods.len() {
                    let parts = kind.parts(n).into_iter().enumerate();
                    jobs.extend(parts.map(|(part, cases)| Job {
                        method,
                        setting,
                        seed,
                        part,
                        cases,
                    }));
                }
            }
        }
        jobs
    }

    /// Makes sure that every method is one, and takes its settings.
    ///
    /// # Errors
    /// Where there is no such method, or it refuses its settings.
    pub fn check(&self) -> Result<()> {
        for chosen in &self.methods {
            (Method::find(&chosen.method)?.editor)(chosen.settings.clone())?;
        }
        Ok(())
    }
}
