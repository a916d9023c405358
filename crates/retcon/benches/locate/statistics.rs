//! Second moments of keys over a text: tokens a second, and how near to what the machine can do.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::{Device, Tensor};
use retcon::data::Corpus;
use retcon::model::Part;
use retcon::stats::{Limits, collect};
use retcon::{Ctx, Model};
use serde_json::{Value, json};

use super::moments;
use super::request::Request;
use crate::measure::{Outcome, best, peak_rss_mb, timed};

/// One pass over the text for all blocks.
pub(crate) fn measure(request: &Request, model: &Model) -> Outcome<Value> {
    let mut corpus = match &request.texts {
        Some(path) => Corpus::read(path)?,
        None => Corpus::own(),
    };
    corpus.texts.truncate(request.n_texts.unwrap_or(usize::MAX));
    if let Some(path) = &request.save_texts {
        let lines = corpus.texts.iter().map(|text| text.replace(['\n', '\r'], " ") + "\n");
        std::fs::write(path, lines.collect::<String>())?;
    }
    let cancel = AtomicBool::new(false);
    let ctx = Ctx::new(0).with_cancel(&cancel);
    // To the end of the text, however early it would be good enough.
    let limits = Limits { tolerance: 0.0, ..Limits::default() };
    let before = matmul_peak()?;
    let clock = Instant::now();
    let found = collect(&ctx, model, &corpus, &request.blocks, &limits, None)?;
    let seconds = clock.elapsed().as_secs_f64();
    let memory = (peak_rss_mb() * 1024.0 * 1024.0) as u64;
    // Before and after, as other work on the machine may come and go.
    let peak = before.max(matmul_peak()?);
    if let Some(path) = &request.save {
        moments::write(&found, path)?;
    }
    let n_tokens = found.about.n_tokens + found.about.n_begins;
    let rate = flops(model, &request.blocks) * n_tokens as f64 / seconds;
    let trace = |moment: &retcon_kernels::moment::Moment| {
        let sum: f64 = (0..moment.width()).map(|i| moment.at(i, i)).sum();
        sum / moment.n_rows() as f64
    };
    let block = |&block: &usize| -> Outcome<Value> {
        Ok(json!({ "block": block, "trace": trace(&found.moment(block)?) }))
    };
    let blocks = found.moments.keys().map(block).collect::<Outcome<Vec<_>>>()?;
    Ok(json!({
        "texts": corpus.texts.len(), "tokens": n_tokens, "statistics_seconds": seconds,
        "tokens_per_second": n_tokens as f64 / seconds, "statistics": blocks,
        "gflops": rate / 1e9, "matmul_gflops": peak / 1e9, "share_of_peak": rate / peak,
        "peak_rss_bytes": memory,
    }))
}

/// Operations a token of a pass that ends at the last of `blocks`' keys: two for each number of a
/// matrix that it goes through, and two for each number of half of a symmetric moment. Attention,
/// norms, the sum in `f64` and the looks at how far the moment has come are left out of the count,
/// not of the time.
fn flops(model: &Model, blocks: &[usize]) -> f64 {
    let last = blocks.iter().max().copied().unwrap_or_default();
    let of = |(id, param): (retcon::model::WeightId, &retcon::model::weights::Param)| {
        let numbers: usize = param.base().dims().iter().product();
        let is_run = id.block.is_some_and(|block| {
            block < last || block == last && !matches!(id.part, Part::Down | Part::DownBias)
        });
        if is_run && id.part.is_linear() { numbers } else { 0 }
    };
    let numbers: usize = model.weights().iter().map(of).sum();
    let width = model.spec().d_mlp;
    2.0 * (numbers + blocks.len() * width * (width + 1) / 2) as f64
}

/// Operations a second of a large product of dense matrices.
fn matmul_peak() -> Outcome<f64> {
    const N: usize = 2048;
    const REPEATS: usize = 5;
    let matrix = Tensor::rand(-1f32, 1f32, (N, N), &Device::Cpu)?;
    let times = timed(REPEATS, || {
        matrix.matmul(&matrix)?;
        Ok(())
    })?;
    Ok(2.0 * (N as f64).powi(3) / best(&times))
}
