//! The `retcon` command: edits facts in language models, undoes the edits, shows what moved.
//!
//! What was typed ([`args`]) is checked into what was meant ([`job`]), which one of [`commands`]
//! carries out. This crate alone prints, downloads and reads the environment.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod args;
mod cache;
mod commands;
mod failure;
mod fetch;
mod job;
mod model_ref;
mod render;
mod shell;
mod stack;
mod statistics;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::args::Args;
use crate::commands::Outcome;
use crate::job::Job;
use crate::shell::Shell;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return ExitCode::from(failure::report_typed(&error)),
    };
    let json = args.common.json;
    let code = match run(args) {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::EditFailed) => failure::EDIT_FAILED,
        Ok(Outcome::OverLimit) => failure::OVER_LIMIT,
        Err(error) => failure::report(&error, json),
    };
    ExitCode::from(code)
}

fn run(args: Args) -> Result<Outcome> {
    let shell = Shell::new(&args.common)?;
    match Job::of(args.command)? {
        Job::Demo(job) => commands::demo::run(&shell, &job),
        Job::Ask(job) => commands::ask::run(&shell, &job),
        Job::Edit(job) => commands::edit::run(&shell, &job),
        Job::Stats(job) => commands::stats::run(&shell, &job),
        Job::Tune(job) => commands::tune::run(&shell, &job),
        Job::Trace(job) => commands::trace::run(&shell, &job),
        Job::Train(job) => commands::train::run(&shell, &job),
        Job::Experiment(job) => commands::experiment::run(&shell, &job),
        Job::Apply(job) => commands::apply::run(&shell, &job),
        Job::Undo(job) => commands::undo::run(&shell, &job),
        Job::Stack(job) => commands::stack::run(&shell, &job),
        Job::Merge(job) => commands::merge::run(&shell, &job),
        Job::Inspect(job) => commands::inspect::run(&shell, &job),
        Job::Data(job) => commands::data::run(&shell, &job),
        Job::Methods(method) => commands::methods::run(&shell, method),
        Job::Bench(job) => commands::bench::run(&shell, &job),
        Job::Report(job) => commands::report::run(&shell, &job),
        Job::Metrics(metric) => commands::metrics::run(&shell, metric.as_ref()),
        Job::Verify(job) => commands::verify::run(&shell, &job),
        Job::Completions(kind) => commands::completions::run(&shell, kind),
    }
}
