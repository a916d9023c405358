//! The methods, a file for those of one paper: rows of settings, most of them.

pub mod alphaedit;
pub mod ft;
pub mod lora;
pub mod memit;
pub mod presets;
pub mod rome;
pub mod ultraedit;

use super::Method;

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

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

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
