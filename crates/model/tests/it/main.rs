//! The model crate against the reference implementation, on tiny random checkpoints and on a real
//! one where an environment variable names it.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod checkpoints;
mod delta;
mod gemma3;
mod golden;
mod gradients;
mod inside;
mod load;
mod memory;
mod positions;
mod smollm2;
mod variants;

use std::path::{Path, PathBuf};

use retcon_model::{Model, Options};

/// The folder of the fixture `name`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The fixture `name`, loaded with default options.
fn model(name: &str) -> Model {
    Model::open(fixture(name), &Options::default()).unwrap()
}

/// What the reference implementation says of the fixture `name`.
fn expected(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(fixture(name).join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A list of token ids in JSON.
fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}
