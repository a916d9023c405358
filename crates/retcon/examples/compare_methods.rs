//! Changes one fact by several methods, and prints what each of them did to everything else.
//!
//! `cargo run --release --example compare_methods -- MODEL "The capital of {France} is => Berlin"`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::time::Instant;

use retcon::data::case::Axis;
use retcon::data::{Corpus, Fact};
use retcon::eval::questions::Counts;
use retcon::stats::{Kept, Limits};
use retcon::{Ctx, Method, Model, Options, compare};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(fact)) = (args.next(), args.next()) else {
        return Err("usage: compare_methods MODEL FACT".into());
    };
    let model = Model::open(model, &Options::default())?;
    let facts = [Fact::parse(&fact)?];
    // Closed forms need second moments of keys, which are computed once and kept in a folder.
    let folder = std::env::temp_dir().join("retcon-statistics");
    let statistics = Kept { folder, corpus: Corpus::own(), limits: Limits::default() };
    let ctx = Ctx::new(0).with_statistics(&statistics);

    for name in ["ft", "lora", "rome", "memit", "alphaedit"] {
        let clock = Instant::now();
        let delta = Method::find(name)?.editor(())?.edit(&ctx, &model, &facts)?;
        let seconds = clock.elapsed().as_secs_f64();
        let report = compare(&model, &model.with(delta)?, &facts, Counts::default(), 0)?;
        let tally = |axis: Axis| {
            let (good, all) = report.tally(axis);
            format!("{good}/{all}")
        };
        println!(
            "{name:<10} edit {} paraphrases {} neighbors {}, KL {:.1e} nats, {seconds:.1} s",
            tally(Axis::Rewrite),
            tally(Axis::Paraphrase),
            tally(Axis::Neighbor),
            report.drift.mean_kl,
        );
    }
    Ok(())
}
