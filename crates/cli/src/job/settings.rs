//! Settings as they are typed: each gets the type that its default has.

use anyhow::{Result, bail};
use retcon::{Error, Method};
use serde_json::{Map, Value};

use crate::args;
use crate::failure::usage;

/// The settings that were typed, each of the type that its default has.
pub(super) fn settings(
    method: &Method,
    set: &[String],
    aliases: &args::Aliases,
) -> Result<Map<String, Value>> {
    let defaults = (method.defaults)();
    let mut settings = Map::new();
    let mut put = |flag: &str, key: &str, text: &str| {
        let value = typed(text, &defaults[key]);
        match settings.insert(key.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(usage(format!("{flag}: the setting `{key}` is given twice"))),
        }
    };
    for pair in set {
        let (key, text) = pair
            .split_once('=')
            .ok_or_else(|| usage(format!("--set: expected KEY=VALUE, found: {pair}")))?;
        put("--set", key.trim(), text)?;
    }
    for (flag, key, value) in [
        ("--blocks", "blocks", &aliases.blocks),
        ("--components", "components", &aliases.components),
        ("--constraint", "constraint", &aliases.constraint),
        ("--radius", "radius", &aliases.radius),
        ("--steps", "steps", &aliases.steps),
        ("--lr", "learning_rate", &aliases.lr),
    ] {
        if let Some(text) = value {
            put(flag, key, text)?;
        }
    }
    Ok(settings)
}

/// Makes sure that a method takes these settings. Whatever reads them all tells what is wrong with a
/// value, and not whose it is.
pub(super) fn check(method: &Method, given: &Map<String, Value>) -> Result<()> {
    let Err(error) = method.editor(given.clone()) else { return Ok(()) };
    let Error::BadSettings { method: name, what } = &error else { bail!(error) };
    let is_bad = |key: &&String| {
        let alone = Map::from_iter([((*key).clone(), given[*key].clone())]);
        matches!(method.editor(alone), Err(Error::BadSettings { .. }))
    };
    let key = given.keys().find(is_bad).map(|key| format!("`{key}`"));
    match key.filter(|key| !what.contains(key)) {
        Some(key) => bail!(Error::BadSettings { method: name, what: format!("{key}: {what}") }),
        None => bail!(error),
    }
}

/// `text` as JSON where it is some, unless the setting is a text; a list may lack its brackets.
pub(super) fn typed(text: &str, default: &Value) -> Value {
    let text = text.trim();
    let plain = || Value::from(text);
    match (default, serde_json::from_str(text)) {
        (Value::String(_), Ok(Value::String(text))) => text.into(),
        (Value::String(_), _) => plain(),
        (Value::Array(_), Ok(list @ Value::Array(_))) => list,
        (Value::Array(_), _) => text.split(',').map(str::trim).collect(),
        (_, Ok(value)) => value,
        (_, Err(_)) => plain(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_have_the_types_of_their_defaults() {
        for (text, default, expected) in [
            ("3", json!("auto"), json!("3")),
            ("\"3\"", json!("auto"), json!("3")),
            ("3", json!(1), json!(3)),
            ("mlp, norms", json!(["mlp"]), json!(["mlp", "norms"])),
            ("[\"mlp\"]", json!([]), json!(["mlp"])),
            ("1e-3", json!(null), json!(1e-3)),
            ("x", json!(1), json!("x")),
        ] {
            assert_eq!(typed(text, &default), expected, "{text}");
        }
    }
}
