//! What a sweep tries: blocks at several depths, then other numbers than the method's own.

use std::collections::BTreeSet;

use retcon_model::Model;
use retcon_model::spec::NormOrder;
use serde_json::{Map, Value, json};

use super::{N_AT_ONCE, N_BEST, N_FACTS};
use crate::edit::Method;
use crate::edit::closed_form::prefixes::prefixes;
use crate::edit::closed_form::recipe::{MetricName, Recipe, ValueSite};
use crate::error::Result;

/// Depths at which a block is tried.
const DEPTHS: [f64; 6] = [0.15, 0.25, 0.35, 0.45, 0.6, 0.75];

/// The least length of an offset that was published, in lengths of what is there.
const LEAST_CLAMP: f64 = 0.75;

/// Blocks of a method that spreads what is missing over several.
const SPREAD: usize = 5;

/// What a sweep starts from.
pub(super) struct Start<'a> {
    pub(super) method: &'static Method,
    /// Settings in the place of the method's own, which no candidate changes.
    pub(super) given: &'a Map<String, Value>,
    /// All settings.
    settings: Map<String, Value>,
}

impl<'a> Start<'a> {
    pub(super) fn new(method: &'static Method, given: &'a Map<String, Value>) -> Self {
        let Value::Object(mut settings) = (method.defaults)() else {
            unreachable!("settings are a map")
        };
        settings.extend(given.clone());
        Self { method, given, settings }
    }

    /// As a recipe; `None` where the method is of another kind.
    pub(super) fn recipe(&self) -> Option<Recipe> {
        serde_json::from_value(Value::Object(self.settings.clone())).ok()
    }

    /// Settings that belong to every trial, and not to what is chosen: those that were given, and the
    /// prefixes, written once, and fewer of them than an edit has that counts.
    pub(super) fn fixed(&self, model: &Model, seed: u64) -> Result<Map<String, Value>> {
        let mut fixed = self.given.clone();
        if self.settings.get("prefixes").is_some_and(Value::is_null) {
            fixed.insert("prefixes".to_owned(), json!(prefixes(model, &[10; 5], seed)?));
        }
        Ok(fixed)
    }
}

/// How soft a recipe is, where that is a number before there are keys.
fn softness(model: &Model, recipe: &Recipe) -> Option<f64> {
    let width = model.spec().d_mlp as f64;
    recipe.mu.or((recipe.metric == MetricName::Moment).then_some(width))
}

/// The numbers that blocks are tried with, where they are not the method's own. Behind a norm the length
/// of what an MLP gives means nothing, and its direction everything: an offset of four lengths replaces
/// all that was there, moves every other text, and makes all blocks look bad. So where a norm follows, it
/// is held to the least that was published; and one block that is written has to reach the value, where
/// MEMIT's softness leaves half of it to the blocks that come after.
fn base(model: &Model, start: &Start<'_>) -> Map<String, Value> {
    let mut base = Map::new();
    let Some(recipe) = start.recipe() else { return base };
    if !matches!(model.spec().norm_order, NormOrder::Sandwich | NormOrder::Branch) {
        return base;
    }
    base.insert("clamp".to_owned(), json!(LEAST_CLAMP));
    if let Some(mu) = softness(model, &recipe).filter(|_| recipe.mu.is_none()) {
        base.insert("mu".to_owned(), json!(rounded(0.1 * mu)));
    }
    base.retain(|key, _| !start.given.contains_key(key));
    base
}

/// Choices of blocks: the method's own, then from the front to the back, `traced` among them.
pub(super) fn blocks(
    model: &Model,
    start: &Start<'_>,
    traced: Option<usize>,
) -> Vec<Map<String, Value>> {
    let n = model.spec().n_blocks;
    // A method whose value is the block's output shares it out, where the model allows it.
    let spreads = start.recipe().is_some_and(|recipe| recipe.site != ValueSite::Mlp)
        && model.spec().norm_order == NormOrder::Pre;
    let up_to = |last: usize| {
        // Nothing after the last block could pass on what it is made to say.
        let last = last.min(n.saturating_sub(2));
        match spreads {
            true => (last.saturating_sub(SPREAD - 1), last),
            false => (last, last),
        }
    };
    let depths = DEPTHS.into_iter().map(|depth| (depth * n as f64) as usize);
    let mut choices: BTreeSet<_> = depths.chain(traced).map(up_to).collect();
    if let Some(Ok(own)) = start.recipe().map(|own| own.blocks(model)) {
        choices.retain(|&(first, last)| !own.iter().copied().eq(first..=last));
    }
    let base = base(model, start);
    if start.given.contains_key("blocks") {
        choices.clear();
    }
    let settings = |(first, last): (usize, usize)| {
        let blocks = if first == last { last.to_string() } else { format!("{first}-{last}") };
        base.clone().into_iter().chain([("blocks".to_owned(), json!(blocks))]).collect()
    };
    let own = (!base.is_empty()).then(|| base.clone());
    std::iter::once(Map::new()).chain(own).chain(choices.into_iter().map(settings)).collect()
}

/// Other numbers, one at a time: what published presets have for other widths doesn't carry over.
pub(super) fn numbers(model: &Model, start: &Start<'_>) -> Vec<(String, Value)> {
    let mut defaults = start.settings.clone();
    if let Some(recipe) = start.recipe() {
        defaults.insert("mu".to_owned(), json!(softness(model, &recipe)));
    }
    defaults.retain(|key, _| !start.given.contains_key(key));
    let default = |key: &str| defaults.get(key).and_then(Value::as_f64).filter(|x| *x > 0.0);
    let base = base(model, start);
    let mut numbers = Vec::new();
    let mut add = |key: &str, value: f64| {
        let value = json!(rounded(value));
        if base.get(key).unwrap_or(&defaults[key]) != &value {
            numbers.push((key.to_owned(), value));
        }
    };
    let is_null_space = start.settings.get("metric").is_some_and(|metric| metric == "null-space");
    for (key, factors) in [
        ("mu", [0.01, 0.1, 1.0].as_slice()),
        ("learning_rate", &[0.4, 0.1]),
        ("threshold", &[0.1, 10.0]),
        ("rate", &[100.0, 1_000.0]),
    ] {
        let matters = key != "threshold" || is_null_space;
        if let Some(default) = default(key).filter(|_| matters) {
            factors.iter().for_each(|factor| add(key, factor * default));
        }
    }
    // In lengths of what is there, so it is a number for any width: the published ones are the ends.
    if default("clamp").is_some() {
        [LEAST_CLAMP, 2.0, 4.0].into_iter().for_each(|clamp| add("clamp", clamp));
    }
    numbers
}

/// A number that people can read: a tenth of 1536 and not 153.60000000000002.
fn rounded(x: f64) -> f64 {
    format!("{x:.6e}").parse().expect("it was written as a number")
}

/// Edits that a sweep of `method` with `given` settings makes, at most: tracing may find one more block.
#[must_use]
pub fn n_edits(model: &Model, method: &'static Method, given: &Map<String, Value>) -> usize {
    of_start(model, &Start::new(method, given))
}

/// As [`n_edits`].
pub(super) fn of_start(model: &Model, start: &Start<'_>) -> usize {
    let n_blocks = blocks(model, start, None).len() + 1;
    let n_together = N_BEST.iter().sum::<usize>() * N_AT_ONCE;
    (n_blocks + numbers(model, start).len()) * N_FACTS + n_together
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use retcon_model::Options;

    use super::*;
    use crate::edit::METHODS;
    use crate::tune::solved_in;

    /// For a text too short for statistics the advice is to do without them, and a sweep asked for them all
    /// the same.
    #[test]
    fn nothing_takes_the_place_of_what_was_given() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
        for name in ["llama", "gemma3"] {
            let model = Model::open(fixtures.join(name), &Options::default()).unwrap();
            for method in METHODS.iter().filter(|method| method.needs_statistics(&Map::new())) {
                let nothing = Map::new();
                let free = Start::new(method, &nothing);
                let all = blocks(&model, &free, Some(1));
                assert!(solved_in(&model, &free, &all).unwrap().is_some(), "{}", method.name);
                let given = json!({"metric": "identity", "clamp": 1.5, "blocks": "0"});
                let given = given.as_object().unwrap();
                let start = Start::new(method, given);
                let tried = blocks(&model, &start, Some(1));
                assert_eq!(solved_in(&model, &start, &tried).unwrap(), None, "{}", method.name);
                let fixed = start.fixed(&model, 0).unwrap();
                assert!(given.iter().all(|(key, value)| fixed[key] == *value));
                let numbers = numbers(&model, &start).into_iter().map(|(key, _)| key);
                let tried = tried.into_iter().flatten().map(|(key, _)| key);
                let keys: BTreeSet<String> = tried.chain(numbers).collect();
                assert!(given.keys().all(|key| !keys.contains(key)), "{}: {keys:?}", method.name);
            }
        }
    }
}
