//! `inspect`: what a model is made of, or what a delta changes.

mod delta;
mod model;
mod words;

use anyhow::Result;

use super::Outcome;
use crate::job::Inspect;
use crate::shell::Shell;

/// Describes a model or a delta.
pub(crate) fn run(shell: &Shell, job: &Inspect) -> Result<Outcome> {
    match job {
        Inspect::Model(reference) => model::inspect(shell, reference),
        Inspect::Delta(path) => delta::inspect(shell, path),
    }
}
