//! A pass that stops at block after block: keys and states at chosen positions on the way, each block
//! run with what has become of the model by then.

use candle_core::{Device, Tensor};
use faer::Mat;
use retcon_kernels::rows::gather_rows;
use retcon_model::generate::is_decoder;
use retcon_model::tap::Record;
use retcon_model::{Batch, Hidden, Model, Site};

use super::subject::{Situation, Subject};
use crate::error::Result;
use crate::linalg::to_mat;

/// Some situations, run up to the input of a block.
#[derive(Clone, Debug)]
pub struct Walk {
    runs: Vec<Run>,
    block: usize,
    /// The weights of each subject's situations.
    weights: Vec<Vec<f64>>,
}

#[derive(Clone, Debug)]
struct Run {
    hidden: Hidden,
    /// The row of each situation's lookup.
    at: Vec<u32>,
}

impl Walk {
    /// Begins with all situations of `subjects` that count by `weights`, one list a subject. What
    /// comes after the subject is left out where it can't be seen.
    ///
    /// # Errors
    /// What the model reports.
    pub fn new(model: &Model, subjects: &[Subject], weights: Vec<Vec<f64>>) -> Result<Self> {
        const TOKENS: usize = 2048;
        let counted = subjects.iter().zip(&weights).flat_map(|(subject, weights)| {
            let pairs = subject.situations.iter().zip(weights);
            pairs.filter(|(_, weight)| **weight > 0.0).map(|(situation, _)| situation)
        });
        let sequences: Vec<(&[u32], usize)> =
            counted.map(|situation| (seen(model, situation), situation.lookup)).collect();
        let mut runs = Vec::new();
        let mut rest = &sequences[..];
        while !rest.is_empty() {
            let mut n_tokens = 0;
            let fits = |(ids, _): &&(&[u32], usize)| {
                n_tokens += ids.len();
                n_tokens <= TOKENS
            };
            let n = rest.iter().take_while(fits).count().max(1);
            let batch = Batch::new(rest[..n].iter().map(|(ids, _)| ids))?;
            let starts = batch.starts().into_iter().zip(&rest[..n]);
            let at = starts.map(|(start, (_, lookup))| (start + lookup) as u32).collect();
            runs.push(Run { hidden: model.embed(&batch, &mut ())?, at });
            rest = &rest[n..];
        }
        Ok(Self { runs, block: 0, weights })
    }

    /// Goes on to the input of `block`.
    fn go_to(&mut self, model: &Model, block: usize) -> Result<()> {
        for run in &mut self.runs {
            run.hidden = model.blocks(self.block..block, run.hidden.clone(), &mut ())?;
        }
        self.block = block;
        Ok(())
    }

    /// The key of each subject at `block`, a column each: `[d_mlp, n]`.
    ///
    /// # Errors
    /// What the model reports.
    pub fn keys(&mut self, model: &Model, block: usize) -> Result<Mat<f64>> {
        self.go_to(model, block)?;
        let key = |run: &Run| {
            let hidden = run.hidden.clone();
            Ok(model.key(block, block, hidden, &run.at, &mut ())?.into_value())
        };
        self.averaged(self.runs.iter().map(key).collect::<Result<_>>()?)
    }

    /// What arrives for each subject at a site of `block`, a column each: `[width, n]`.
    ///
    /// # Errors
    /// What the model reports.
    pub fn states(mut self, model: &Model, block: usize, site: Site) -> Result<Mat<f64>> {
        self.go_to(model, block)?;
        let state = |run: &Run| {
            let mut seen = Record::only([site]);
            model.blocks(block..block + 1, run.hidden.clone(), &mut seen)?;
            let x = retcon_kernels::autograd::Var::constant(seen.seen[&site].clone());
            Ok(gather_rows(&x, &run.at)?.into_value())
        };
        self.averaged(self.runs.iter().map(state).collect::<Result<_>>()?)
    }

    /// The weighted mean of each subject's rows, as a column.
    fn averaged(&self, rows: Vec<Tensor>) -> Result<Mat<f64>> {
        let rows = Tensor::cat(&rows, 0)?.to_device(&Device::Cpu)?;
        let rows = to_mat(&rows)?; // [situations, width]
        let mut means = Mat::zeros(rows.ncols(), self.weights.len());
        let mut row = 0;
        for (i, weights) in self.weights.iter().enumerate() {
            for &weight in weights.iter().filter(|weight| **weight > 0.0) {
                let mut mean = means.as_mut().col_mut(i);
                for j in 0..rows.ncols() {
                    mean[j] += weight * rows[(row, j)];
                }
                row += 1;
            }
        }
        Ok(means)
    }
}

/// The tokens of a situation that the subject's last token can see.
fn seen<'a>(model: &Model, situation: &'a Situation) -> &'a [u32] {
    match is_decoder(model.spec()) {
        true => &situation.query.ids[..=situation.lookup],
        false => &situation.query.ids,
    }
}
