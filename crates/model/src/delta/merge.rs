//! Writing an edited model as a checkpoint of the kind that it came from.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::squares::sum_of_squares;
use retcon_kernels::stored::{Format, Stored};
use serde::Serialize;

use crate::checkpoint::Container;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::weight_id::WeightId;

/// What rounding to the type of the file did to a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rounding {
    /// The tensor of the file.
    pub tensor: String,
    /// How its numbers are written.
    pub format: String,
    /// `‖written - wanted‖ / ‖wanted - original‖`: the error relative to the change itself.
    pub error: f64,
}

/// Writes `model` with all its deltas at `out`: a folder for a folder, a GGUF file of the same
/// types for a GGUF file. Tensors that no delta touches stay as they are, byte for byte. Gives
/// what rounding did to the others; those that repeat a changed tensor are written as that is.
///
/// Where a head changed that a folder lacks, the folder gets it, and names its tensors and its
/// architecture as models with one do.
///
/// # Errors
/// [`Error::NotInCheckpoint`] where a changed weight has no tensor in it, [`Error::BadMemory`]
/// where the model has a memory of facts, and those of
/// [`crate::Checkpoint::export`].
pub fn merge(model: &Model, out: &Path) -> Result<Vec<Rounding>> {
    if model.memory().is_some() {
        let what = "a checkpoint has no place for it".to_owned();
        return Err(Error::BadMemory { what });
    }
    let (mut replacements, mut roundings) = (BTreeMap::new(), Vec::new());
    for (tensor, ids) in changed(model)? {
        let original = model.source().checkpoint.tensor(&tensor)?;
        let (written, error) = rewrite(model, original, &ids)?;
        let format = original.format().to_string();
        roundings.push(Rounding { tensor: tensor.clone(), format, error });
        for copy in model.source().copies(&tensor) {
            replacements.insert(copy.to_owned(), written.clone());
        }
        replacements.insert(tensor, written);
    }
    let checkpoint = &model.source().checkpoint;
    if changes_fresh(model)? {
        let source = model.source();
        let names = (source.missing_prefix(), source.architecture());
        checkpoint.export_with_head(out, replacements, fresh(model)?, names)?;
    } else {
        checkpoint.export(out, &replacements)?;
    }
    Ok(roundings)
}

/// Whether any of the weights that the checkpoint lacks has changed since it was drawn.
fn changes_fresh(model: &Model) -> Result<bool> {
    let mut changed = false;
    for &id in model.source().fresh() {
        changed |= model.weight(id)?.update().is_some();
    }
    Ok(changed)
}

/// The weights that the checkpoint lacks, under the names that they have in others.
fn fresh(model: &Model) -> Result<BTreeMap<String, Stored>> {
    let encode = |(id, name): (WeightId, &str)| {
        let weight = model.weight(id)?.to_tensor(&Device::Cpu)?;
        Ok((name.to_owned(), Stored::encode(&weight, Format::F32)?))
    };
    model.source().names_of_fresh().map(encode).collect()
}

/// The tensors that hold changed weights, and which.
fn changed(model: &Model) -> Result<BTreeMap<String, Vec<WeightId>>> {
    let mut tensors: BTreeMap<String, Vec<WeightId>> = BTreeMap::new();
    for (id, param) in model.weights().iter() {
        let is_fresh = model.source().fresh().contains(&id);
        let can_be_added = model.source().checkpoint.container == Container::HuggingFace;
        if param.update().is_none() || (is_fresh && can_be_added) {
            continue;
        }
        let (name, _) = model.source().place(id).ok_or(Error::NotInCheckpoint { id })?;
        tensors.entry(name.to_owned()).or_default().push(id);
    }
    Ok(tensors)
}

/// `original` with the changed weights `ids` in it, and the error of rounding them to its type.
fn rewrite(model: &Model, original: &Stored, ids: &[WeightId]) -> Result<(Stored, f64)> {
    let before = original.to_tensor(DType::F32, &Device::Cpu)?;
    let mut wanted = before.clone();
    for &id in ids {
        let (_, form) = model.source().place(id).ok_or(Error::NotInCheckpoint { id })?;
        let weight = model.weight(id)?.to_tensor(&Device::Cpu)?;
        wanted = form.write(&wanted, &weight)?;
    }
    let written = Stored::encode(&wanted, original.format())?;
    let after = written.to_tensor(DType::F32, &Device::Cpu)?;
    let error = distance(&after, &wanted)? / distance(&wanted, &before)?.max(f64::MIN_POSITIVE);
    Ok((written, error))
}

fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(sum_of_squares(&a.sub(b)?)?.sqrt())
}
