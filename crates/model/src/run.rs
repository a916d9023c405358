//! The forward pass: embed, run blocks `a..b`, unembed where asked.

use std::ops::Range;

use candle_core::Tensor;
use retcon_kernels::activation::activate;
use retcon_kernels::autograd::Var;
use retcon_kernels::loss::Head;
use retcon_kernels::pool::in_pool;
use retcon_kernels::rows::{add, gather_rows, scale};

use crate::batch::{Batch, Rows, starts};
use crate::block::{Block, Earlier, Request};
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::site::Site;
use crate::spec::{Head as HeadSpec, Position};
use crate::tap::Tap;
use crate::weight_id::{Part, WeightId};

/// The residual stream between two blocks.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// `[n_rows, d_model]`.
    pub x: Var,
    rows: Rows,
    /// Keys and values of positions before these rows.
    cache: Option<KvCache>,
}

impl Hidden {
    /// The rows of all of `parts`, one after another, without their history. Each has all positions
    /// of its sequences.
    ///
    /// # Errors
    /// Where there is none, or the device fails.
    pub fn joined(parts: Vec<Self>) -> Result<Self> {
        if let [part] = parts.as_slice() {
            return Ok(part.clone());
        }
        let x: Vec<&Tensor> = parts.iter().map(|part| part.x.value()).collect();
        let x = Var::constant(Tensor::cat(&x, 0)?);
        let rows = Rows::joined(parts.into_iter().map(|part| part.rows));
        Ok(Self { x, rows, cache: None })
    }

    /// The rows of the sequences `chosen`, in that order.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn sequences(&self, chosen: &[usize]) -> Result<Self> {
        let rows = self.rows.sequences(chosen);
        let indices = self.rows.rows_of(chosen);
        let cache = self.cache.as_ref().map(|cache| cache.sequences(chosen)).transpose()?;
        Ok(Self { x: gather_rows(&self.x, &indices)?, rows, cache })
    }

    /// The rows before the position `ends[i]` of each sequence `i`. Of a causal model, whose later
    /// positions no earlier one sees, and from the beginning of each sequence on.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn up_to(&self, ends: &[usize]) -> Result<Self> {
        let ((indices, rows), _) = self.rows.split(ends);
        Ok(Self { x: gather_rows(&self.x, &indices)?, rows, cache: self.cache.clone() })
    }

    /// How many rows each sequence has.
    #[must_use]
    pub fn lengths(&self) -> Vec<usize> {
        self.rows.lengths()
    }

    /// The first row of each sequence.
    #[must_use]
    pub fn starts(&self) -> Vec<usize> {
        starts(&self.lengths())
    }
}

impl Model {
    /// What enters the first block, one row a token.
    ///
    /// # Errors
    /// [`Error::UnknownToken`], [`Error::TooLong`], or what the tap reports.
    pub fn embed(&self, batch: &Batch, tap: &mut dyn Tap) -> Result<Hidden> {
        let nothing = vec![0; batch.lengths().len()];
        self.embed_after(&nothing, batch, tap)
    }

    /// As [`Model::embed`], for sequences that have so many positions already.
    fn embed_after(&self, n_earlier: &[usize], batch: &Batch, tap: &mut dyn Tap) -> Result<Hidden> {
        let rows = Rows::after(n_earlier, batch.lengths());
        self.check(batch.tokens(), &rows)?;
        let weights = self.weights();
        let mut x = weights.rows(WeightId::global(Part::Embed), batch.tokens())?;
        if self.spec().embed_scale != 1.0 {
            x = scale(&x, self.spec().embed_scale)?;
        }
        if self.spec().position == Position::Learned {
            x = add(&x, &weights.rows(WeightId::global(Part::Position), &rows.flat())?)?;
        }
        if self.spec().n_segments > 0 {
            let first = vec![0; rows.len()];
            x = add(&x, &weights.rows(WeightId::global(Part::Segment), &first)?)?;
        }
        let norm = WeightId::global(Part::EmbedNorm);
        if weights.has(norm) {
            x = weights.norm(norm, self.spec().norm, &x)?;
        }
        let map = WeightId::global(Part::EmbedMap);
        if weights.has(map) {
            x = weights.linear(map, &x)?;
        }
        Ok(Hidden { x: tap.at(Site::Embed, x)?, rows, cache: None })
    }

    fn check(&self, tokens: &[u32], rows: &Rows) -> Result<()> {
        let n_vocab = self.spec().n_vocab;
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= n_vocab) {
            return Err(Error::UnknownToken { token, n_vocab });
        }
        let (n, limit) = (rows.n_positions(), self.spec().n_positions);
        if n > limit {
            return Err(Error::TooLong { n, limit });
        }
        Ok(())
    }

    /// Runs the blocks `span`.
    ///
    /// # Errors
    /// What the operations and the tap report.
    pub fn blocks(&self, span: Range<usize>, h: Hidden, tap: &mut dyn Tap) -> Result<Hidden> {
        let Hidden { x, rows, cache } = h;
        let x = self.run_blocks(span, x, &rows, None, Earlier::of(cache.as_ref()), tap)?;
        Ok(Hidden { x, rows, cache })
    }

    /// The rows of `h` from the position `from[i]` of the sequence `i` on, for blocks of `span` that
    /// will run again and again while nothing before those positions changes: there these blocks run
    /// once, and their keys and values are kept. `h` has all positions.
    ///
    /// # Errors
    /// [`Error::NotCausal`] where earlier positions see later ones, and what the operations report.
    pub fn from_positions(&self, span: Range<usize>, h: &Hidden, from: &[usize]) -> Result<Hidden> {
        if !self.spec().is_causal() {
            return Err(Error::NotCausal { family: self.spec().family });
        }
        let (before, after) = h.rows.split(from);
        let [x_before, x_after] = [&before, &after].map(|(rows, _)| gather_rows(&h.x, rows));
        let new = || KvCache::new(self.spec().n_blocks, from.len());
        let mut cache = h.cache.clone().unwrap_or_else(new);
        if !before.0.is_empty() {
            let earlier = Earlier::Extended(&mut cache);
            self.run_blocks(span, x_before?, &before.1, None, earlier, &mut ())?;
        }
        cache.advance(&before.1.lengths());
        Ok(Hidden { x: x_after?, rows: after.1, cache: Some(cache) })
    }

    /// Runs the blocks from `first` on and gives what is multiplied with the unembedding at the
    /// rows `at` alone, which ascend: `[at, d_embed]`. The last block, and with it the tap at its
    /// later sites, sees only those rows, where its attention is past.
    ///
    /// # Errors
    /// What the operations and the tap report.
    pub fn finish(&self, first: usize, h: Hidden, at: &[u32], tap: &mut dyn Tap) -> Result<Var> {
        let n_blocks = self.spec().n_blocks;
        let x = if first < n_blocks {
            let earlier = Earlier::of(h.cache.as_ref());
            self.run_blocks(first..n_blocks, h.x, &h.rows, Some(at), earlier, tap)?
        } else {
            gather_rows(&h.x, at)?
        };
        self.last_norm(x, tap)
    }

    /// Runs the blocks from `first` up to the key of the MLP of the block `last`, which is computed
    /// at the rows `at` alone, which ascend: `[at, d_mlp]`.
    ///
    /// # Errors
    /// What the operations and the tap report.
    pub fn key(
        &self,
        first: usize,
        last: usize,
        h: Hidden,
        at: &[u32],
        tap: &mut dyn Tap,
    ) -> Result<Var> {
        let Hidden { x, rows, cache } = self.blocks(first..last, h, tap)?;
        let request = Request { rows: &rows, keep: Some(at), earlier: Earlier::of(cache.as_ref()) };
        in_pool(|| Ok(self.block(last).to_key(x, request, tap)?.1))
    }

    /// Runs everything and gives what is multiplied with the unembedding at the rows `at`, which
    /// ascend: `[at, d_embed]`.
    ///
    /// # Errors
    /// As [`Model::embed`] and [`Model::finish`].
    pub fn run(&self, batch: &Batch, at: &[u32], tap: &mut dyn Tap) -> Result<Var> {
        let h = self.embed(batch, tap)?;
        self.finish(0, h, at, tap)
    }

    /// Runs new tokens of sequences whose earlier ones are in `cache`, and adds them to it. Gives
    /// the logits at the last new token of each, `[n_sequences, n_vocab]`.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn extend(&self, cache: &mut KvCache, batch: &Batch) -> Result<Tensor> {
        let h = self.embed_after(cache.lengths(), batch, &mut ())?;
        let span = 0..self.spec().n_blocks;
        let at = batch.last_rows();
        let earlier = Earlier::Extended(cache);
        let x = self.run_blocks(span, h.x, &h.rows, Some(&at), earlier, &mut ())?;
        cache.advance(batch.lengths());
        self.logits(&self.last_norm(x, &mut ())?)
    }

    /// Runs tokens after those that are in `cache`, which stays as it is, and gives what is multiplied
    /// with the unembedding at the rows `at` of `batch`, which ascend: `[at, d_embed]`.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_after(&self, cache: &KvCache, batch: &Batch, at: &[u32]) -> Result<Var> {
        let h = self.embed_after(cache.lengths(), batch, &mut ())?;
        let earlier = Earlier::Fixed(cache);
        let span = 0..self.spec().n_blocks;
        let x = self.run_blocks(span, h.x, &h.rows, Some(at), earlier, &mut ())?;
        self.last_norm(x, &mut ())
    }

    fn run_blocks(
        &self,
        span: Range<usize>,
        mut x: Var,
        rows: &Rows,
        keep: Option<&[u32]>,
        mut earlier: Earlier<'_>,
        tap: &mut dyn Tap,
    ) -> Result<Var> {
        in_pool(|| {
            for index in span.clone() {
                let keep = keep.filter(|_| index + 1 == span.end);
                let request = Request { rows, keep, earlier: earlier.again() };
                x = self.block(index).run(x, request, tap)?;
            }
            Ok(x)
        })
    }

    fn block(&self, index: usize) -> Block<'_> {
        Block { spec: self.spec(), weights: self.weights(), rotary: self.rotary(index), index }
    }

    /// What is multiplied with the unembedding, of the last block's output.
    fn last_norm(&self, mut x: Var, tap: &mut dyn Tap) -> Result<Var> {
        let (spec, weights) = (self.spec(), self.weights());
        if let HeadSpec::MaskedLm { activation, .. } = spec.head {
            x = activate(&weights.linear(WeightId::global(Part::HeadDense), &x)?, activation)?;
            x = weights.norm(WeightId::global(Part::HeadNorm), spec.norm, &x)?;
        }
        let norm = WeightId::global(Part::FinalNorm);
        if weights.has(norm) {
            x = weights.norm(norm, spec.norm, &x)?;
        }
        tap.at(Site::Final, x)
    }

    /// The unembedding, for losses and logits. `bias` is [`Model::head_bias`].
    ///
    /// # Errors
    /// Where the device fails.
    pub fn head<'a>(&'a self, bias: Option<&'a Var>) -> Result<Head<'a>> {
        let weight = self.weights().matrix(WeightId::global(self.head_part()))?;
        Ok(Head { weight, bias, soft_cap: self.spec().logit_cap })
    }

    /// The bias of the logits, where there is one.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn head_bias(&self) -> Result<Option<Var>> {
        let id = WeightId::global(Part::UnembedBias);
        self.weights().has(id).then(|| self.weights().vector(id)).transpose()
    }

    /// The logits of what [`Model::run`] gives: `[n, d_embed]` to `[n, n_vocab]`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn logits(&self, x: &Var) -> Result<Tensor> {
        let bias = self.head_bias()?;
        Ok(retcon_kernels::loss::logits(x, &self.head(bias.as_ref())?)?.into_value())
    }
}
