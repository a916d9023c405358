//! The flat lists, METHODS and FAMILIES, against the documents and the fixtures.

use std::fs;
use std::path::Path;

use retcon::METHODS;
use retcon::model::FAMILIES;

use crate::hold;
use crate::source::{self, root};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn every_method_is_in_the_readme() {
    let readme = read("README.md");
    let missing = METHODS.iter().filter(|method| !readme.contains(&format!("`{}`", method.name)));
    hold(
        missing.map(|method| method.name.to_owned()).collect(),
        "Add a row to the table of \
        methods in README.md.",
    );
}

#[test]
fn every_setting_is_in_the_docs() {
    let docs = read("docs/methods.md");
    let missing = METHODS.iter().flat_map(|method| {
        let settings = method.settings.iter().map(|(key, _)| key);
        let missing = settings.filter(|key| !docs.contains(&format!("`{key}`")));
        missing.map(|key| format!("{}: {key}", method.name)).collect::<Vec<_>>()
    });
    hold(missing.collect(), "Describe the setting in docs/methods.md.");
}

#[test]
fn every_family_is_in_the_readme() {
    let readme = read("README.md");
    let missing = FAMILIES.iter().filter(|family| !readme.contains(&format!("`{}`", family.name)));
    hold(
        missing.map(|family| family.name.to_owned()).collect(),
        "Add a row to the table of \
        families in README.md.",
    );
}

#[test]
fn every_model_type_has_a_fixture() {
    let fixtures = source::files("crates/model/tests/fixtures", "config.json");
    let missing = FAMILIES.iter().flat_map(|family| family.model_types).filter(|model_type| {
        let named = format!("\"model_type\": \"{model_type}\"");
        let mut of_type = fixtures.iter().filter(|config| config.text.contains(&named));
        !of_type.any(|config| {
            let folder = root().join(&config.path);
            let folder = folder.parent().unwrap_or(Path::new("."));
            folder.join("expected.safetensors").is_file() && folder.join("tokenizer.json").is_file()
        })
    });
    hold(
        missing.map(|model_type| (*model_type).to_owned()).collect(),
        "Make a tiny random \
        checkpoint of this type with crates/model/tests/fixtures/make.py, and commit it with what \
        the reference implementation computes.",
    );
}

#[test]
fn every_method_says_what_it_changes_and_where_it_is_from() {
    let files = source::files("crates/retcon/src/edit", ".rs");
    let methods: Vec<_> =
        files.iter().filter(|file| file.text.contains("pub const METHOD: Method")).collect();
    assert_eq!(methods.len(), METHODS.len(), "a method is one file and one line in METHODS");
    let broken = methods.iter().flat_map(|file| {
        let missing = ["//! Changes: ", "//! Equation: ", "//! Source: "].into_iter();
        let missing = missing.filter(|line| !file.text.contains(*line));
        missing.map(|line| format!("{}: `{line}`", file.path)).collect::<Vec<_>>()
    });
    hold(
        broken.collect(),
        "Open the file of a method with what it changes, its equation in plain \
        text, and its paper, with each deviation from the published code.",
    );
}
