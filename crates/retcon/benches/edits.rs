//! What edits that locate and their statistics cost: the measurements of
//! `benches/pytorch/locate.py`, on this side.
//!
//! `cargo bench -p retcon --bench edits -- REQUEST.json`, with the request that the other side gets
//! (see `locate/request.rs`). Prints one line of JSON. `benches/editors.py` runs both sides.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod locate;
mod measure;

use std::path::Path;
use std::time::Instant;

use retcon::{Model, Options};
use serde_json::Value;

use self::locate::request::{Request, Task};
use self::locate::{edits, grow, statistics};
use self::measure::{Outcome, peak_rss_mb};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [request] = args.as_slice() else {
        // `cargo test` and a plain `cargo bench` run this without arguments: nothing to measure.
        return Ok(());
    };
    let request = Request::read(Path::new(request))?;
    let clock = Instant::now();
    let model = Model::open(&request.model, &Options::default())?;
    let seconds = clock.elapsed().as_secs_f64();
    let loaded = bytes(peak_rss_mb());
    let mut line = match request.method {
        Task::Rome | Task::Memit | Task::Alphaedit => edits::measure(&request, &model)?,
        Task::Statistics => statistics::measure(&request, &model)?,
        Task::Grow => grow::measure(&request, &model)?,
    };
    line["side"] = "retcon".into();
    line["name"] = serde_json::to_value(request.method)?;
    line["blocks"] = request.blocks.clone().into();
    line["load_seconds"] = seconds.into();
    line["loaded_rss_bytes"] = loaded;
    // What a mode noted itself is that of its own work.
    if line["peak_rss_bytes"].is_null() {
        line["peak_rss_bytes"] = bytes(peak_rss_mb());
    }
    println!("{line}");
    Ok(())
}

fn bytes(mb: f64) -> Value {
    Value::from((mb * 1024.0 * 1024.0) as u64)
}
