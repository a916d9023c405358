//! A delta: what made it, what it changes, and which base it is for.

use std::path::Path;

use anyhow::Result;
use retcon::Delta;
use serde_json::{Value, json};

use crate::commands::edit::{delta_json, size};
use crate::commands::{Outcome, edits};
use crate::model_ref::read_delta;
use crate::render::{count, pairs, right, table};
use crate::shell::Shell;

/// Describes the delta in the file `path`.
pub(super) fn inspect(shell: &Shell, path: &Path) -> Result<Outcome> {
    let delta = read_delta(path)?;
    let record = &delta.record;
    let settings = record.settings.as_object().into_iter().flatten();
    let settings = settings.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>();
    let after = match record.after.as_slice() {
        [] => "no other delta".to_owned(),
        ids => ids.join(", "),
    };
    shell.say(pairs([
        ("delta", delta.id()?),
        ("edits", edits(&delta).join("\n")),
        ("method", record.method.clone()),
        ("settings", settings.join("\n")),
        ("seed", record.seed.to_string()),
        ("made after", after),
        ("scores", scores(&record.scores)),
        ("size", size(&delta)?),
    ]))?;
    shell.say(format!("\n{}", updates(&delta)?))?;
    let mut value = delta_json(&delta, Some(path.display().to_string()))?;
    value["record"] = json!(record);
    value["base"] = json!(delta.base);
    shell.emit(&value)?;
    Ok(Outcome::Done)
}

/// What was measured, as `key = value`, with `ok` of `of` as a fraction.
fn scores(scores: &Value) -> String {
    let line = |(key, value): (&String, &Value)| match (&value["ok"], &value["of"]) {
        (Value::Null, _) | (_, Value::Null) => format!("{key} = {value}"),
        (ok, of) => format!("{key} = {ok}/{of}"),
    };
    scores.as_object().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

fn updates(delta: &Delta) -> Result<String> {
    let mut table = table(["weight", "shape", "rank", "numbers", "norm", "base (SHA-256)"]);
    for (id, update) in &delta.updates {
        let base = delta.base.get(id).map_or("?", |base| base.get(..16).unwrap_or(base));
        table.add_row([
            id.to_string(),
            format!("{:?}", update.shape()),
            update.rank().map_or("dense".to_owned(), |rank| rank.to_string()),
            count(update.n_numbers()),
            format!("{:.4}", update.norm()?),
            base.to_owned(),
        ]);
    }
    right(&mut table, &[2, 3, 4]);
    Ok(table.trim_fmt())
}
