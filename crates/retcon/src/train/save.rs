//! Training that was interrupted goes on exactly where it was: the state as a file.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::DType;
use retcon_kernels::stored::{Format, Stored};
use retcon_model::checkpoint::safetensors;
use serde::{Deserialize, Serialize};

use super::trainer::Trainer;
use crate::error::{Error, Result};

/// The key of the metadata that holds everything but tensors.
const KEY: &str = "retcon.training";

/// Everything but tensors.
#[derive(Serialize, Deserialize)]
struct State {
    /// What is trained, and on what.
    run: String,
    n_steps: usize,
    multiplier: f64,
    loss_at_start: Option<f64>,
}

impl Trainer<'_> {
    /// Writes the state to `path`, whole or not at all. `run` says what is being trained, and on
    /// what: only the same run can go on from it.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn save(&self, path: &Path, run: &str) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (id, trained) in self.ids.iter().zip(&self.trained) {
            for (name, tensor) in trained.state() {
                tensors.insert(format!("{id}/{name}"), Stored::encode(tensor, Format::F32)?);
            }
        }
        let state = State {
            run: run.to_owned(),
            n_steps: self.n_steps,
            multiplier: self.multiplier,
            loss_at_start: self.loss_at_start,
        };
        let state = serde_json::to_string(&state).expect("a state has string keys");
        let metadata = BTreeMap::from([(KEY.to_owned(), state)]);
        Ok(safetensors::write(path, &tensors, &metadata)?)
    }

    /// Goes on from the state at `path`.
    ///
    /// # Errors
    /// [`Error::BadState`] where it is of another run, or lacks something.
    pub fn resume(&mut self, path: &Path, run: &str) -> Result<()> {
        let bad = |what: String| Error::BadState { path: path.to_owned(), what };
        let file = safetensors::open(path)?;
        let state = file.metadata.get(KEY);
        let state = state.ok_or_else(|| bad(format!("no `{KEY}` in its metadata")))?;
        let state: State =
            serde_json::from_str(state).map_err(|error| bad(format!("`{KEY}`: {error}")))?;
        if state.run != run {
            let runs = format!("\n  its:  {}\n  this: {run}", state.run);
            return Err(bad(format!(
                "it belongs to another run; remove it, or go on with its own{runs}"
            )));
        }
        for (id, trained) in self.ids.iter().zip(&mut self.trained) {
            let read = trained.state().map(|(name, like)| {
                let name = format!("{id}/{name}");
                let found = file.file.get(&name).filter(|found| found.shape() == like.dims());
                let expected = || bad(format!("no tensor `{name}` of shape {:?}", like.dims()));
                Ok::<_, Error>(found.ok_or_else(expected)?.to_tensor(DType::F32, like.device())?)
            });
            let [change, mean, square] = read;
            trained.resume([change?, mean?, square?], state.n_steps)?;
        }
        (self.n_steps, self.multiplier) = (state.n_steps, state.multiplier);
        self.loss_at_start = state.loss_at_start;
        Ok(())
    }
}
