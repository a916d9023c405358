//! The noise that hides a subject: how strong it is, and its draws.

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_model::random::Random;
use retcon_model::spec::Position;
use retcon_model::{Batch, Model, Part, WeightId};

use crate::error::Result;

/// The standard deviation of all numbers in the embeddings of the tokens of `subjects`, before
/// positions are added where a model adds them.
///
/// # Errors
/// What the tokenizer and the model report.
pub fn deviation<S: AsRef<str>>(model: &Model, subjects: &[S]) -> Result<f64> {
    let mut ids = Vec::new();
    for subject in subjects {
        let of_subject = model.tokenizer().encode_continuation(subject.as_ref())?;
        ids.extend(of_subject.into_iter().map(|id| [id]));
    }
    let weights = model.weights();
    let normalized = weights.has(WeightId::global(Part::EmbedNorm));
    let embeddings = if model.spec().position == Position::Learned && !normalized {
        weights.rows(WeightId::global(Part::Embed), ids.as_flattened())?
    } else {
        // Where a norm or a map comes between the table and the first block, or a factor, noise is
        // added behind it, and measured there. Each token is a sequence of its own.
        model.embed(&Batch::new(&ids)?, &mut ())?.x
    };
    let numbers = embeddings.value().to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let numbers = numbers.flatten_all()?.to_vec1::<f64>()?;
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    Ok((squares / (n - 1.0).max(1.0)).sqrt())
}

/// `n_rows` rows of noise that fit beside those of `like`, `[n_rows, width]`: the same for a seed.
pub(super) fn draw(seed: u64, n_rows: usize, deviation: f64, like: &Tensor) -> Result<Var> {
    let width = like.dim(1)?;
    let mut random = Random::new(seed);
    let numbers = (0..n_rows * width).map(|_| (deviation * random.normal()) as f32);
    let noise = Tensor::from_vec(numbers.collect::<Vec<_>>(), (n_rows, width), &Device::Cpu)?;
    Ok(Var::constant(noise.to_dtype(like.dtype())?.to_device(like.device())?))
}
