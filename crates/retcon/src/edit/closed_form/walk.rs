//! A pass that stops at block after block: keys and states at chosen positions on the way, each block
//! run with what has become of the model by then.

use candle_core::{Device, Tensor};
use faer::Mat;
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::gather_rows;
use retcon_model::tap::Capture;
use retcon_model::{Batch, Hidden, Model, Site};

use super::subject::{Situation, Subject};
use crate::error::Result;
use crate::linalg::to_mat;

/// Some situations, run up to the input of a block.
#[derive(Clone, Debug)]
pub struct Walk {
    runs: Vec<Run>,
    block: usize,
}

/// Situations that run together.
#[derive(Clone, Debug)]
struct Run {
    hidden: Hidden,
    /// The position of each situation's lookup.
    lookups: Vec<usize>,
}

impl Walk {
    /// Of no situation yet, at the input of `block`.
    pub(super) fn at(block: usize) -> Self {
        Self { runs: Vec::new(), block }
    }

    /// Of all situations of `subjects`, at the input of `block`.
    ///
    /// # Errors
    /// What the model reports.
    pub(super) fn of(model: &Model, subjects: &[Subject], block: usize) -> Result<Self> {
        /// As many as fit into little memory at once.
        const AT_ONCE: usize = 64;
        let mut walk = Self::at(block);
        let all: Vec<&Situation> = subjects.iter().flat_map(|of| &of.situations).collect();
        for situations in all.chunks(AT_ONCE) {
            let batch = Batch::new(situations.iter().map(|situation| &situation.query.ids))?;
            let hidden = model.blocks(0..block, model.embed(&batch, &mut ())?, &mut ())?;
            walk.add(model, situations, &hidden)?;
        }
        Ok(walk)
    }

    /// Adds situations, of which `hidden` has all positions at the input of the block. What comes
    /// after the subject is left out where it can't be seen.
    ///
    /// # Errors
    /// What the model reports.
    pub(super) fn add(
        &mut self,
        model: &Model,
        situations: &[&Situation],
        hidden: &Hidden,
    ) -> Result<()> {
        let lookups: Vec<usize> = situations.iter().map(|situation| situation.lookup).collect();
        let ends: Vec<usize> = lookups.iter().map(|lookup| lookup + 1).collect();
        let hidden = match model.spec().is_causal() {
            true => hidden.up_to(&ends)?,
            false => hidden.clone(),
        };
        self.runs.push(Run { hidden, lookups });
        Ok(())
    }

    /// The same for the situations alone that are `counted`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn only(&self, counted: &[bool]) -> Result<Self> {
        let (mut runs, mut rest) = (Vec::new(), counted);
        for run in &self.runs {
            let (mine, others) = rest.split_at(run.lookups.len());
            let chosen: Vec<usize> = (0..mine.len()).filter(|&i| mine[i]).collect();
            rest = others;
            if chosen.len() == mine.len() {
                runs.push(run.clone());
            } else if !chosen.is_empty() {
                let lookups = chosen.iter().map(|&i| run.lookups[i]).collect();
                runs.push(Run { hidden: run.hidden.sequences(&chosen)?, lookups });
            }
        }
        Ok(Self { runs, block: self.block })
    }

    /// Goes on to the input of `block`.
    ///
    /// # Errors
    /// What the model reports.
    pub fn go_to(&mut self, model: &Model, block: usize) -> Result<()> {
        for run in &mut self.runs {
            run.hidden = model.blocks(self.block..block, run.hidden.clone(), &mut ())?;
        }
        self.block = block;
        Ok(())
    }

    /// The key of each situation at the block where it stands, a row each: `[situations, d_mlp]`.
    ///
    /// # Errors
    /// What the model reports.
    pub fn keys(&self, model: &Model) -> Result<Tensor> {
        let key = |run: &Run| {
            let hidden = run.hidden.clone();
            Ok(model.key(self.block, self.block, hidden, &run.rows(), &mut ())?.into_value())
        };
        Ok(Tensor::cat(&self.runs.iter().map(key).collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// What arrives for each situation at a site of `block`, a row each: `[situations, width]`.
    ///
    /// # Errors
    /// What the model reports.
    pub fn states(mut self, model: &Model, block: usize, site: Site) -> Result<Tensor> {
        self.go_to(model, block)?;
        let state = |run: &Run| {
            let mut seen = Capture::only([site]);
            model.blocks(block..block + 1, run.hidden.clone(), &mut seen)?;
            let x = Var::constant(seen.seen[&site].clone());
            Ok(gather_rows(&x, &run.rows())?.into_value())
        };
        Ok(Tensor::cat(&self.runs.iter().map(state).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

impl Run {
    /// The row of each situation's lookup.
    fn rows(&self) -> Vec<u32> {
        let starts = self.hidden.starts().into_iter().zip(&self.lookups);
        starts.map(|(start, lookup)| (start + lookup) as u32).collect()
    }
}

/// The weighted mean of the rows of each subject's situations, a column each: `[width, n]`. `weights`
/// has a list for each subject, and `rows` a row for each of their numbers.
///
/// # Errors
/// Where the device fails.
pub(super) fn averaged(rows: &Tensor, weights: &[Vec<f64>]) -> Result<Mat<f64>> {
    let rows = to_mat(&rows.to_device(&Device::Cpu)?)?;
    let mut means = Mat::zeros(rows.ncols(), weights.len());
    let mut row = 0;
    for (i, weights) in weights.iter().enumerate() {
        for &weight in weights {
            let mut mean = means.as_mut().col_mut(i);
            for j in 0..rows.ncols() {
                mean[j] += weight * rows[(row, j)];
            }
            row += 1;
        }
    }
    Ok(means)
}
