//! `completions`: what a shell needs to complete our command line.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell as Kind;

use serde_json::json;

use super::Outcome;
use crate::args::Args;
use crate::shell::Shell;

/// Prints the completions for a shell of this kind.
pub(crate) fn run(shell: &Shell, kind: Kind) -> Result<Outcome> {
    // Made whole first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(kind, &mut Args::command(), "retcon", &mut script);
    if shell.json {
        let script = String::from_utf8(script)?;
        shell.emit(&json!({"shell": kind.to_string(), "script": script}))?;
    } else {
        std::io::stdout().lock().write_all(&script)?;
    }
    Ok(Outcome::Done)
}
