//! Keys and values of positions that have been run, so that later ones need not run them again.

use candle_core::Tensor;
use retcon_kernels::autograd::Var;

use crate::batch::starts;
use crate::error::Result;

/// The keys and values of every block, for the positions of a batch of sequences so far.
#[derive(Clone, Debug)]
pub struct Past {
    /// Per block; packed like hidden states, `[positions, n_kv_heads * d_head]`.
    blocks: Vec<Option<(Tensor, Tensor)>>,
    /// Positions of each sequence that all blocks have seen.
    lengths: Vec<usize>,
}

impl Past {
    /// Nothing yet, of `n_sequences` sequences in a model of `n_blocks` blocks.
    pub fn new(n_blocks: usize, n_sequences: usize) -> Self {
        Self { blocks: vec![None; n_blocks], lengths: vec![0; n_sequences] }
    }

    /// How many positions of each sequence have been run.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Notes that each sequence has grown by so many positions, in every block.
    pub(crate) fn advance(&mut self, by: &[usize]) {
        self.lengths.iter_mut().zip(by).for_each(|(length, by)| *length += by);
    }

    /// Drops all sequences but those in `kept`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn keep(&mut self, kept: &[usize]) -> Result<()> {
        let starts = starts(&self.lengths);
        for (k, v) in self.blocks.iter_mut().flatten() {
            let pick = |x: &Tensor| {
                let pieces = kept.iter().map(|&s| x.narrow(0, starts[s], self.lengths[s]));
                Tensor::cat(&pieces.collect::<Result<Vec<_>, _>>()?, 0)
            };
            (*k, *v) = (pick(k)?, pick(v)?);
        }
        self.lengths = kept.iter().map(|&s| self.lengths[s]).collect();
        Ok(())
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
        let (k, v) = match &self.blocks[block] {
            None => (k.value().clone(), v.value().clone()),
            Some((old_k, old_v)) => (
                interleave(old_k, &self.lengths, k.value(), new)?,
                interleave(old_v, &self.lengths, v.value(), new)?,
            ),
        };
        self.blocks[block] = Some((k.clone(), v.clone()));
        let lengths = self.lengths.iter().zip(new).map(|(old, new)| old + new).collect();
        Ok((Var::constant(k), Var::constant(v), lengths))
    }
}

/// The rows of every sequence in `old`, each followed by its rows in `new`.
fn interleave(old: &Tensor, n_old: &[usize], new: &Tensor, n_new: &[usize]) -> Result<Tensor> {
    let mut pieces = Vec::with_capacity(2 * n_old.len());
    for (i, (from_old, from_new)) in starts(n_old).into_iter().zip(starts(n_new)).enumerate() {
        pieces.push(old.narrow(0, from_old, n_old[i])?);
        pieces.push(new.narrow(0, from_new, n_new[i])?);
    }
    Ok(Tensor::cat(&pieces, 0)?)
}
