//! What tells a model, and texts, apart from any others: training goes on with the same ones alone.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use retcon_kernels::weight::Weight;
use retcon_model::weights::Param;
use retcon_model::{Model, Update};
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
    // All of a model is read for this, which takes as long as a step or two.
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

/// What tells texts, in their order, apart from any others: their tokens, and what is asked of each.
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
