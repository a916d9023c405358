//! `methods`: which editing methods there are, and what can be set.

use anyhow::Result;
use retcon::{METHODS, Method};
use serde_json::{Value, json};

use super::Outcome;
use crate::render::{bold, dim, pairs, table};
use crate::shell::Shell;

/// Lists all methods, or describes one.
pub(crate) fn run(shell: &Shell, method: Option<&Method>) -> Result<Outcome> {
    match method {
        Some(method) => {
            shell.say(describe(method))?;
            shell.emit(&to_json(method))?;
        }
        None => {
            shell.say(pairs(
                METHODS.iter().map(|method| (method.name, method.summary.to_owned())),
            ))?;
            shell.note("\n`retcon methods NAME` describes one and its settings")?;
            shell.emit(&METHODS.iter().map(to_json).collect::<Vec<_>>())?;
        }
    }
    Ok(Outcome::Done)
}

fn describe(method: &Method) -> String {
    let defaults = (method.defaults)();
    let mut settings = table(["setting", "default", "meaning"]);
    for &(key, meaning) in method.settings {
        settings.add_row([key, &plain(&defaults[key]), meaning]);
    }
    let name = bold().apply_to(method.name);
    let source = dim().apply_to(format!("source: {}", method.source));
    let described = format!("{name}: {}\n{source}\n\n{}", method.summary, settings.trim_fmt());
    let presets = method.presets();
    if presets.is_empty() {
        return described;
    }
    let mut published = table(["--preset", "settings", "source"]);
    for preset in &presets {
        let settings = preset.settings.iter().map(|(key, value)| format!("{key}={}", plain(value)));
        let settings = settings.collect::<Vec<_>>().join(" ");
        published.add_row([preset.models.join(" "), settings, preset.source.clone()]);
    }
    format!("{described}\n\n{}", published.trim_fmt())
}

/// A default as it is typed after `--set key=`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn to_json(method: &Method) -> Value {
    let defaults = (method.defaults)();
    let setting = |&(key, meaning): &(&str, &str)| json!({"key": key, "default": defaults[key], "meaning": meaning});
    let settings: Vec<_> = method.settings.iter().map(setting).collect();
    json!({
        "name": method.name,
        "summary": method.summary,
        "source": method.source,
        "settings": settings,
        "presets": method.presets().iter().map(|preset| json!({
            "models": preset.models,
            "settings": preset.settings,
            "source": preset.source,
        })).collect::<Vec<_>>(),
    })
}
