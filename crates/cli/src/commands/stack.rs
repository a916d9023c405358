//! `stack`: which deltas are used with a model.

use anyhow::Result;
use retcon::Delta;
use serde_json::{Value, json};

use super::{Outcome, edits};
use crate::commands::edit::{delta_json, n_bytes};
use crate::failure::message;
use crate::job;
use crate::render::{bytes, one_line, right, table};
use crate::shell::Shell;
use crate::stack::{Layer, Stack};

/// Lists the stack.
pub(crate) fn run(shell: &Shell, job: &job::Stack) -> Result<Outcome> {
    let stack = Stack::of(&job.model, job.stack.as_deref())?;
    let path = stack.path.display();
    if stack.layers.is_empty() {
        shell.say(format!("{path}: no deltas on {}", stack.model))?;
    } else {
        shell.say(format!("{path}: on {}, the lowest first", stack.model))?;
    }
    let mut rows = table(["id", "method", "facts", "norm", "size", "made after", "file"]);
    let mut layers = Vec::new();
    for (i, layer) in stack.layers.iter().enumerate() {
        let row = match layer.read(&stack.path) {
            Ok(delta) => {
                warn_of_missing(layer, &delta, &stack.layers[..i]);
                layers.push(to_json(layer, &delta)?);
                row(layer, &delta)?
            }
            // A broken layer is listed too: it has to be found to be taken off.
            Err(error) => {
                let error = message(&error);
                layers.push(json!({"id": layer.id, "file": layer.file, "error": error}));
                let mut row = vec![layer.id.clone(), "?".to_owned(), error];
                row.resize(6, String::new());
                row.push(layer.file.display().to_string());
                row
            }
        };
        rows.add_row(row);
    }
    if !stack.layers.is_empty() {
        right(&mut rows, &[3, 4]);
        shell.say(rows.trim_fmt())?;
    }
    shell
        .emit(&json!({"stack": stack.path, "model": stack.model.to_string(), "deltas": layers}))?;
    Ok(Outcome::Done)
}

fn row(layer: &Layer, delta: &Delta) -> Result<Vec<String>> {
    let after = match delta.record.after.is_empty() {
        true => "-".to_owned(),
        false => delta.record.after.join(", "),
    };
    Ok(vec![
        layer.id.clone(),
        delta.record.method.clone(),
        one_line(&edits(delta).join("; "), 60),
        format!("{:.4}", delta.norm()?),
        bytes(n_bytes(delta)),
        after,
        layer.file.display().to_string(),
    ])
}

fn to_json(layer: &Layer, delta: &Delta) -> Result<Value> {
    let mut value = delta_json(delta, Some(layer.file.display().to_string()))?;
    value["method"] = delta.record.method.clone().into();
    value["edits"] = delta.record.edits.clone().into();
    value["after"] = delta.record.after.clone().into();
    Ok(value)
}

fn warn_of_missing(layer: &Layer, delta: &Delta, below: &[Layer]) {
    for id in delta.record.after.iter().filter(|id| !below.iter().any(|b| b.id == **id)) {
        tracing::warn!(
            "delta {} was made on top of {id}, which is not below it any more",
            layer.id
        );
    }
}
