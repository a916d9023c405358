//! Second moments as both sides read them: the mean of `k kᵀ` of each block, `block.N`, in `f32`.

use std::collections::BTreeMap;
use std::path::Path;

use retcon::Model;
use retcon::identity::keys_id;
use retcon::linalg::mean;
use retcon::stats::{About, Given, Statistics};
use retcon_kernels::moment::Moment;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::measure::Outcome;

/// Writes those of `statistics`.
pub(crate) fn write(statistics: &Statistics, path: &Path) -> Outcome<()> {
    let mut tensors = Vec::new();
    for &block in statistics.moments.keys() {
        let mean = mean(&statistics.moment(block)?);
        let width = mean.nrows();
        let numbers = (0..width * width).map(|i| mean[(i / width, i % width)] as f32);
        let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
        tensors.push((format!("block.{block}"), width, bytes));
    }
    let mut views = Vec::new();
    for (name, width, bytes) in &tensors {
        views.push((name, TensorView::new(Dtype::F32, vec![*width, *width], bytes)?));
    }
    std::fs::write(path, serialize(views, None)?)?;
    Ok(())
}

/// Reads those of `blocks` as statistics that `model` is known to have.
pub(crate) fn read(path: &Path, model: &Model, blocks: &[usize]) -> Outcome<Given> {
    // A power of two, by which a mean is a sum without rounding.
    const N_ROWS: u64 = 1 << 20;
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let mut moments = BTreeMap::new();
    for &block in blocks {
        let tensor = file.tensor(&format!("block.{block}"))?;
        let width = tensor.shape()[0];
        let numbers = tensor.data().as_chunks().0;
        let sum = |(i, j): (usize, usize)| {
            f64::from(f32::from_le_bytes(numbers[i * width + j])) * N_ROWS as f64
        };
        let triangle = (0..width).flat_map(|i| (0..=i).map(move |j| (i, j))).map(sum).collect();
        let moment = Moment::from_parts(N_ROWS, triangle);
        moments.insert(block, moment.ok_or("a second moment is no square")?);
    }
    let n_blocks = blocks.iter().max().map_or(0, |last| last + 1);
    let about = About {
        model: keys_id(model, n_blocks)?,
        n_blocks,
        corpus: path.display().to_string(),
        corpus_fingerprint: String::new(),
        window: 0,
        n_tokens: N_ROWS,
        n_begins: 0,
        n_windows: 0,
        surprise: BTreeMap::new(),
        converged: false,
        ended: false,
        parts: Vec::new(),
    };
    let statistics =
        Statistics { about, moments, begins: BTreeMap::new(), spaces: Default::default() };
    Ok(Given { path: path.to_owned(), statistics: statistics.into() })
}
