//! Editors: each turns facts into a delta, by stages that all of them share.

pub mod alphaedit;
mod anchor;
pub mod closed_form;
pub mod compact;
pub mod finetune;
pub mod fixed;
pub mod ft;
pub mod lora;
pub mod memit;
pub mod optim;
mod past;
pub mod prefixes;
pub mod presets;
pub mod recipe;
mod regularize;
pub mod rome;
pub mod scope;
mod size;
pub mod solve;
pub mod subject;
pub mod ultraedit;
pub mod value;
pub mod walk;

use std::collections::BTreeMap;

use retcon_model::{Delta, Model, Record, Update, WeightId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ctx::Ctx;
use crate::data::Fact;
use crate::data::jsonl::edit_to_json;
use crate::error::{Error, Result};

/// All methods.
pub const METHODS: &[Method] = &[
    ft::FT,
    ft::FT_L,
    ft::FT_M,
    ft::FT_W,
    ft::LOCFT_BF,
    lora::METHOD,
    rome::ROME,
    rome::R_ROME,
    memit::EMMET,
    memit::MEMIT,
    memit::PMET,
    alphaedit::METHOD,
    ultraedit::METHOD,
];

/// What makes edits.
pub trait Editor: Send + Sync {
    /// The change to `model` after which it says the new objects of `facts`.
    ///
    /// # Errors
    /// [`Error::Diverged`], [`Error::TooLarge`], [`Error::Canceled`], or what stands in the way of running
    /// the model. An edit that merely doesn't succeed is no error: measure the model with the delta.
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta>;

    /// What [`Editor::edit`] made as `whole`, held back to a share of it: as a rule all of it is scaled.
    ///
    /// # Errors
    /// As [`Editor::edit`].
    fn held_back(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        facts: &[Fact],
        whole: &Delta,
        share: f64,
    ) -> Result<Delta> {
        let _ = (ctx, model, facts);
        scaled(whole, share)
    }
}

/// Makes an editor of settings.
pub type MakeEditor = fn(Map<String, Value>) -> Result<Box<dyn Editor>>;

/// A method as people find it: its name, what it is, and what can be set.
#[derive(Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Each setting, and what it means.
    pub settings: &'static [(&'static str, &'static str)],
    /// The settings' defaults.
    pub defaults: fn() -> Value,
    /// Whether it has numbers that don't carry over from one model to another, so that they are chosen by
    /// trial edits where none are given.
    pub swept: bool,
    /// Makes the editor; [`Method::editor`] is easier to call.
    pub make: MakeEditor,
}

impl Method {
    /// The method `name`.
    ///
    /// # Errors
    /// [`Error::UnknownMethod`], which names all.
    pub fn find(name: &str) -> Result<&'static Self> {
        METHODS.iter().find(|method| method.name == name).ok_or_else(|| Error::UnknownMethod {
            name: name.to_owned(),
            known: METHODS.iter().map(|method| method.name).collect(),
        })
    }

    /// Its editor with `settings`, such as `json!({ "steps": 20 })` or a map; those that are left out, all
    /// of them with `()`, have their defaults.
    ///
    /// # Errors
    /// [`Error::BadSettings`] where one is unknown or of another type, [`Error::BadSetting`] where a value
    /// makes no sense.
    pub fn editor(&self, settings: impl Serialize) -> Result<Box<dyn Editor>> {
        let bad = |what: String| Error::BadSettings { method: self.name, what };
        match serde_json::to_value(settings).map_err(|error| bad(error.to_string()))? {
            Value::Object(settings) => (self.make)(settings),
            Value::Null => (self.make)(Map::new()),
            other => Err(bad(format!("expected names with values, found {other}"))),
        }
    }

    /// Whether, with `given` in the place of its own settings, it solves with second moments of keys.
    pub fn needs_statistics(&self, given: &Map<String, Value>) -> bool {
        let defaults = (self.defaults)();
        let metric = given.get("metric").or_else(|| defaults.get("metric"));
        metric.is_some_and(|metric| metric != "identity")
    }
}

/// Reads the settings of `method`: an unknown key is an error, a missing one is as in `defaults`.
fn settings<T: Serialize + DeserializeOwned>(
    method: &'static str,
    defaults: &T,
    given: Map<String, Value>,
) -> Result<T> {
    let Value::Object(mut all) = to_value(defaults) else { unreachable!("settings are a map") };
    all.extend(given);
    serde_json::from_value(Value::Object(all))
        .map_err(|error| Error::BadSettings { method, what: error.to_string() })
}

/// Makes sure that a setting is a positive number.
fn positive(key: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::bad_setting(key, "a positive number", value))
}

/// Makes sure that a setting is no count of nothing.
fn at_least_one(key: &'static str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::bad_setting(key, "at least 1", 0))
}

/// Settings as JSON.
fn to_value(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).expect("settings have string keys")
}

/// The change `updates` to `model` by which `facts` are edited, and its record.
///
/// # Errors
/// [`Error::TooLarge`], and those of [`Delta::new`].
fn delta(
    model: &Model,
    updates: BTreeMap<WeightId, Update>,
    facts: &[Fact],
    record: Record,
) -> Result<Delta> {
    let delta = Delta::new(model, updates, record)?;
    size::check(model, &delta, facts)?;
    Ok(delta)
}

/// `delta` with `share` of what it adds to each weight.
fn scaled(delta: &Delta, share: f64) -> Result<Delta> {
    let mut delta = delta.clone();
    for update in delta.updates.values_mut() {
        *update = update.times(share)?;
    }
    Ok(delta)
}

/// The record of an edit of `facts` by a method with all of its `settings`.
fn record(
    ctx: &Ctx<'_>,
    method: &str,
    settings: &impl Serialize,
    facts: &[Fact],
    scores: Value,
) -> Record {
    Record {
        method: method.to_owned(),
        settings: to_value(settings),
        seed: ctx.seed,
        edits: facts.iter().map(|fact| edit_to_json(fact).into()).collect(),
        scores,
        ..Record::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_every_method_is_described() {
        for method in METHODS {
            let defaults = (method.defaults)();
            let keys: Vec<_> = defaults.as_object().unwrap().keys().map(String::as_str).collect();
            let described: Vec<_> = method.settings.iter().map(|&(key, _)| key).collect();
            assert_eq!(keys, described, "{}", method.name);
        }
    }

    #[test]
    fn every_method_refuses_settings_that_it_does_not_know() {
        for method in METHODS {
            let given = Map::from_iter([("no_such_setting".to_owned(), Value::Null)]);
            let error = method.editor(given).err().unwrap().to_string();
            assert!(error.contains("no_such_setting"), "{error}");
            method.editor(()).unwrap();
        }
    }
}
