//! Editing and measuring, on the tiny random models of the model crate.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod closed_forms;
mod datasets;
mod experiment;
mod finetune;
mod formulas;
mod identity;
mod kept_statistics;
mod knowledge;
mod lookup;
mod measures;
mod past_keys;
mod promises;
mod references;
mod regularized;
mod searches;
mod solving;
mod statistics;
mod trace;
mod train;

use std::path::{Path, PathBuf};

use retcon::data::Fact;
use retcon::stats::{Nothing, Source};
use retcon::{Ctx, Delta, Method, Model, Options, Result};
use serde_json::Value;

/// The folder of the model fixture `name`.
fn fixture(name: &str) -> PathBuf {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model");
    model.join("tests/fixtures").join(name)
}

/// A file or folder of the public data, if there is one.
fn real(name: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "says where the data is, as the tests' documentation has it"
    )]
    let folder = std::env::var_os("RETCON_DATA")?;
    Some(PathBuf::from(folder).join(name))
}

/// The fixture `name`, loaded.
fn model(name: &str) -> Model {
    Model::open(fixture(name), &Options::default()).unwrap()
}

/// Facts as people write them.
fn facts(lines: &[&str]) -> Vec<Fact> {
    lines.iter().map(|line| Fact::parse(line).unwrap()).collect()
}

/// The change that the method `ft` makes with `settings` (a JSON object) and `seed`.
fn edit(model: &Model, facts: &[Fact], settings: &Value, seed: u64) -> Result<Delta> {
    let given = settings.as_object().unwrap().clone();
    let editor = Method::find("ft")?.editor(given)?;
    with_ctx(seed, &Nothing, |ctx| editor.edit(ctx, model, facts))
}

/// What `work` gives with nobody looking.
fn with_ctx<T>(seed: u64, statistics: &dyn Source, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
    work(&Ctx::new(seed).with_statistics(statistics))
}
