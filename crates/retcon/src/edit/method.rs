//! A method as people find it, and how its settings are read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Editor, METHODS};
use crate::error::{Error, Result};

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
    #[must_use]
    pub fn needs_statistics(&self, given: &Map<String, Value>) -> bool {
        let defaults = (self.defaults)();
        let metric = given.get("metric").or_else(|| defaults.get("metric"));
        metric.is_some_and(|metric| metric != "identity")
    }
}

/// Reads the settings of `method`: an unknown key is an error, a missing one is as in `defaults`.
pub(super) fn settings<T: Serialize + DeserializeOwned>(
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
pub(super) fn positive(key: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::bad_setting(key, "a positive number", value))
}

/// Makes sure that a setting is no count of nothing.
pub(super) fn at_least_one(key: &'static str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::bad_setting(key, "at least 1", 0))
}

/// Settings as JSON.
pub(super) fn to_value(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).expect("settings have string keys")
}
