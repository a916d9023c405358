//! Training that was interrupted goes on exactly where it was: the state as a file.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use retcon_model::atomic;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::trainer::Trainer;
use crate::error::{Error, Result};

/// The key of the metadata that holds everything but tensors.
const STATE: &str = "retcon.training";

impl Trainer<'_> {
    /// Writes the state to `path`, whole or not at all. `run` says what is being trained, and on
    /// what: only the same run can go on from it.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn save(&self, path: &Path, run: &str) -> Result<()> {
        let mut tensors = Vec::new();
        for (id, trained) in self.ids.iter().zip(&self.trained) {
            for (name, tensor) in trained.state() {
                let numbers = tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
                let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                tensors.push((format!("{id}/{name}"), tensor.dims().to_vec(), bytes));
            }
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.as_str(), view.expect("as many bytes as numbers"))
        });
        let state = json!({
            "run": run, "n_steps": self.n_steps, "multiplier": self.multiplier,
            "loss_at_start": self.loss_at_start,
        });
        let metadata = HashMap::from([(STATE.to_owned(), state.to_string())]);
        let file = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::BadState { path: path.to_owned(), what: error.to_string() })?;
        Ok(atomic::write(path, |out| out.write_all(&file))?)
    }

    /// Goes on from the state at `path`.
    ///
    /// # Errors
    /// [`Error::BadState`] where it is of another run, or damaged.
    pub fn resume(&mut self, path: &Path, run: &str) -> Result<()> {
        let bad = |what: String| Error::BadState { path: path.to_owned(), what };
        let file = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let (_, header) =
            SafeTensors::read_metadata(&file).map_err(|error| bad(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&file).map_err(|error| bad(error.to_string()))?;
        let state = header.metadata().as_ref().and_then(|metadata| metadata.get(STATE));
        let state = state.ok_or_else(|| bad(format!("no `{STATE}` in its metadata")))?;
        let state: State =
            serde_json::from_str(state).map_err(|error| bad(format!("`{STATE}`: {error}")))?;
        if state.run != run {
            return Err(bad(format!(
                "it belongs to another run\n  its: {}\n  this: {run}",
                state.run
            )));
        }
        for (id, trained) in self.ids.iter().zip(&mut self.trained) {
            let mut read = Vec::new();
            for (name, like) in trained.state() {
                let name = format!("{id}/{name}");
                let view = tensors.tensor(&name).map_err(|_| bad(format!("no tensor `{name}`")))?;
                if view.shape() != like.dims() || view.dtype() != Dtype::F32 {
                    let found = format!("{:?} {:?}", view.dtype(), view.shape());
                    return Err(bad(format!(
                        "tensor `{name}`: expected F32 {:?}, found: {found}",
                        like.dims()
                    )));
                }
                let numbers = view.data().chunks_exact(4);
                let numbers = numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                read.push(Tensor::from_vec(numbers.collect(), like.dims(), like.device())?);
            }
            let read = read.try_into().expect("as many as the state has");
            trained.resume(read, state.n_steps)?;
        }
        (self.n_steps, self.multiplier) = (state.n_steps, state.multiplier);
        self.loss_at_start = state.loss_at_start;
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct State {
    run: String,
    n_steps: usize,
    multiplier: f64,
    loss_at_start: Option<f64>,
}
