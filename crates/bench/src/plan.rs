//! What a benchmark is to do: a model, cases, methods, settings and seeds; a job for each part.

use std::fmt;
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
    /// What tells it apart: every number that it computes with, and its tokenizer.
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

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = Value::from(self.settings.clone());
        write!(f, "`{}` is {} with {settings}", self.label, self.method)
    }
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
    /// All jobs over `n` cases, in the order in which they are done: all methods on a part before the
    /// next part, so that what is there compares methods on the same cases whenever it is looked at.
    #[must_use]
    pub fn jobs(&self, n: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (setting, kind) in self.settings.iter().enumerate() {
            for (part, cases) in kind.parts(n).into_iter().enumerate() {
                for &seed in &self.seeds {
                    let methods = 0..self.methods.len();
                    jobs.extend(methods.map(|method| Job {
                        method,
                        setting,
                        seed,
                        part,
                        cases: cases.clone(),
                    }));
                }
            }
        }
        jobs
    }

    /// This plan and what `more` adds to it: methods, settings and seeds, after those that are there.
    ///
    /// # Errors
    /// In words, what else is not the same: a label with other settings, for one.
    pub(crate) fn joined(&self, more: &Self) -> std::result::Result<Self, String> {
        let mut joined = self.clone();
        for method in &more.methods {
            match self.methods.iter().find(|found| found.label == method.label) {
                None => joined.methods.push(method.clone()),
                Some(found) if found == method => {}
                Some(found) => return Err(format!("{found} there, and {method} here")),
            }
        }
        let new = more.settings.iter().filter(|setting| !self.settings.contains(setting));
        joined.settings.extend(new);
        if joined.statistics.is_empty() {
            joined.statistics.clone_from(&more.statistics);
        }
        joined.seeds.extend(more.seeds.iter().filter(|seed| !self.seeds.contains(seed)));
        let Self { methods, settings, seeds, .. } = joined.clone();
        let mut expected = Self { methods, settings, seeds, ..more.clone() };
        if expected.statistics.is_empty() {
            expected.statistics.clone_from(&joined.statistics);
        }
        let [found, expected] = [&joined, &expected]
            .map(|plan| serde_json::to_value(plan).expect("a plan has string keys"));
        let mut keys = found.as_object().into_iter().flatten();
        match keys.find(|(key, value)| expected.get(key) != Some(value)) {
            Some((key, value)) => {
                Err(format!("`{key}` is {value} there, and {} here", expected[key]))
            }
            None => Ok(joined),
        }
    }

    /// Makes sure that every method is one, and takes its settings.
    ///
    /// # Errors
    /// Where there is no such method, or it refuses its settings.
    pub fn check(&self) -> Result<()> {
        for chosen in &self.methods {
            Method::find(&chosen.method)?.editor(chosen.settings.clone())?;
        }
        Ok(())
    }
}
