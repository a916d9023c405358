//! Changes one fact in a model and prints what that did.
//!
//! `cargo run --release --example edit_one_fact -- MODEL "The capital of {France} is => Berlin"`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;
use std::time::Instant;

use retcon::data::Fact;
use retcon::eval::questions::Counts;
use retcon::{Ctx, Method, Model, Options, compare};
use serde_json::{Map, Value};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(fact)) = (args.next(), args.next()) else {
        return Err("usage: edit_one_fact MODEL FACT [KEY=VALUE...]".into());
    };
    let mut settings = Map::new();
    for setting in args {
        let (key, value) = setting.split_once('=').ok_or("settings are written KEY=VALUE")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        settings.insert(key.to_owned(), value);
    }
    let clock = Instant::now();
    let model = Model::open(&path, &Options::default())?;
    println!("opened in {:.2} s", clock.elapsed().as_secs_f64());

    let facts = fact.split('|').map(Fact::parse).collect::<Result<Vec<_>, _>>()?;
    let editor = Method::find("ft")?.editor(settings)?;
    let ctx = Ctx::new(0);
    let clock = Instant::now();
    let delta = Arc::new(editor.edit(&ctx, &model, &facts)?);
    println!("edited in {:.2} s: {}", clock.elapsed().as_secs_f64(), delta.record.scores);
    println!("{} numbers, norm {:.3}", delta.n_numbers(), delta.norm()?);

    let clock = Instant::now();
    let report = compare(&model, &model.with(delta.clone())?, &facts, Counts::default(), 0)?;
    println!("compared in {:.2} s: {}", clock.elapsed().as_secs_f64(), report.success);
    for row in &report.rows {
        println!(
            "{:<10} {:<5} {:<50} old {:>5.1}% -> {:>5.1}%  new {:>5.1}% -> {:>5.1}%  {:?} -> {:?}",
            row.axis.name(),
            row.is_as_wanted(),
            row.prompt,
            100.0 * row.before.p_old.unwrap_or(0.0),
            100.0 * row.after.p_old.unwrap_or(0.0),
            100.0 * row.before.p_new,
            100.0 * row.after.p_new,
            row.before.says,
            row.after.says,
        );
    }
    println!("{:?}", report.drift);
    Ok(())
}
