//! The wavelengths of a rotary embedding, stretched as the model's settings say.

use std::f64::consts::TAU;

use retcon_kernels::rope::Rotary as Table;

use crate::spec::{Rotary, Scaling};

/// The tables of rotations of a model's blocks; those that are alike share one.
pub(crate) fn tables(blocks: &[Rotary]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::with_capacity(blocks.len());
    for (block, spec) in blocks.iter().enumerate() {
        let same = blocks[..block].iter().position(|earlier| earlier == spec);
        tables.push(same.map_or_else(|| table(spec), |earlier| tables[earlier].clone()));
    }
    tables
}

fn table(spec: &Rotary) -> Table {
    /// Positions that are computed beforehand; later ones when they come.
    const N_READY: usize = 512;
    Table::new(&frequencies(spec), spec.amplitude, N_READY)
}

/// Radians per position of each pair.
fn frequencies(spec: &Rotary) -> Vec<f64> {
    let plain =
        (0..spec.width / 2).map(|pair| spec.theta.powf(-2.0 * pair as f64 / spec.width as f64));
    match &spec.scaling {
        Scaling::None => plain.collect(),
        Scaling::Linear(factor) => plain.map(|frequency| frequency / factor).collect(),
        Scaling::Factors(factors) => plain.zip(factors).map(|(f, factor)| f / factor).collect(),
        &Scaling::Llama3 { factor, low, high, original } => {
            plain.map(|frequency| stretch(frequency, factor, low, high, original)).collect()
        }
        &Scaling::Yarn { factor, fast, slow, original, whole } => {
            // The pair that turns so often over the positions of pretraining.
            let pair = |turns: f64| {
                let turns = (original / (turns * TAU)).ln() / spec.theta.ln();
                spec.width as f64 / 2.0 * turns
            };
            let ends = match whole {
                true => [pair(fast).floor(), pair(slow).ceil()],
                false => [pair(fast), pair(slow)],
            };
            let ramp = ramp(ends[0].max(0.0), ends[1].min(spec.width as f64 - 1.0));
            let blend = |(i, f): (usize, f64)| ramp(i) * f / factor + (1.0 - ramp(i)) * f;
            plain.enumerate().map(blend).collect()
        }
    }
}

/// From 0 at the pair `first` to 1 at `last`; a step where they are one.
fn ramp(first: f64, last: f64) -> impl Fn(usize) -> f64 {
    let length = if first == last { 1e-3 } else { last - first };
    move |pair| ((pair as f64 - first) / length).clamp(0.0, 1.0)
}

/// Llama 3.1's scaling, as transformers computes it (`modeling_rope_utils.py`).
fn stretch(frequency: f64, factor: f64, low: f64, high: f64, original: f64) -> f64 {
    let wavelength = TAU / frequency;
    if wavelength < original / high {
        frequency
    } else if wavelength > original / low {
        frequency / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}
