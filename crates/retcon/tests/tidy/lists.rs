//! The flat lists, METHODS, FAMILIES and DATASETS, against the documents and the fixtures.

use std::fs;

use retcon::METHODS;
use retcon::data::datasets::DATASETS;
use retcon::eval::METRICS;
use retcon::model::{Checkpoint, FAMILIES};

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
fn every_data_set_is_in_the_docs_with_its_keys() {
    let docs = read("docs/data.md");
    let missing = DATASETS.iter().flat_map(|dataset| {
        let section = docs.split(&format!("\n## `{}`", dataset.name)).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let missing = dataset.keys.iter().filter(|(key, _)| !section.contains(key));
        missing.map(|(key, _)| format!("{}: {key}", dataset.name)).collect::<Vec<_>>()
    });
    hold(missing.collect(), "Describe the format and the key in docs/data.md.");
}

#[test]
fn every_metric_is_in_the_docs() {
    let docs = read("docs/evaluation.md");
    let missing = METRICS.iter().filter(|metric| !docs.contains(&format!("`{}`", metric.name)));
    hold(
        missing.map(|metric| metric.name.to_owned()).collect(),
        "Define the metric in docs/evaluation.md.",
    );
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
    let folders = fs::read_dir(root().join("crates/model/tests/fixtures")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let type_of = |folder: std::path::PathBuf| {
        // What isn't a checkpoint is for other tests.
        let config = Checkpoint::open(&folder).ok()?.config;
        folder.join("expected.safetensors").is_file().then(|| config.get("model_type").unwrap())
    };
    let made: Vec<String> = folders.filter_map(type_of).collect();
    let types = FAMILIES.iter().flat_map(|family| family.model_types);
    let missing = types.filter(|model_type| !made.iter().any(|made| made == *model_type));
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
    let n_entries = |file: &source::File| file.text.matches(": Method = Method {").count();
    let methods: Vec<_> = files.iter().filter(|file| n_entries(file) > 0).collect();
    let n: usize = methods.iter().map(|file| n_entries(file)).sum();
    assert_eq!(n, METHODS.len(), "a method is an entry in a file and a line in METHODS");
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
