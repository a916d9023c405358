//! How much memory statistics take, told before any of it is asked for.

use retcon_model::Model;

use super::collect::HELD;
use super::convergence::AT_ONCE;
use super::windows::longest;

/// Bytes that the moments of `n_blocks` blocks take in memory, and in their file.
#[must_use]
pub fn n_bytes(model: &Model, n_blocks: usize) -> u64 {
    let width = model.spec().d_mlp as u64;
    n_blocks as u64 * width * (width + 1) / 2 * size_of::<f64>() as u64
}

/// Bytes that computing those of `n_blocks` blocks in sequences of `window` tokens takes at most, beside
/// the model and the text: the moments and the keys that are held back all the time, and beside them
/// either a run of sequences or a look at how far a block has come. Their file is written as they lie.
#[must_use]
pub fn peak_bytes(model: &Model, n_blocks: usize, window: usize) -> u64 {
    let width = model.spec().d_mlp;
    let longest = longest(model, window);
    let held = n_blocks * HELD * longest * width * size_of::<f32>();
    // As what is added up, and the keys once more without those that begin a sequence.
    let run = at_once(model, usize::MAX).max(longest) * per_token(model) + width * width * 4;
    // The mean, its factor, and the mean again where something is added to its diagonal; some keys, and
    // what is solved for them.
    let look = (3 * width * width + 3 * AT_ONCE * width) * size_of::<f64>();
    n_bytes(model, n_blocks) + (held + run.max(look)) as u64
}

/// Tokens that run at once: what a key and what makes it take for each fits into some tens of
/// megabytes; and no more than `most`, so that there is something to report.
pub(super) fn at_once(model: &Model, most: usize) -> usize {
    const BYTES: usize = 64 << 20;
    (BYTES / per_token(model)).clamp(256, 4096).min(most.max(256))
}

/// Bytes that a block takes for a token: what an MLP makes on the way to its key and the key once more,
/// and as much of the width of the residual stream as attention and norms hold.
fn per_token(model: &Model) -> usize {
    size_of::<f32>() * (4 * model.spec().d_mlp + 8 * model.spec().d_model)
}
