//! Keys and values of positions that have been run, so that later ones need not run them again.

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::scatter_add_rows;

use crate::batch::starts;
use crate::error::Result;

/// The keys and values of every block, for the positions of a batch of sequences so far.
#[derive(Clone, Debug)]
pub struct KvCache {
    /// Per block; packed like hidden states, `[positions, n_kv_heads * d_head]`.
    blocks: Vec<Option<(Tensor, Tensor)>>,
    /// Positions of each sequence that all blocks have seen.
    lengths: Vec<usize>,
}

impl KvCache {
    /// Nothing yet, of `n_sequences` sequences in a model of `n_blocks` blocks.
    #[must_use]
    pub fn new(n_blocks: usize, n_sequences: usize) -> Self {
        Self { blocks: vec![None; n_blocks], lengths: vec![0; n_sequences] }
    }

    /// How many positions of each sequence have been run.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Notes that each sequence has grown by so many positions, in every block.
    pub(crate) fn advance(&mut self, by: &[usize]) {
        self.lengths.iter_mut().zip(by).for_each(|(length, by)| *length += by);
    }

    /// The sequences `chosen`, in that order.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn sequences(&self, chosen: &[usize]) -> Result<Self> {
        let starts = starts(&self.lengths);
        let pick = |x: &Tensor| -> Result<Tensor> {
            let pieces = chosen.iter().map(|&s| x.narrow(0, starts[s], self.lengths[s]));
            Ok(Tensor::cat(&pieces.collect::<Result<Vec<_>, _>>()?, 0)?)
        };
        let pick = |block: &Option<(Tensor, Tensor)>| match block {
            Some((k, v)) => Ok(Some((pick(k)?, pick(v)?))),
            None => Ok(None),
        };
        let blocks = self.blocks.iter().map(pick).collect::<Result<_>>()?;
        Ok(Self { blocks, lengths: chosen.iter().map(|&s| self.lengths[s]).collect() })
    }

    /// Adds the keys and values of new positions of a block, `new[i]` of sequence `i`; gives those
    /// of all positions so far, and how many each sequence has.
    pub(crate) fn extend(
        &mut self,
        block: usize,
        k: &Var,
        v: &Var,
        new: &[usize],
    ) -> Result<(Var, Var, Vec<usize>)> {
        let (k, v, lengths) = self.joined(block, k, v, new)?;
        self.blocks[block] = Some((k.value().clone(), v.value().clone()));
        Ok((k, v, lengths))
    }

    /// The keys and values of a block at all positions so far and at new ones, `new[i]` of sequence
    /// `i`, with the history of the new ones; and how many each sequence has.
    pub(crate) fn joined(
        &self,
        block: usize,
        k: &Var,
        v: &Var,
        new: &[usize],
    ) -> Result<(Var, Var, Vec<usize>)> {
        let lengths = self.lengths.iter().zip(new).map(|(old, new)| old + new).collect();
        let Some((old_k, old_v)) = &self.blocks[block] else {
            return Ok((k.clone(), v.clone(), lengths));
        };
        let k = interleave(old_k, &self.lengths, k, new)?;
        let v = interleave(old_v, &self.lengths, v, new)?;
        Ok((k, v, lengths))
    }
}

/// The rows of every sequence in `old`, each followed by its rows in `new`.
fn interleave(old: &Tensor, n_old: &[usize], new: &Var, n_new: &[usize]) -> Result<Var> {
    // Where the new rows have a history, they are added to zeros in their place.
    let filling = if new.is_tracked() { new.value().zeros_like()? } else { new.value().clone() };
    let (mut pieces, mut places, mut end) = (Vec::with_capacity(2 * n_old.len()), Vec::new(), 0);
    for (i, (from_old, from_new)) in starts(n_old).into_iter().zip(starts(n_new)).enumerate() {
        pieces.push(old.narrow(0, from_old, n_old[i])?);
        pieces.push(filling.narrow(0, from_new, n_new[i])?);
        end += n_old[i] + n_new[i];
        places.extend((end - n_new[i]) as u32..end as u32);
    }
    let rows = Var::constant(Tensor::cat(&pieces, 0)?);
    if new.is_tracked() {
        return Ok(scatter_add_rows(&rows, &places, new)?);
    }
    Ok(rows)
}
