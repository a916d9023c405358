//! What a sweep tries: blocks at several depths, then other numbers than the method's own.

use std::collections::BTreeSet;

use retcon_model::Model;
use retcon_model::spec::NormOrder;
use serde_json::{Map, Value, json};

use super::{N_AT_ONCE, N_BEST, N_FACTS};
use crate::edit::Method;
use crate::edit::prefixes::prefixes;
use crate::edit::recipe::{MetricName, Recipe};
use crate::error::Result;

/// Depths at which a block is tried.
const DEPTHS: [f64; 6] = [0.15, 0.25, 0.35, 0.45, 0.6, 0.75];

/// The least length of an offset that was published, in lengths of what is there.
const LEAST_CLAMP: f64 = 0.75;

/// Blocks of a method that spreads what is missing over several.
const SPREAD: usize = 5;

/// Settings that belong to every trial, and not to what is chosen: the prefixes, written once, and
/// fewer of them than an edit has that counts.
pub(super) fn fixed(model: &Model, method: &Method, seed: u64) -> Result<Map<String, Value>> {
    let mut fixed = Map::new();
    if (method.defaults)().get("prefixes").is_some() {
        fixed.insert("prefixes".to_owned(), json!(prefixes(model, &[10; 5], seed)?));
    }
    Ok(fixed)
}

/// The method's own settings as a recipe; `None` where it is of another kind.
pub(super) fn recipe(method: &Method) -> Option<Recipe> {
    serde_json::from_value((method.defaults)()).ok()
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
fn base(model: &Model, method: &Method) -> Map<String, Value> {
    let mut base = Map::new();
    let Some(recipe) = recipe(method) else { return base };
    if !matches!(model.spec().norm_order, NormOrder::Sandwich | NormOrder::Branch) {
        return base;
    }
    base.insert("clamp".to_owned(), json!(LEAST_CLAMP));
    if let Some(mu) = softness(model, &recipe).filter(|_| recipe.mu.is_none()) {
        base.insert("mu".to_owned(), json!(rounded(0.1 * mu)));
    }
    base
}

/// Choices of blocks: the method's own, then from the front to the back, `traced` among them.
pub(super) fn blocks(
    model: &Model,
    method: &Method,
    traced: Option<usize>,
) -> Vec<Map<String, Value>> {
    let (n, defaults) = (model.spec().n_blocks, (method.defaults)());
    // A method whose value is the block's output shares it out, where the model allows it.
    let spreads = defaults.get("site").is_some_and(|site| site != "mlp")
        && model.spec().norm_order == NormOrder::Pre
        && method.name != "emmet";
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
    if let Some(Ok(own)) = recipe(method).map(|own| own.blocks(model)) {
        choices.retain(|&(first, last)| !own.iter().copied().eq(first..=last));
    }
    let base = base(model, method);
    let settings = |(first, last): (usize, usize)| {
        let blocks = if first == last { last.to_string() } else { format!("{first}-{last}") };
        base.clone().into_iter().chain([("blocks".to_owned(), json!(blocks))]).collect()
    };
    let own = (!base.is_empty()).then(|| base.clone());
    std::iter::once(Map::new()).chain(own).chain(choices.into_iter().map(settings)).collect()
}

/// Other numbers, one at a time: what published presets have for other widths doesn't carry over.
pub(super) fn numbers(model: &Model, method: &Method) -> Vec<(String, Value)> {
    let mut defaults = (method.defaults)();
    if let Some(recipe) = recipe(method) {
        defaults["mu"] = json!(softness(model, &recipe));
    }
    let default = |key: &str| defaults.get(key).and_then(Value::as_f64).filter(|x| *x > 0.0);
    let base = base(model, method);
    let mut numbers = Vec::new();
    let mut add = |key: &str, value: f64| {
        let value = json!(rounded(value));
        if base.get(key).unwrap_or(&defaults[key]) != &value {
            numbers.push((key.to_owned(), value));
        }
    };
    for (key, factors) in [
        ("mu", [0.01, 0.1, 1.0].as_slice()),
        ("learning_rate", &[0.4, 0.1]),
        ("threshold", &[0.1, 10.0]),
        ("rate", &[100.0, 1_000.0]),
    ] {
        let matters = key != "threshold" || defaults["metric"] == "null-space";
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

/// Edits that a sweep makes, at most: tracing may find one more block.
pub fn n_edits(model: &Model, method: &Method) -> usize {
    let n_blocks = blocks(model, method, None).len() + 1;
    let n_together = N_BEST.iter().sum::<usize>() * N_AT_ONCE;
    (n_blocks + numbers(model, method).len()) * N_FACTS + n_together
}
