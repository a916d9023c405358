//! Numbers as they were published, by method and model.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::edit::Method;
use crate::error::{Error, Result};

/// Settings that were published for some models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The methods that they belong to.
    pub methods: Vec<String>,
    /// The models, by the names that people use; after a colon the variant of the method, if it is one.
    pub models: Vec<String>,
    /// Where they were published.
    pub source: String,
    /// What is other than the method's own settings.
    pub settings: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    preset: Vec<Preset>,
}

impl Method {
    /// What was published for it, model by model.
    #[must_use]
    pub fn presets(&self) -> Vec<Preset> {
        let file: File = toml::from_str(include_str!("presets.toml"))
            .expect("the presets that come with the library are well formed, as a test makes sure");
        let is_mine = |preset: &Preset| preset.methods.iter().any(|name| name == self.name);
        file.preset.into_iter().filter(is_mine).collect()
    }

    /// The settings that were published for a model.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`], which names those that there are.
    pub fn preset(&self, model: &str) -> Result<Map<String, Value>> {
        let presets = self.presets();
        let found = presets.iter().find(|preset| preset.models.iter().any(|name| name == model));
        let known = || presets.iter().flat_map(|preset| preset.models.clone()).collect();
        found.map(|preset| preset.settings.clone()).ok_or_else(|| Error::UnknownPreset {
            method: self.name,
            found: model.to_owned(),
            known: known(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::METHODS;

    #[test]
    fn every_preset_is_one_of_a_method_that_takes_it() {
        let mut n = 0;
        for method in METHODS {
            for preset in method.presets() {
                method.editor(preset.settings.clone()).unwrap();
                n += preset.models.len();
            }
        }
        assert!(n > 30);
        let encore = Method::find("memit").unwrap().preset("llama-3-8b:encore").unwrap();
        assert!(encore["past"] == true && encore["stop_leads"] == 2);
        let nas = Method::find("alphaedit").unwrap().preset("llama-3-8b:nas").unwrap();
        assert_eq!(nas["anchor"], "auto");
        let file: File = toml::from_str(include_str!("presets.toml")).unwrap();
        let is_known = |name: &String| METHODS.iter().any(|method| method.name == name);
        assert!(file.preset.iter().flat_map(|preset| &preset.methods).all(is_known));
        let error = METHODS[0].preset("gpt2-xl").unwrap_err().to_string();
        assert!(error.contains("gpt2-xl"), "{error}");
    }
}
