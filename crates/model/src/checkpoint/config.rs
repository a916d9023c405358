//! The settings of a model: typed access to the keys of `config.json`, whatever their source.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Names that different families use for one setting. Asking for any finds the others.
const SYNONYMS: &[&[&str]] = &[
    &["hidden_size", "n_embd"],
    &["intermediate_size", "n_inner"],
    &["layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"],
    &["max_position_embeddings", "n_positions", "n_ctx"],
    &["num_attention_heads", "n_head"],
    &["num_hidden_layers", "n_layer"],
    &["partial_rotary_factor", "rotary_pct"],
    &["rope_theta", "rotary_emb_base"],
];

/// The settings of a model, under the names that Hugging Face gives them.
///
/// A setting that is `null` counts as absent, but for [`Config::find_or`].
#[derive(Clone, Debug)]
pub struct Config {
    path: PathBuf,
    /// The keys that lead to these settings, each with a dot, for error messages.
    prefix: String,
    values: Map<String, Value>,
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// The type in words.
    const EXPECTED: &'static str;

    /// The setting in `value`, if it is of this type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl Config {
    /// Settings that come from the file at `path`.
    pub fn new(path: impl Into<PathBuf>, values: Map<String, Value>) -> Self {
        let mut values = values;
        hoist_text_config(&mut values);
        hoist_rope_parameters(&mut values);
        Self { path: path.into(), prefix: String::new(), values }
    }

    /// The same settings, and those of the object `usual` that are missing.
    #[must_use]
    pub fn or(&self, usual: &Value) -> Self {
        let usual = usual.as_object().into_iter().flatten();
        let missing = usual.filter(|(key, _)| self.value(key).is_none());
        let missing: Vec<_> = missing.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut config = self.clone();
        config.values.extend(missing);
        config
    }

    /// The settings in the JSON file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadHeader`] where the file is no JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(Error::io(path))?;
        let values = serde_json::from_slice(&text).map_err(Error::header(path))?;
        Ok(Self::new(path, values))
    }

    /// Like [`Config::read`], but a file that isn't there has no settings.
    ///
    /// # Errors
    /// As [`Config::read`], for other reasons.
    pub fn read_or_empty(path: &Path) -> Result<Self> {
        if path.exists() { Self::read(path) } else { Ok(Self::new(path, Map::new())) }
    }

    /// The file that the settings come from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The setting `key` as it stands in the file.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        let synonyms = SYNONYMS.iter().find(|names| names.contains(&key));
        std::iter::once(key)
            .chain(synonyms.into_iter().copied().flatten().copied())
            .find_map(|name| self.values.get(name).filter(|value| !value.is_null()))
    }

    /// The setting `key`, if there is one.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where it is of another type.
    pub fn find<T: Setting>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match T::from_value(value) {
            Some(setting) => Ok(Some(setting)),
            None => Err(self.bad(key, T::EXPECTED, abridged(value))),
        }
    }

    /// The setting `key`.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where there is none, or of another type.
    pub fn get<T: Setting>(&self, key: &str) -> Result<T> {
        self.find(key)?.ok_or_else(|| self.bad(key, T::EXPECTED, "nothing"))
    }

    /// The setting `key`, or `default` where there is none.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where it is of another type.
    pub fn get_or<T: Setting>(&self, key: &str, default: T) -> Result<T> {
        Ok(self.find(key)?.unwrap_or(default))
    }

    /// The setting `key`: `default` where the file says nothing of it, and nothing where it is
    /// `null`, which switches off what a model has as a rule.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where it is of another type.
    pub fn find_or<T: Setting>(&self, key: &str, default: T) -> Result<Option<T>> {
        if self.values.contains_key(key) { self.find(key) } else { Ok(Some(default)) }
    }

    /// The settings inside of the setting `key`, if there is one.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where it is no object.
    pub fn section(&self, key: &str) -> Result<Option<Self>> {
        let Some(values) = self.find::<Map<String, Value>>(key)? else { return Ok(None) };
        let prefix = format!("{}{key}.", self.prefix);
        Ok(Some(Self { path: self.path.clone(), prefix, values }))
    }

    /// The error that the setting `key` should be `expected` but is `found`.
    pub fn bad(&self, key: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::BadConfig {
            path: self.path.clone(),
            key: format!("{}{key}", self.prefix),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// Where the `model_type` of a model around a language model is put.
pub const OUTER: &str = "outer_model_type";

/// A model that reads more than text keeps the settings of its language model apart: these are what is
/// read, with what only the whole model has.
fn hoist_text_config(values: &mut Map<String, Value>) {
    const TIED: &str = "tie_word_embeddings";
    const OF_WHOLE: [&str; 5] =
        ["quantization_config", "vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"];
    let Some(Value::Object(text)) = values.get("text_config") else { return };
    let Some(outer) = values.get("model_type").filter(|_| text.contains_key("model_type")) else {
        return;
    };
    let mut inner = text.clone();
    inner.insert(OUTER.into(), outer.clone());
    for key in OF_WHOLE {
        if inner.get(key).is_none_or(Value::is_null) {
            insert_known(&mut inner, key, values.get(key));
        }
    }
    // In transformers, too, one of the two is enough.
    let tied = [values.get(TIED), text.get(TIED)].map(|tied| tied.and_then(Value::as_bool));
    if tied.contains(&Some(true)) {
        inner.insert(TIED.into(), true.into());
    } else if tied[0].is_some() {
        inner.insert(TIED.into(), false.into());
    }
    *values = inner;
}

/// Writes the `rope_parameters` of newer files as older ones do: `rope_theta` on its own, and
/// `rope_scaling` only where positions are scaled.
///
/// As in transformers, a `rope_scaling` with anything in it counts instead of them, and what stands
/// inside of either counts before what stands beside it.
fn hoist_rope_parameters(values: &mut Map<String, Value>) {
    let object = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let parameters = object(values.get("rope_parameters")).unwrap_or_default();
    let scaling = object(values.get("rope_scaling")).filter(|scaling| !scaling.is_empty());
    // Where local blocks have their own, older files say no more of them than their wavelengths.
    let local = parameters.get("sliding_attention").and_then(|local| local.get("rope_theta"));
    insert_known(values, "rope_local_base_freq", local);
    let rope = match (object(parameters.get("full_attention")), scaling) {
        (None, Some(scaling)) => scaling,
        (None, None) => parameters,
        (Some(global), None) => global,
        (Some(mut global), Some(scaling)) => {
            global.extend(scaling);
            global
        }
    };
    for key in ["rope_theta", "partial_rotary_factor"] {
        insert_known(values, key, rope.get(key));
    }
    let kind = ["rope_type", "type"].into_iter().find_map(|key| rope.get(key));
    if kind.is_some_and(|kind| kind != "default") {
        values.insert("rope_scaling".into(), Value::Object(rope));
    }
}

fn insert_known(values: &mut Map<String, Value>, key: &str, value: Option<&Value>) {
    if let Some(value) = value.filter(|value| !value.is_null()) {
        values.insert(key.into(), value.clone());
    }
}

fn abridged(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl Setting for Map<String, Value> {
    const EXPECTED: &'static str = "an object";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_object().cloned()
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_value).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(values: Value) -> Config {
        let Value::Object(values) = values else { panic!("no object") };
        Config::new("m/config.json", values)
    }

    #[test]
    fn settings_are_typed_and_found_under_either_name() {
        let config = config(json!({"n_layer": 12, "n_inner": null, "rope_theta": 10000, "a": [1]}));
        assert_eq!(config.get::<usize>("num_hidden_layers").unwrap(), 12);
        assert_eq!(config.get::<usize>("n_layer").unwrap(), 12);
        assert_eq!(config.find::<usize>("intermediate_size").unwrap(), None);
        assert_eq!(config.get_or("rope_theta", 1.0).unwrap(), 1e4);
        assert_eq!(config.get_or("rms_norm_eps", 1e-6).unwrap(), 1e-6);
        assert_eq!(config.get::<Vec<usize>>("a").unwrap(), [1]);
    }

    #[test]
    fn errors_name_file_key_expected_and_found() {
        let config = config(json!({"hidden_size": "big", "rope_scaling": {"factor": true}}));
        let error = config.get::<usize>("hidden_size").unwrap_err().to_string();
        assert_eq!(error, r#"m/config.json: `hidden_size`: expected a whole number, found: "big""#);
        let error = config.get::<usize>("vocab_size").unwrap_err().to_string();
        assert!(error.ends_with("found: nothing"), "{error}");
        let rope = config.section("rope_scaling").unwrap().unwrap();
        let error = rope.get::<f64>("factor").unwrap_err().to_string();
        assert!(error.contains("`rope_scaling.factor`: expected a number, found: true"), "{error}");
    }

    #[test]
    fn the_settings_of_a_language_model_inside_of_another_count() {
        let text = json!({"model_type": "llama", "hidden_size": 8, "tie_word_embeddings": false});
        let whole = json!({"model_type": "seeing", "hidden_size": 3, "text_config": text});
        let found = config(whole.clone());
        assert_eq!(found.get::<String>("model_type").unwrap(), "llama");
        assert_eq!(found.get::<usize>("hidden_size").unwrap(), 8);
        assert!(!found.get::<bool>("tie_word_embeddings").unwrap());
        assert_eq!(found.get::<String>(OUTER).unwrap(), "seeing");
        // What the inner one doesn't say is not what the outer one says, but for what is the whole's.
        let more = json!({"rope_theta": 7.0, "vocab_size": 9});
        let mut larger = whole.as_object().unwrap().clone();
        larger.extend(more.as_object().unwrap().clone());
        let found = config(Value::Object(larger));
        assert_eq!(found.find::<f64>("rope_theta").unwrap(), None);
        assert_eq!(found.get::<usize>("vocab_size").unwrap(), 9);
        let tied = |outer: Option<bool>, inner: Option<bool>| {
            let mut both = whole.clone();
            both["tie_word_embeddings"] = outer.into();
            both["text_config"]["tie_word_embeddings"] = inner.into();
            config(both).find::<bool>("tie_word_embeddings").unwrap()
        };
        assert_eq!(tied(Some(true), Some(false)), Some(true));
        assert_eq!(tied(Some(false), Some(true)), Some(true));
        assert_eq!((tied(None, None), tied(Some(false), None)), (None, Some(false)));
    }

    #[test]
    fn newer_rope_parameters_read_like_older_ones() {
        let plain = json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}});
        let plain = config(plain);
        assert_eq!(plain.get::<f64>("rope_theta").unwrap(), 5e5);
        assert!(plain.section("rope_scaling").unwrap().is_none());
        let both = json!({"rope_parameters": {
            "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
            "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
        }});
        let both = config(both);
        assert_eq!(both.get::<f64>("rope_theta").unwrap(), 1e6);
        assert_eq!(both.get::<f64>("rope_local_base_freq").unwrap(), 1e4);
        let scaled = both.section("rope_scaling").unwrap().unwrap();
        assert_eq!(scaled.get::<f64>("factor").unwrap(), 8.0);
        let scaled = json!({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}});
        let scaled = config(scaled).section("rope_scaling").unwrap().unwrap();
        assert_eq!(scaled.get::<String>("rope_type").unwrap(), "llama3");
    }

    #[test]
    fn of_two_forms_of_rope_parameters_the_one_counts_that_does_in_transformers() {
        let theta = |values| config(values).find::<f64>("rope_theta").unwrap();
        let factor = |values| {
            let scaling = config(values).section("rope_scaling").unwrap();
            scaling.map(|scaling| scaling.get::<f64>("factor").unwrap())
        };
        let linear = json!({"type": "linear", "factor": 4.0, "rope_theta": 1e4});
        let both = json!({"rope_theta": 1e6, "rope_parameters": linear, "rope_scaling": null});
        assert_eq!((theta(both.clone()), factor(both)), (Some(1e4), Some(4.0)));
        let inside = json!({"rope_scaling": linear});
        assert_eq!((theta(inside.clone()), factor(inside)), (Some(1e4), Some(4.0)));
        let newer = json!({"rope_type": "llama3", "factor": 8.0, "rope_theta": 5e5});
        let both =
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": newer});
        assert_eq!((theta(both.clone()), factor(both)), (None, Some(2.0)));
        let nested = json!({"rope_scaling": {"factor": 2.0}, "rope_parameters": {
            "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
        }});
        assert_eq!((theta(nested.clone()), factor(nested)), (Some(1e6), Some(2.0)));
    }

    #[test]
    fn what_is_null_is_told_from_what_is_not_there() {
        let config = config(json!({"a": null, "b": 2}));
        assert_eq!(config.find_or("a", 1).unwrap(), None::<usize>);
        assert_eq!(config.find_or("b", 1).unwrap(), Some(2));
        assert_eq!(config.find_or("c", 1).unwrap(), Some(1));
    }
}
