//! What a sweep tries: blocks at several depths, then other numbers than the method's own.

use std::collections::BTreeSet;

use retcon_model::Model;
use retcon_model::spec::NormOrder;
use serde_json::{Map, Value, json};

use super::N_FACTS;
use crate::edit::Method;
use crate::edit::prefixes::prefixes;
use crate::error::Result;

/// Depths at which a block is tried.
const DEPTHS: [f64; 6] = [0.15, 0.25, 0.35, 0.45, 0.6, 0.75];

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

/// Choices of blocks: the method's own, then from the front to the back.
pub(super) fn blocks(model: &Model, method: &Method) -> Vec<Map<String, Value>> {
    let (n, defaults) = (model.spec().n_blocks, (method.defaults)());
    // A method whose value is the block's output shares it out, where the model allows it.
    let spreads = defaults.get("site").is_some_and(|site| site != "mlp")
        && model.spec().norm_order == NormOrder::Pre
        && method.name != "emmet";
    let of_depth = |depth: f64| {
        let last = ((depth * n as f64) as usize).min(n.saturating_sub(2));
        match spreads {
            true => (last.saturating_sub(SPREAD - 1), last),
            false => (last, last),
        }
    };
    let choices: BTreeSet<_> = DEPTHS.into_iter().map(of_depth).collect();
    let settings = |(first, last): (usize, usize)| {
        let blocks = if first == last { last.to_string() } else { format!("{first}-{last}") };
        Map::from_iter([("blocks".to_owned(), json!(blocks))])
    };
    std::iter::once(Map::new()).chain(choices.into_iter().map(settings)).collect()
}

/// Other numbers, one at a time: what published presets have for other widths doesn't carry over.
pub(super) fn numbers(model: &Model, method: &Method) -> Vec<(String, Value)> {
    let mut defaults = (method.defaults)();
    if defaults.get("mu").is_some_and(Value::is_null) {
        defaults["mu"] = json!(model.spec().d_mlp);
    }
    let mut numbers = Vec::new();
    // Divisors, since a hundredth has no exact f64 and a hundred has.
    for (key, divisors) in [
        ("mu", [100.0, 10.0].as_slice()),
        ("clamp", &[2.0]),
        ("learning_rate", &[2.5]),
        ("threshold", &[10.0]),
        ("rate", &[0.01, 0.000_1]),
    ] {
        let Some(default) = defaults.get(key).and_then(Value::as_f64) else { continue };
        let matters = key != "threshold" || defaults["metric"] == "null-space";
        if default > 0.0 && matters {
            numbers.extend(divisors.iter().map(|by| (key.to_owned(), json!(default / by))));
        }
    }
    numbers
}

/// Edits that a sweep makes, at most.
pub fn n_edits(model: &Model, method: &Method) -> usize {
    (blocks(model, method).len() + numbers(model, method).len()) * N_FACTS
}
