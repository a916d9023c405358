//! Attention over packed sequences: grouped heads, causal or not, windowed, soft-capped.
//!
//! No matrix of all queries by all keys is ever kept, nor a mask.

mod native;
mod sequences;

use candle_core::{D, Tensor};

use crate::autograd::Var;
use crate::composed::composed;
use crate::error::Result;
use crate::real;
use crate::shape;

pub use sequences::Sequences;

/// Which keys of its sequence a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those up to its own position.
    Causal,
    /// All.
    Bidirectional,
}

/// The form of an attention layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, each shared by `n_heads / n_kv_heads` query heads next to each other.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub d_head: usize,
    /// What the products of queries and keys are multiplied by, as a rule `d_head^-0.5`.
    pub scale: f64,
    /// Which keys a query sees.
    pub mask: Mask,
    /// How far a query sees, as transformers counts it: a causal one `window` keys, its own among
    /// them; a bidirectional one those at a distance of `window` at most.
    pub window: Option<usize>,
    /// Scores are replaced by `cap tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
}

/// `y = softmax(cap(scale q kᵀ)) v` for each head, over the keys that each query sees.
///
/// `q` is `[n_queries, n_heads * d_head]`, `k` and `v` are `[n_keys, n_kv_heads * d_head]`, packed
/// as `sequences` says; the result is shaped like `q`. Gradients: for `q`, `k` and `v`, summed in an
/// order that doesn't depend on the number of threads. Of the scores only the logarithm of each
/// sum of exponentials is kept for the way back.
///
/// # Errors
/// Where the shapes don't fit or the device fails.
pub fn attention(
    q: &Var,
    k: &Var,
    v: &Var,
    sequences: &Sequences,
    settings: &Attention,
) -> Result<Var> {
    settings.check(q.value(), k.value(), v.value(), sequences)?;
    let (sequences, settings) = (sequences.clone(), settings.clone());
    if !q.value().device().is_cpu() {
        return composed(&[q, k, v], move |x| {
            reference(&x[0], &x[1], &x[2], &sequences, &settings)
        });
    }
    let kept = [q, k, v].map(|x| x.value().contiguous());
    let kept = {
        let [q, k, v] = kept;
        [q?, k?, v?]
    };
    let wanted = [q, k, v].map(Var::is_tracked);
    real::dispatch!(q.value().dtype(), T => {
        let (y, log_sums) = native::forward::<T>(&kept, &sequences, &settings)?;
        Ok(Var::record(y, &[q, k, v], move |dy, inputs| {
            let gradients =
                native::backward::<T>(&kept, dy, &log_sums, &sequences, &settings, wanted)?;
            for (index, gradient) in gradients.into_iter().enumerate() {
                if let (Some(slot), Some(gradient)) = (inputs.slot(index), gradient) {
                    slot.add_owned(gradient)?;
                }
            }
            Ok(())
        }))
    })
}

/// What [`attention`] computes, in plain tensor operations.
///
/// # Errors
/// Where the shapes don't fit.
pub fn reference(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    sequences: &Sequences,
    settings: &Attention,
) -> Result<Tensor> {
    let (n_kv_heads, d_head) = (settings.n_kv_heads, settings.d_head);
    let group = settings.group();
    let one = |part: &sequences::Part| -> Result<Tensor> {
        let (n, n_keys) = (part.queries.len(), part.keys.len());
        let q = q.narrow(0, part.queries.start, n)?.reshape((n, n_kv_heads, group, d_head))?;
        let q = q.permute((1, 2, 0, 3))?.contiguous()?.reshape((n_kv_heads, group * n, d_head))?;
        let of_keys = |x: &Tensor| {
            let x = x.narrow(0, part.keys.start, n_keys)?.reshape((n_keys, n_kv_heads, d_head))?;
            x.transpose(0, 1)?.contiguous()
        };
        let (k, v) = (of_keys(k)?, of_keys(v)?);
        let mut scores = q.matmul(&k.t()?)?.affine(settings.scale, 0.0)?;
        if let Some(cap) = settings.soft_cap {
            scores = crate::activation::reference::soft_cap(&scores, cap)?;
        }
        let mask = Tensor::from_vec(mask(part, sequences, settings), (n, n_keys), q.device())?;
        let scores = scores.reshape((n_kv_heads, group, n, n_keys))?;
        let scores = scores.broadcast_add(&mask.to_dtype(q.dtype())?)?;
        let exp = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let weights = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
        let y = weights.reshape((n_kv_heads, group * n, n_keys))?.matmul(&v)?;
        let y = y.reshape((n_kv_heads, group, n, d_head))?.permute((2, 0, 1, 3))?.contiguous()?;
        Ok(y.reshape((n, settings.n_heads * d_head))?)
    };
    let parts = sequences.parts().iter().filter(|part| !part.queries.is_empty());
    let parts = parts.map(one).collect::<Result<Vec<_>>>()?;
    if parts.is_empty() {
        return Ok(q.clone());
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// Zero where a query sees a key, and else minus infinity.
fn mask(part: &sequences::Part, sequences: &Sequences, settings: &Attention) -> Vec<f32> {
    let n_keys = part.keys.len();
    let row = |&position: &u32| {
        let visible = settings.visible(position, n_keys);
        (0..n_keys).map(move |key| if visible.contains(&key) { 0.0 } else { f32::NEG_INFINITY })
    };
    sequences.positions()[part.queries.clone()].iter().flat_map(row).collect()
}

impl Attention {
    /// The keys, of `n_keys` in its sequence, that a query at `position` sees.
    fn visible(&self, position: u32, n_keys: usize) -> std::ops::Range<usize> {
        let position = position as usize;
        match (self.mask, self.window) {
            (Mask::Causal, window) => {
                (position + 1).saturating_sub(window.unwrap_or(position + 1))..position + 1
            }
            (Mask::Bidirectional, None) => 0..n_keys,
            (Mask::Bidirectional, Some(window)) => {
                position.saturating_sub(window)..(position + window + 1).min(n_keys)
            }
        }
    }

    /// Query heads for each key and value head.
    fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    fn check(&self, q: &Tensor, k: &Tensor, v: &Tensor, sequences: &Sequences) -> Result<()> {
        const OP: &str = "attention";
        if self.d_head == 0 || self.n_kv_heads == 0 || !self.n_heads.is_multiple_of(self.n_kv_heads)
        {
            let expected = "n_heads a multiple of n_kv_heads, and d_head at least 1".to_owned();
            let found = [self.n_heads, self.n_kv_heads, self.d_head];
            return Err(shape::wrong(OP, "heads", expected, &found));
        }
        if self.window == Some(0) && self.mask == Mask::Causal {
            return Err(shape::wrong(OP, "window", "at least 1".to_owned(), &[0]));
        }
        let d_kv = self.n_kv_heads * self.d_head;
        shape::check(OP, "queries", &[sequences.n_queries(), self.n_heads * self.d_head], q)?;
        shape::check(OP, "keys", &[sequences.n_keys(), d_kv], k)?;
        shape::check(OP, "values", &[sequences.n_keys(), d_kv], v)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const WINDOWED: Attention = Attention {
        n_heads: 4,
        n_kv_heads: 2,
        d_head: 8,
        scale: 0.3,
        mask: Mask::Causal,
        window: Some(3),
        soft_cap: None,
    };

    fn numbers(rows: usize, width: usize, seed: usize) -> Tensor {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f64 / 504.5 - 1.0;
        let numbers = (0..rows * width).map(number).collect();
        Tensor::from_vec(numbers, (rows, width), &Device::Cpu).expect("a matrix")
    }

    fn run(q: &Tensor, k: &Tensor, v: &Tensor, sequences: &Sequences) -> Tensor {
        let [q, k, v] = [q, k, v].map(|x| Var::constant(x.clone()));
        attention(&q, &k, &v, sequences, &WINDOWED).expect("shapes that fit").into_value()
    }

    /// Rows of two runs whose products are summed in the same order up to where a block begins:
    /// equal but for rounding.
    fn assert_same(a: &Tensor, b: &Tensor) {
        let (a, b) = (a.to_vec2::<f64>().expect("rows"), b.to_vec2::<f64>().expect("rows"));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            assert!((a - b).abs() < 1e-13, "{a} is not {b}");
        }
    }

    #[test]
    fn a_query_sees_what_transformers_lets_it_see() {
        let causal = Attention { window: None, ..WINDOWED };
        assert_eq!(causal.visible(0, 9), 0..1);
        assert_eq!(causal.visible(5, 9), 0..6);
        assert_eq!(WINDOWED.visible(1, 9), 0..2);
        assert_eq!(WINDOWED.visible(5, 9), 3..6);
        let both = Attention { mask: Mask::Bidirectional, ..WINDOWED };
        assert_eq!(both.visible(1, 9), 0..5);
        assert_eq!(both.visible(5, 9), 2..9);
        assert_eq!(Attention { window: None, ..both }.visible(5, 9), 0..9);
    }

    #[test]
    fn some_queries_give_the_rows_of_all() -> Result<()> {
        let (q, k, v) = (numbers(60, 32, 1), numbers(60, 16, 2), numbers(60, 16, 3));
        let all = run(&q, &k, &v, &Sequences::full(&[47, 13]));
        let some = [vec![46], vec![12, 0, 5]];
        let rows = Tensor::new(&[46u32, 59, 47, 52], &Device::Cpu)?;
        let some = Sequences::new(&some, &[47, 13])?;
        assert_same(&run(&q.index_select(&rows, 0)?, &k, &v, &some), &all.index_select(&rows, 0)?);
        Ok(())
    }

    #[test]
    fn packed_sequences_do_not_see_each_other() -> Result<()> {
        let (q, k, v) = (numbers(60, 32, 1), numbers(60, 16, 2), numbers(60, 16, 3));
        let together = run(&q, &k, &v, &Sequences::full(&[47, 13]));
        for (from, len) in [(0, 47), (47, 13)] {
            let of = |x: &Tensor| x.narrow(0, from, len);
            let alone = run(&of(&q)?, &of(&k)?, &of(&v)?, &Sequences::full(&[len]));
            assert_same(&alone, &of(&together)?);
        }
        Ok(())
    }

    #[test]
    fn keys_out_of_sight_do_not_matter() -> Result<()> {
        let (q, k, v) = (numbers(9, 32, 1), numbers(9, 16, 2), numbers(9, 16, 3));
        let sequences = Sequences::new(&[[5]], &[9])?;
        let q = q.narrow(0, 5, 1)?;
        let seen = run(&q, &k, &v, &sequences);
        // Position 5 sees the keys 3, 4 and 5.
        let nan = Tensor::full(f64::NAN, (3, 16), &Device::Cpu)?;
        let hide = |x: &Tensor| Tensor::cat(&[&nan, &x.narrow(0, 3, 3)?, &nan], 0);
        assert_same(&run(&q, &hide(&k)?, &hide(&v)?, &sequences), &seen);
        Ok(())
    }
}
