//! What tells models and texts apart: what was computed from one is never taken for another's.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use retcon_kernels::stored::Format;
use retcon_kernels::weight::Weight;
use retcon_model::weights::Param;
use retcon_model::{Component, Model, Update, WeightId};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::tokens::Query;

/// What tells `model` apart from any other: all of its numbers as it computes with them, whatever made
/// them (a checkpoint, a draw, training, deltas) and in whatever type they are held; the facts in its
/// memory; what it does with them; and its tokenizer.
///
/// # Errors
/// Where a file or a device can't be read.
pub fn model_id(model: &Model) -> Result<String> {
    let weights: Vec<_> = model.weights().iter().collect();
    // All of a model is read and decoded for this: half a second of a small one, minutes of a large one.
    let of_weights = weights.par_iter().map(|(_, param)| of_weight(param));
    let of_weights = of_weights.collect::<Result<Vec<_>>>()?;
    let mut hash = Sha256::new();
    for ((id, _), of_weight) in weights.iter().zip(of_weights) {
        hash.update(format!("{id} {of_weight} "));
    }
    hash.update(format!("{:?} {:?} ", model.spec(), model.memory()));
    hash.update(format!("{:?} {}", model.tokenizer().prefix(), model.tokenizer().fingerprint()?));
    Ok(short(hash))
}

/// What tells the checkpoint of `model`, without its deltas, apart from any other: its weights as
/// stored, the types that round them, what it does with them, its tokenizer, and what begins a sequence.
/// Beside [`model_id`] it is quick, as nothing is decoded.
///
/// # Errors
/// Where a file can't be read.
pub fn checkpoint_id(model: &Model) -> Result<String> {
    of_stored(model, |_| true)
}

/// As [`checkpoint_id`], of what the keys of the first `n_blocks` blocks depend on.
///
/// # Errors
/// As [`checkpoint_id`].
pub fn keys_id(model: &Model, n_blocks: usize) -> Result<String> {
    let spec = model.spec();
    let below: Vec<usize> = (0..n_blocks).map(|block| spec.weights_of(block)).collect();
    of_stored(model, |id| match id.block {
        Some(block) => below.contains(&block),
        None => id.part.component() == Component::Embeddings,
    })
}

/// What tells texts, in their order, apart from any others: their tokens, and what is asked of each.
#[must_use]
pub fn texts_id(texts: &[Query]) -> String {
    let mut hash = Sha256::new();
    for Query { ids, at, object, subject: _, entry } in texts {
        hash.update(format!("{ids:?} {at:?} {object:?} {entry:?}\n"));
    }
    short(hash)
}

/// So many digits that no two are the same by chance, and few enough to be read in an error.
pub(crate) fn short(hash: Sha256) -> String {
    format!("{:x}", hash.finalize())[..16].to_owned()
}

fn of_stored(model: &Model, counts: impl Fn(WeightId) -> bool) -> Result<String> {
    let weights = model.weights().iter().map(|(id, _)| id);
    let weights: Vec<WeightId> = weights.filter(|&id| counts(id)).collect();
    // Half of a small model is read for this, which takes as long as some steps of a search.
    let fingerprints = weights.par_iter().map(|&id| model.fingerprint(id));
    let fingerprints = fingerprints.collect::<Result<Vec<_>, _>>()?;
    let mut hash = Sha256::new();
    for (id, fingerprint) in weights.iter().zip(fingerprints) {
        hash.update(format!("{id} {fingerprint} "));
        if let Some(format) = rounded_to(model, *id)? {
            hash.update(format!("as {format} "));
        }
    }
    hash.update(format!("{:?} {:?} ", model.spec(), model.tokenizer().prefix()));
    hash.update(model.tokenizer().fingerprint()?);
    Ok(format!("{:x}", hash.finalize()))
}

/// The type that the numbers of a weight were rounded to where they are held; `None` where all of them
/// are as in the file, which single precision leaves as they are.
fn rounded_to(model: &Model, id: WeightId) -> Result<Option<Format>> {
    let held = match model.weight(id)?.base() {
        Weight::Stored(stored) => Some(stored.format()),
        Weight::Dense(tensor) => Format::of(tensor.dtype()),
    };
    let source = model.source();
    let in_file = match source.place(id) {
        Some((name, _)) => Some(source.checkpoint.tensor(name)?.format()),
        None => None,
    };
    Ok(held.filter(|format| [Format::F16, Format::BF16].contains(format) && held != in_file))
}

fn of_weight(param: &Param) -> Result<String> {
    let mut hash = Sha256::new();
    match param.base() {
        Weight::Stored(stored) => {
            hash.update(format!("{:?} ", stored.shape()));
            /// Decoded at once: a weight of a large model takes gigabytes.
            const NUMBERS: usize = 1 << 20;
            let (n_rows, n) = (stored.n_rows(), stored.row_len());
            let at_once = (NUMBERS / n.max(1)).max(1);
            for first in (0..n_rows).step_by(at_once) {
                let rows = first..(first + at_once).min(n_rows);
                let mut numbers = vec![0.0; rows.len() * n];
                stored.decode_rows(rows, &mut numbers);
                add(&mut hash, &numbers);
            }
        }
        Weight::Dense(tensor) => add_tensor(&mut hash, tensor)?,
    }
    match param.update() {
        None => {}
        Some(Update::Dense(change)) => {
            hash.update(" and ");
            add_tensor(&mut hash, change)?;
        }
        Some(Update::LowRank { left, right }) => {
            hash.update(" and of factors ");
            add_tensor(&mut hash, left)?;
            add_tensor(&mut hash, right)?;
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

fn add_tensor(hash: &mut Sha256, tensor: &Tensor) -> Result<()> {
    hash.update(format!("{:?} ", tensor.dims()));
    let numbers = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.flatten_all()?;
    add(hash, &numbers.to_vec1::<f32>()?);
    Ok(())
}

fn add(hash: &mut Sha256, numbers: &[f32]) {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    hash.update(bytes);
}
