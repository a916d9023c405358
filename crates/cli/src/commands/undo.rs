//! `undo`: deltas come off a model's stack. Their files stay.

use anyhow::{Result, bail};
use retcon::Delta;
use serde_json::json;

use super::Outcome;
use crate::failure::advised;
use crate::job::{Undo, Which};
use crate::render::{bold, plural};
use crate::shell::Shell;
use crate::stack::{Layer, Stack};

/// Takes the deltas off the stack.
pub(crate) fn run(shell: &Shell, job: &Undo) -> Result<Outcome> {
    let (mut stack, _change) = Stack::to_change(shell, &job.model, job.stack.as_deref())?;
    let range = match &job.which {
        _ if stack.layers.is_empty() => {
            let what = format!("there is no delta on {}", stack.path.display());
            bail!(advised(what, "`retcon apply` puts deltas there; --stack names another stack"));
        }
        Which::All => 0..stack.layers.len(),
        Which::Last => stack.layers.len() - 1..stack.layers.len(),
        Which::Id(id) => {
            let found = find(&stack, id)?;
            found..found + 1
        }
    };
    let removed: Vec<Layer> = stack.layers.drain(range.clone()).collect();
    warn_of_dependents(&stack.layers[range.start..], &removed);
    stack.write()?;
    for layer in &removed {
        shell.say(format!("undone {} ({})", bold().apply_to(&layer.id), layer.file.display()))?;
    }
    let (path, n) = (stack.path.display(), stack.layers.len());
    shell.say(match n {
        0 => format!("{path} has no deltas now: the model is what it was"),
        n => format!("{path} has {} now", plural(n, "delta")),
    })?;
    let ids = |layers: &[Layer]| layers.iter().map(|l| l.id.clone()).collect::<Vec<_>>();
    shell.emit(&json!({
        "stack": stack.path,
        "model": stack.model.to_string(),
        "removed": ids(&removed),
        "deltas": ids(&stack.layers),
    }))?;
    Ok(Outcome::Done)
}

/// The only delta whose id begins with `id`.
fn find(stack: &Stack, id: &str) -> Result<usize> {
    let mut found = (0..stack.layers.len()).filter(|&i| stack.layers[i].id.starts_with(id));
    let all: Vec<_> = stack.layers.iter().map(|layer| layer.id.as_str()).collect();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => bail!("no delta of the stack has the id {id}; it has: {}", all.join(", ")),
        _ => bail!("the ids of several deltas begin with {id}: {}", all.join(", ")),
    }
}

/// Deltas that were made on top of a removed one may not say any more what they said.
fn warn_of_dependents(above: &[Layer], removed: &[Layer]) {
    for layer in above {
        // What can't be read can't be warned of, and is no reason not to undo.
        let Ok(delta) = Delta::load(&layer.file) else { continue };
        for below in removed.iter().filter(|below| delta.record.after.contains(&below.id)) {
            tracing::warn!(
                "delta {} was made on top of {}, which is gone now; ask whether it still works",
                layer.id,
                below.id
            );
        }
    }
}
