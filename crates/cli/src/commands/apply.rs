//! `apply`: deltas go on a model's stack.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use retcon::Delta;
use serde_json::json;

use super::{Outcome, edits};
use crate::failure::advised;
use crate::job::Apply;
use crate::model_ref::{canonical, lay_on, read_delta};
use crate::render::{bold, one_line, plural};
use crate::shell::Shell;
use crate::stack::{Layer, Stack};

/// Puts the deltas on the stack, all of them or none.
pub(crate) fn run(shell: &Shell, job: &Apply) -> Result<Outcome> {
    let (mut stack, _change) = Stack::to_change(shell, &job.model, job.stack.as_deref())?;
    let mut model = stack.lay_on(&stack.model.open(shell, &[])?)?;
    let mut added = Vec::new();
    for path in &job.deltas {
        let delta = Arc::new(read_delta(path)?);
        let id = delta.id()?;
        if stack.layers.iter().any(|layer| layer.id == id) {
            let what =
                format!("delta {id} ({}) is on {} already", path.display(), stack.path.display());
            bail!(advised(what, format!("`retcon stack {}` lists what is", stack.path.display())));
        }
        model = lay_on(&model, path, &delta)?;
        warn_of_missing(&stack, &delta, path);
        let file = canonical(path);
        stack.layers.push(Layer { id, file });
        added.push((path, delta));
    }
    stack.write()?;
    for (path, delta) in &added {
        shell.say(line(path, delta)?)?;
    }
    let (path, n) = (stack.path.display(), stack.layers.len());
    shell.say(format!("{path} has {} now", plural(n, "delta")))?;
    shell.note(format!("use it: retcon ask {path} \"...\"; undo it: retcon undo {path}"))?;
    let ids = |layers: &[Layer]| layers.iter().map(|l| l.id.clone()).collect::<Vec<_>>();
    shell.emit(&json!({
        "stack": stack.path,
        "model": stack.model.to_string(),
        "added": ids(&stack.layers[n - added.len()..]),
        "deltas": ids(&stack.layers),
    }))?;
    Ok(Outcome::Done)
}

/// A delta that was made on top of others says what it said only there.
fn warn_of_missing(stack: &Stack, delta: &Delta, path: &Path) {
    let below = |id: &&String| stack.layers.iter().any(|layer| layer.id == **id);
    for id in delta.record.after.iter().filter(|id| !below(id)) {
        tracing::warn!("{} was made on top of delta {id}, which is not below it", path.display());
    }
}

fn line(path: &Path, delta: &Delta) -> Result<String> {
    let edits = one_line(&edits(delta).join("; "), 70);
    Ok(format!("applied {} ({}): {edits}", bold().apply_to(delta.id()?), path.display()))
}
