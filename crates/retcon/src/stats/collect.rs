//! One pass over a text: the keys of all wanted blocks, into a moment each.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device};
use retcon_kernels::autograd::Var;
use retcon_kernels::moment::Moment;
use retcon_kernels::rows::gather_rows;
use retcon_model::random::Random;
use retcon_model::tap::Tap;
use retcon_model::{Batch, Model, Site, Spot};

use super::convergence::{Held, surprise};
use super::memory::at_once;
use super::windows::windows;
use super::{About, Statistics, file, n_needed};
use crate::ctx::{Ctx, Progress};
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::identity::keys_id;

/// How statistics are computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Tokens in a sequence at most.
    pub window: usize,
    /// Tokens at most, up to a sequence; `None` where the text is the limit.
    pub most_tokens: Option<u64>,
    /// How much more surprising new keys may be than old ones, on average over each block, where the
    /// moment counts as converged and the pass stops; 0 never stops.
    pub tolerance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { window: 256, most_tokens: None, tolerance: 0.15 }
    }
}

/// What people call the moment of a block.
#[must_use]
pub fn name(block: usize) -> String {
    format!("the second moment of the keys of block {block}")
}

/// Sequences, shuffled, that no moment sees and whose keys tell how far it has come.
pub(super) const HELD: usize = 8;

/// How often a pass that can be resumed writes down how far it is.
const EVERY: std::time::Duration = std::time::Duration::from_secs(20);

/// Computes the second moments of the keys of `blocks` of `model` (without its deltas) over `corpus`,
/// whose texts are visited in an order that depends on nothing but their number.
///
/// Where `resume` names a file, the pass writes there how far it is, now and then, and goes on from
/// there when it is called again for the same: the result is the same to the bit.
///
/// # Errors
/// [`Error::NoBlock`]; [`Error::TooFewTokens`] where the text has fewer than twice as many tokens as a key has
/// numbers;
/// [`Error::NotFinite`]; [`Error::Canceled`]; what the model reports.
pub fn collect(
    ctx: &Ctx<'_>,
    model: &Model,
    corpus: &Corpus,
    blocks: &[usize],
    limits: &Limits,
    resume: Option<&Path>,
) -> Result<Statistics> {
    let mut blocks = blocks.to_vec();
    blocks.sort_unstable();
    blocks.dedup();
    let &[.., last] = blocks.as_slice() else {
        return Err(Error::NoBlock { block: 0, n_blocks: 0 });
    };
    let n_blocks = model.spec().n_blocks;
    if last >= n_blocks {
        return Err(Error::NoBlock { block: last, n_blocks });
    }
    let model = &model.base();
    let mut texts: Vec<&str> = corpus.texts.iter().map(String::as_str).collect();
    Random::new(0).shuffle(&mut texts);
    let mut sequences = windows(model, &texts, limits.window)?;
    let width = model.spec().d_mlp;
    let held = sequences.split_off(sequences.len() - HELD.min(sequences.len() / 8));
    let n_found: usize = sequences.iter().map(Vec::len).sum();
    let (found, needed) = (n_found as u64, n_needed(width));
    if found < needed {
        return Err(Error::TooFewTokens { found, needed, width });
    }
    let mut pass = Pass { model, last, at_once: at_once(model, n_found / 8), limits };
    let about = About {
        model: keys_id(model, last + 1)?,
        n_blocks: last + 1,
        corpus: corpus.name.clone(),
        corpus_fingerprint: corpus.fingerprint(),
        window: limits.window,
        n_tokens: 0,
        n_begins: 0,
        n_windows: 0,
        surprise: BTreeMap::new(),
        converged: false,
        ended: false,
        parts: Vec::new(),
    };
    let moments = blocks.iter().map(|&block| (block, Moment::new(width))).collect();
    let fresh =
        Statistics { about, moments, begins: BTreeMap::new(), spaces: super::Spaces::default() };
    let start = match resume {
        Some(path) if path.is_file() => file::read(path)?.going_on(fresh),
        _ => fresh,
    };
    let held = pass.keys_of(&held, &blocks)?;
    let done = pass.run(ctx, &sequences, &held, start, resume)?;
    for (&block, moment) in &done.moments {
        if !moment.triangle().iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite { what: name(block) });
        }
    }
    Ok(done)
}

impl Statistics {
    /// These, if they are of the same as `fresh`; otherwise that.
    fn going_on(self, fresh: Self) -> Self {
        let of = |about: &About| {
            let About { model, corpus_fingerprint, window, .. } = about.clone();
            (model, corpus_fingerprint, window)
        };
        let same =
            of(&self.about) == of(&fresh.about) && self.moments.keys().eq(fresh.moments.keys());
        if same { self } else { fresh }
    }
}

/// What stays the same during a pass.
struct Pass<'a> {
    model: &'a Model,
    last: usize,
    at_once: usize,
    limits: &'a Limits,
}

impl Pass<'_> {
    fn run(
        &mut self,
        ctx: &Ctx<'_>,
        sequences: &[Vec<u32>],
        held: &Held,
        mut so_far: Statistics,
        save: Option<&Path>,
    ) -> Result<Statistics> {
        let width = self.model.spec().d_mlp as u64;
        let total: usize = sequences.iter().map(Vec::len).sum();
        let most = self.limits.most_tokens.unwrap_or(u64::MAX).min(total as u64);
        let mut saved = std::time::Instant::now();
        // What was enough under other limits may not be under these.
        (so_far.about.converged, so_far.about.ended) = (false, false);
        // Twice as many tokens from look to look: all of them together cost as much as the last.
        let mut look_at = 4 * width;
        while look_at <= so_far.about.n_tokens {
            look_at *= 2;
        }
        while so_far.about.n_windows < sequences.len() && so_far.about.n_tokens < most {
            let done = so_far.about.n_tokens as usize;
            let stage = "second moments of keys";
            let total = most as usize;
            ctx.report(&Progress::new(stage, done, total))?;
            let left = (most - so_far.about.n_tokens) as usize;
            let n = self.next(&sequences[so_far.about.n_windows..], left);
            let from = so_far.about.n_windows;
            self.add(&sequences[from..from + n], &mut so_far)?;
            if so_far.about.n_tokens >= look_at {
                look_at *= 2;
                if self.look(&mut so_far, held)? {
                    break;
                }
            }
            if let Some(path) = save.filter(|_| saved.elapsed() > EVERY) {
                file::write(&so_far, path)?;
                saved = std::time::Instant::now();
            }
        }
        so_far.about.ended = so_far.about.n_windows == sequences.len();
        if !so_far.about.converged {
            self.look(&mut so_far, held)?;
        }
        Ok(so_far)
    }

    /// How many of `sequences` run at once, where `left` more tokens are wanted.
    fn next(&self, sequences: &[Vec<u32>], left: usize) -> usize {
        let mut tokens = 0;
        let fits = |sequence: &&Vec<u32>| {
            tokens += sequence.len();
            tokens <= self.at_once.min(left)
        };
        sequences.iter().take_while(fits).count().max(1)
    }

    /// Looks how far the moments have come; whether that is far enough.
    fn look(&self, so_far: &mut Statistics, held: &Held) -> Result<bool> {
        let about = &mut so_far.about;
        about.surprise = surprise(&so_far.moments, held)?;
        let within = |surprise: &f64| *surprise <= 1.0 + self.limits.tolerance;
        about.converged = !about.surprise.is_empty() && about.surprise.values().all(within);
        tracing::info!("{} tokens: surprise {:?}", about.n_tokens, about.surprise);
        Ok(about.converged && self.limits.tolerance > 0.0)
    }

    /// Runs `sequences` and adds their keys.
    fn add(&self, sequences: &[Vec<u32>], so_far: &mut Statistics) -> Result<()> {
        let batch = Batch::new(sequences)?;
        let begins = self.begins(&batch);
        let rows = self.counted(&batch, &begins);
        let mut keys = Keys { rows: &rows, begins: begins.first(), into: so_far };
        self.pass(&batch, &mut keys)?;
        so_far.about.n_tokens += rows.len() as u64;
        so_far.about.n_begins += begins.len() as u64;
        so_far.about.n_windows += sequences.len();
        Ok(())
    }

    /// The rows of `batch` that begin a sequence with the same token, seeing nothing else.
    fn begins(&self, batch: &Batch) -> Vec<u32> {
        let tokenizer = self.model.tokenizer();
        let causal = self.model.spec().is_causal();
        match causal && tokenizer.adds_bos() {
            true => batch.starts().iter().map(|&start| start as u32).collect(),
            false => Vec::new(),
        }
    }

    /// The other rows.
    fn counted(&self, batch: &Batch, begins: &[u32]) -> Vec<u32> {
        (0..batch.tokens().len() as u32).filter(|row| !begins.contains(row)).collect()
    }

    /// Runs `batch` as far as it has to, with `tap` at every site.
    fn pass(&self, batch: &Batch, tap: &mut dyn Tap) -> Result<()> {
        let rows: Vec<u32> = (0..batch.tokens().len() as u32).collect();
        let h = self.model.embed(batch, &mut ())?;
        self.model.key(0, self.last, h, &rows, tap)?;
        Ok(())
    }

    /// The keys of `blocks` in `sequences`, as many of which run at once as for the moments.
    fn keys_of(&self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Held> {
        let mut held: Held = blocks.iter().map(|&block| (block, Vec::new())).collect();
        let mut left = sequences;
        while !left.is_empty() {
            let (now, later) = left.split_at(self.next(left, usize::MAX));
            let batch = Batch::new(now)?;
            let rows = self.counted(&batch, &self.begins(&batch));
            self.pass(&batch, &mut Aside { rows: &rows, into: &mut held })?;
            left = later;
        }
        held.retain(|_, pieces| !pieces.is_empty());
        Ok(held)
    }
}

/// Sets the keys that pass aside.
struct Aside<'a> {
    /// The rows that count.
    rows: &'a [u32],
    into: &'a mut Held,
}

impl Tap for Aside<'_> {
    fn at(&mut self, site: Site, x: Var) -> retcon_model::Result<Var> {
        if let Site::Block(block, Spot::MlpKey) = site
            && let Some(pieces) = self.into.get_mut(&block)
        {
            let keys = gather_rows(&x, self.rows)?.into_value();
            pieces.push(keys.to_device(&Device::Cpu)?.to_dtype(DType::F32)?);
        }
        Ok(x)
    }
}

/// Adds the keys that pass to moments.
struct Keys<'a> {
    /// The rows that count.
    rows: &'a [u32],
    /// One of those that begin a sequence.
    begins: Option<&'a u32>,
    into: &'a mut Statistics,
}

impl Tap for Keys<'_> {
    fn at(&mut self, site: Site, x: Var) -> retcon_model::Result<Var> {
        let Site::Block(block, Spot::MlpKey) = site else { return Ok(x) };
        if let Some(moment) = self.into.moments.get_mut(&block) {
            moment.add(gather_rows(&x, self.rows)?.value())?;
            if let Some(&row) = self.begins {
                let key = gather_rows(&x, &[row])?.into_value().flatten_all()?;
                self.into.begins.insert(block, key.to_vec1::<f32>()?);
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;
    use retcon_model::Options;

    use super::super::{n_bytes, peak_bytes};
    use super::*;

    /// Held keys ran all at once and lay there in double precision, and the memory that was told knew
    /// nothing of them.
    #[test]
    fn no_more_lies_in_memory_than_is_told() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/llama");
        let model = &Model::open(&fixture, &Options::default()).unwrap();
        let corpus = Corpus::own();
        let texts: Vec<&str> = corpus.texts.iter().map(String::as_str).collect();
        let blocks: Vec<usize> = (0..model.spec().n_blocks).collect();
        for window in [40, 100_000] {
            let limits = &Limits { window, ..Limits::default() };
            let sequences = &windows(model, &texts, window).unwrap()[..HELD];
            let longest = sequences.iter().map(Vec::len).max().unwrap();
            let pass = Pass { model, last: blocks.len() - 1, at_once: 2 * longest, limits };
            let held = pass.keys_of(sequences, &blocks).unwrap();
            let pieces = held.values().flatten();
            assert!(pieces.clone().all(|piece| piece.dims()[0] <= pass.at_once));
            assert!(held.values().all(|pieces| pieces.len() >= HELD / 2), "in one run");
            // One of two factors of a look, and what is there all the time.
            let numbers: usize = pieces.map(Tensor::elem_count).sum();
            let width = model.spec().d_mlp;
            let factor = width * width * size_of::<f64>();
            let lies = n_bytes(model, blocks.len()) as usize + numbers * size_of::<f32>() + factor;
            let told = peak_bytes(model, blocks.len(), window) as usize;
            assert!(lies <= told, "{window}: {lies} {told}");
            let longer = peak_bytes(model, blocks.len(), 2 * window);
            assert!((longer as usize > told) == (window == 40), "{window}: {longer} {told}");
        }
    }
}
