//! Attention on the CPU: blocks of query rows against the keys that they see.
//!
//! The query heads that share a key head are stacked, so that a block is one product.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::Attention;
use super::sequences::{Part, Sequences};
use crate::activation::{cap_in_place, cap_slope};
use crate::autograd::Onto;
use crate::cpu;
use crate::error::Result;
use crate::matmul::{self, Mat, MatMut, Parts, Threads};
use crate::real::Real;

/// Rows of stacked queries that are worked on at once: enough to make a product efficient, few
/// enough for their scores to stay in the caches and for little work above the diagonal.
const STACKED_ROWS: usize = 96;

/// Query rows of one sequence whose key and value gradients are summed on one thread. A longer
/// sequence is split, always at the same places.
const ROWS_PER_PART: usize = 512;

/// The result, and for each query row and head the logarithm of the sum of exponentials.
pub(super) fn forward<T: Real>(
    [q, k, v]: &[Tensor; 3],
    sequences: &Sequences,
    settings: &Attention,
) -> Result<(Tensor, Vec<T>)> {
    let mut y = vec![T::ZERO; q.elem_count()];
    let mut log_sums = vec![T::ZERO; sequences.n_queries() * settings.n_heads];
    let (q_read, k, v) = (cpu::read::<T>(q)?, cpu::read::<T>(k)?, cpu::read::<T>(v)?);
    let call = Call { q: &q_read, k: &k, v: &v, sequences, settings };
    {
        let y = Parts::new(&mut y, settings.n_heads * settings.d_head);
        let log_sums = Parts::new(&mut log_sums, settings.n_heads);
        let blocks: Vec<Block> = call.units().flat_map(|unit| call.blocks(&unit)).collect();
        blocks.par_iter().for_each(|block| call.forward(block, &y, &log_sums));
    }
    Ok((Tensor::from_vec(y, q.dims(), &Device::Cpu)?, log_sums))
}

/// The gradients that are `wanted`, by `q`, `k` and `v`.
pub(super) fn backward<T: Real>(
    [q, k, v]: &[Tensor; 3],
    dy: &Tensor,
    log_sums: &[T],
    sequences: &Sequences,
    settings: &Attention,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let buffer = |index: usize, like: &Tensor| match wanted[index] {
        true => vec![T::ZERO; like.elem_count()],
        false => Vec::new(),
    };
    let mut gradients = [buffer(0, q), buffer(1, k), buffer(2, v)];
    let (d_q, d_kv) = (settings.n_heads * settings.d_head, settings.n_kv_heads * settings.d_head);
    {
        let (q, k, v) = (cpu::read::<T>(q)?, cpu::read::<T>(k)?, cpu::read::<T>(v)?);
        let dy = cpu::read::<T>(dy)?;
        let call = Call { q: &q, k: &k, v: &v, sequences, settings };
        let back = Back { call, dy: &dy, log_sums, wanted };
        let [dq, dk, dv] = &mut gradients;
        let (dq, dk, dv) = (Parts::new(dq, d_q), Parts::new(dk, d_kv), Parts::new(dv, d_kv));
        let units: Vec<Unit<'_>> = back.call.units().collect();
        units.par_iter().for_each(|unit| back.unit(unit, &dq, [&dk, &dv]));
    }
    let [dq, dk, dv] = gradients;
    let tensor = |index: usize, numbers: Vec<T>, like: &Tensor| -> Result<Option<Tensor>> {
        let numbers = wanted[index].then_some(numbers);
        let tensor = numbers.map(|numbers| Tensor::from_vec(numbers, like.dims(), &Device::Cpu));
        Ok(tensor.transpose()?)
    };
    Ok([tensor(0, dq, q)?, tensor(1, dk, k)?, tensor(2, dv, v)?])
}

/// One key head of one sequence.
struct Unit<'a> {
    part: &'a Part,
    kv_head: usize,
}

/// Some query rows of a unit, and the keys that any of them sees.
struct Block {
    queries: Range<usize>,
    /// Rows of the packed keys.
    keys: Range<usize>,
    /// The first key of the sequence, as a row.
    first_key: usize,
    n_keys: usize,
    kv_head: usize,
}

struct Call<'a, T> {
    q: &'a [T],
    k: &'a [T],
    v: &'a [T],
    sequences: &'a Sequences,
    settings: &'a Attention,
}

impl<'a, T: Real> Call<'a, T> {
    fn units(&self) -> impl Iterator<Item = Unit<'a>> {
        let n_kv_heads = self.settings.n_kv_heads;
        let parts = self.sequences.parts().iter().filter(|part| !part.queries.is_empty());
        parts.flat_map(move |part| (0..n_kv_heads).map(move |kv_head| Unit { part, kv_head }))
    }

    fn blocks(&self, unit: &Unit<'_>) -> Vec<Block> {
        self.blocks_of(unit, unit.part.queries.clone())
    }

    fn blocks_of(&self, unit: &Unit<'_>, queries: Range<usize>) -> Vec<Block> {
        let rows = (STACKED_ROWS / self.settings.group()).max(8);
        let starts = queries.clone().step_by(rows);
        starts.map(|from| self.block(unit, from..(from + rows).min(queries.end))).collect()
    }

    fn block(&self, unit: &Unit<'_>, queries: Range<usize>) -> Block {
        let (first_key, n_keys) = (unit.part.keys.start, unit.part.keys.len());
        let positions = &self.sequences.positions()[queries.clone()];
        let visible = positions.iter().map(|&position| self.settings.visible(position, n_keys));
        let all = visible.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0);
        let keys = first_key + all.start..first_key + all.end;
        Block { queries, keys, first_key, n_keys, kv_head: unit.kv_head }
    }

    fn forward(&self, block: &Block, y: &Parts<'_, T>, log_sums: &Parts<'_, T>) {
        let d_head = self.settings.d_head;
        let mut scores = self.scores(block, &self.stacked_queries(block));
        let sums = cpu::vectorized(
            #[inline(always)]
            || self.exponentials(block, &mut scores),
        );
        let mut out = vec![T::ZERO; sums.len() * d_head];
        matmul::apply_transposed(
            MatMut::packed(&mut out, d_head),
            Onto::Zeros,
            Mat::packed(&scores, block.keys.len()),
            &self.rows_of(self.v, block),
            Threads::One,
        );
        for (out, &(_, sum)) in out.chunks_exact_mut(d_head).zip(&sums) {
            let factor = T::ONE / sum;
            out.iter_mut().for_each(|out| *out *= factor);
        }
        let log_sums_of_block: Vec<T> = sums.iter().map(|&(max, sum)| max + sum.ln()).collect();
        // SAFETY: each block has rows or heads of its own.
        unsafe {
            self.put(block, y, d_head, &out);
            self.put(block, log_sums, 1, &log_sums_of_block);
        }
    }

    /// The queries of the block times the scale, `[rows * group, d_head]`.
    fn stacked_queries(&self, block: &Block) -> Vec<T> {
        let scale = T::of(self.settings.scale);
        let mut q = self.stacked(self.q, block);
        q.iter_mut().for_each(|q| *q *= scale);
        q
    }

    /// The rows and heads of the block out of `x`, `[rows * group, d_head]`.
    fn stacked(&self, x: &[T], block: &Block) -> Vec<T> {
        let width = self.settings.group() * self.settings.d_head;
        let stride = self.settings.n_kv_heads * width;
        let mut stacked = Vec::with_capacity(block.queries.len() * width);
        for row in block.queries.clone() {
            let from = row * stride + block.kv_head * width;
            stacked.extend_from_slice(&x[from..from + width]);
        }
        stacked
    }

    /// Writes `[rows * group, width]` to the rows and heads of the block, `width` for each head.
    ///
    /// # Safety
    /// No other thread uses these rows and heads of `to`.
    unsafe fn put(&self, block: &Block, to: &Parts<'_, T>, width: usize, stacked: &[T]) {
        let width = self.settings.group() * width;
        let cols = block.kv_head * width..(block.kv_head + 1) * width;
        // SAFETY: as the caller promises.
        let mut to = unsafe { to.part(block.queries.clone(), cols) };
        for (row, stacked) in stacked.chunks_exact(width).enumerate() {
            to.row_mut(row).copy_from_slice(stacked);
        }
    }

    /// The rows of `x` (keys or values) that the block sees, `[keys, d_head]`.
    fn rows_of(&self, x: &'a [T], block: &Block) -> Mat<'a, T> {
        let (d_head, keys) = (self.settings.d_head, block.keys.clone());
        let stride = self.settings.n_kv_heads * d_head;
        Mat::new(&x[keys.start * stride + block.kv_head * d_head..], keys.len(), d_head, stride)
    }

    /// The scores of the stacked queries against the keys of the block, before any cap.
    fn scores(&self, block: &Block, q: &[T]) -> Vec<T> {
        let n_keys = block.keys.len();
        let mut scores = vec![T::ZERO; q.len() / self.settings.d_head * n_keys];
        let q = Mat::packed(q, self.settings.d_head);
        let k = self.rows_of(self.k, block);
        matmul::apply(MatMut::packed(&mut scores, n_keys), Onto::Zeros, q, &k, Threads::One);
        scores
    }

    /// Turns scores into exponentials, 0 where a query doesn't see a key. Returns for each row the
    /// largest score and the sum of the exponentials of the differences to it.
    #[inline(always)]
    fn exponentials(&self, block: &Block, scores: &mut [T]) -> Vec<(T, T)> {
        let n_keys = block.keys.len();
        let mut sums = Vec::with_capacity(scores.len() / n_keys);
        for (row, scores) in scores.chunks_exact_mut(n_keys).enumerate() {
            let scores = self.only_visible(block, row, scores);
            if let Some(cap) = self.settings.soft_cap {
                cap_in_place(scores, T::of(cap));
            }
            let max = cpu::max(scores);
            for score in &mut *scores {
                *score = (*score - max).exp();
            }
            sums.push((max, cpu::sum(scores)));
        }
        sums
    }

    /// Zeros the numbers of a stacked row for keys that it doesn't see; returns the others.
    #[inline(always)]
    fn only_visible<'b>(&self, block: &Block, row: usize, numbers: &'b mut [T]) -> &'b mut [T] {
        let query = block.queries.start + row / self.settings.group();
        let visible = self.settings.visible(self.sequences.positions()[query], block.n_keys);
        let skipped = block.keys.start - block.first_key;
        let (start, end) = (visible.start - skipped, visible.end - skipped);
        numbers[..start].fill(T::ZERO);
        numbers[end..].fill(T::ZERO);
        &mut numbers[start..end]
    }
}

struct Back<'a, T> {
    call: Call<'a, T>,
    dy: &'a [T],
    log_sums: &'a [T],
    wanted: [bool; 3],
}

/// The key and value gradients that some queries of a unit give, from its first key on.
struct Partial<T> {
    dk: Vec<T>,
    dv: Vec<T>,
}

impl<T: Real> Back<'_, T> {
    /// The gradients of one key head of one sequence and of its query heads.
    fn unit(&self, unit: &Unit<'_>, dq: &Parts<'_, T>, d_kv: [&Parts<'_, T>; 2]) {
        let queries = unit.part.queries.clone();
        let starts: Vec<usize> = queries.clone().step_by(ROWS_PER_PART).collect();
        let partial =
            |from: usize| self.partial(unit, from..(from + ROWS_PER_PART).min(queries.end), dq);
        let partials: Vec<Partial<T>> = match *starts {
            [only] => vec![partial(only)],
            _ => starts.into_par_iter().map(partial).collect(),
        };
        let d_head = self.call.settings.d_head;
        let cols = unit.kv_head * d_head..(unit.kv_head + 1) * d_head;
        for (index, to) in d_kv.into_iter().enumerate() {
            if !self.wanted[1 + index] {
                continue;
            }
            // SAFETY: each unit has keys or a head of its own.
            let mut to = unsafe { to.part(unit.part.keys.clone(), cols.clone()) };
            for Partial { dk, dv } in &partials {
                let from = if index == 0 { dk } else { dv };
                for (row, from) in from.chunks_exact(d_head).enumerate() {
                    to.row_mut(row).iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        }
    }

    fn partial(&self, unit: &Unit<'_>, queries: Range<usize>, dq: &Parts<'_, T>) -> Partial<T> {
        let d_head = self.call.settings.d_head;
        let blocks = self.call.blocks_of(unit, queries);
        let n_keys = blocks.iter().map(|block| block.keys.end - block.first_key).max();
        let len = n_keys.unwrap_or(0) * d_head;
        let buffer = |wanted: bool| vec![T::ZERO; if wanted { len } else { 0 }];
        let mut sums = Partial { dk: buffer(self.wanted[1]), dv: buffer(self.wanted[2]) };
        for block in &blocks {
            self.block(block, dq, &mut sums);
        }
        sums
    }

    /// With weights `P` and `dP = dy vᵀ`: `dS = P (dP - sum(P dP))`, times the slope of the cap;
    /// `dq = scale dS k`, `dk += scale dSᵀ q` and `dv += Pᵀ dy`.
    fn block(&self, block: &Block, dq: &Parts<'_, T>, sums: &mut Partial<T>) {
        let (d_head, n_keys) = (self.call.settings.d_head, block.keys.len());
        let q = self.call.stacked_queries(block);
        let dy = self.call.stacked(self.dy, block);
        let mut weights = self.call.scores(block, &q);
        let slopes = cpu::vectorized(
            #[inline(always)]
            || self.weights(block, &mut weights),
        );
        let (q, dy) = (Mat::packed(&q, d_head), Mat::packed(&dy, d_head));
        let below = (block.keys.start - block.first_key) * d_head;
        let of_keys = below..below + n_keys * d_head;
        if self.wanted[2] {
            let dv = MatMut::packed(&mut sums.dv[of_keys.clone()], d_head);
            matmul::matmul(dv, Onto::Sum, Mat::packed(&weights, n_keys).t(), dy, Threads::One);
        }
        if !self.wanted[0] && !self.wanted[1] {
            return;
        }
        let mut d_scores = vec![T::ZERO; weights.len()];
        let v = self.call.rows_of(self.call.v, block);
        let to = MatMut::packed(&mut d_scores, n_keys);
        matmul::apply(to, Onto::Zeros, dy, &v, Threads::One);
        cpu::vectorized(
            #[inline(always)]
            || score_gradients(&weights, &slopes, &mut d_scores, n_keys),
        );
        let d_scores = Mat::packed(&d_scores, n_keys);
        if self.wanted[1] {
            let dk = MatMut::packed(&mut sums.dk[of_keys], d_head);
            matmul::matmul(dk, Onto::Sum, d_scores.t(), q, Threads::One);
        }
        if self.wanted[0] {
            let mut out = vec![T::ZERO; q.n_rows() * d_head];
            let k = self.call.rows_of(self.call.k, block);
            let scale = T::of(self.call.settings.scale);
            let to = MatMut::packed(&mut out, d_head);
            matmul::scaled_matmul(to, Onto::Zeros, scale, d_scores, k, Threads::One);
            // SAFETY: each block has rows or heads of its own.
            unsafe { self.call.put(block, dq, d_head, &out) };
        }
    }

    /// Turns scores into weights, 0 where a query doesn't see a key. Returns the slopes of the
    /// cap where there is one.
    #[inline(always)]
    fn weights(&self, block: &Block, scores: &mut [T]) -> Vec<T> {
        let settings = self.call.settings;
        let (n_keys, group) = (block.keys.len(), settings.group());
        let mut slopes = Vec::new();
        if let Some(cap) = settings.soft_cap.map(T::of) {
            cap_in_place(scores, cap);
            slopes.extend(scores.iter().map(|&score| cap_slope(score, cap)));
        }
        for (row, scores) in scores.chunks_exact_mut(n_keys).enumerate() {
            let head = block.kv_head * group + row % group;
            let query = block.queries.start + row / group;
            let log_sum = self.log_sums[query * settings.n_heads + head];
            let scores = self.call.only_visible(block, row, scores);
            for score in scores {
                *score = (*score - log_sum).exp();
            }
        }
        slopes
    }
}

/// Turns gradients by the weights into gradients by the scores.
#[inline(always)]
fn score_gradients<T: Real>(weights: &[T], slopes: &[T], gradients: &mut [T], n_keys: usize) {
    for (weights, d) in weights.chunks_exact(n_keys).zip(gradients.chunks_exact_mut(n_keys)) {
        let mean = cpu::dot(weights, d);
        d.iter_mut().zip(weights).for_each(|(d, &weight)| *d = weight * (*d - mean));
    }
    gradients.iter_mut().zip(slopes).for_each(|(d, &slope)| *d *= slope);
}
