//! One block of a Transformer, top to bottom, with every site in plain sight.

use retcon_kernels::activation::{activate, gated};
use retcon_kernels::attention::{Attention, attention};
use retcon_kernels::autograd::Var;
use retcon_kernels::rope::{Rotary, rope};
use retcon_kernels::rows::{add, gather_rows, reshape};

use crate::batch::Rows;
use crate::error::Result;
use crate::kv_cache::KvCache;
use crate::site::{Site, Spot};
use crate::spec::{NormOrder, Position, QkNorm, Residual, Spec};
use crate::tap::Tap;
use crate::weight_id::{Part, WeightId};
use crate::weights::Weights;

/// A block of a model.
pub(crate) struct Block<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) weights: &'a Weights,
    pub(crate) rotary: Option<&'a Rotary>,
    pub(crate) index: usize,
}

/// What a block is asked for, beside its input.
pub(crate) struct Request<'a> {
    /// Which positions the input's rows are.
    pub(crate) rows: &'a Rows,
    /// The rows of the input to go on with; all where `None`. All are attended to.
    pub(crate) keep: Option<&'a [u32]>,
    /// Keys and values of earlier positions, to attend to.
    pub(crate) earlier: Earlier<'a>,
}

/// Positions before those of the input.
pub(crate) enum Earlier<'a> {
    /// There are none.
    None,
    /// These, which the input's are added to.
    Extended(&'a mut KvCache),
    /// These, which stay as they are.
    Fixed(&'a KvCache),
}

impl<'a> Earlier<'a> {
    /// Those that `cache` has.
    pub(crate) fn of(cache: Option<&'a KvCache>) -> Self {
        cache.map_or(Self::None, Self::Fixed)
    }

    /// The same, for one more block.
    pub(crate) fn again(&mut self) -> Earlier<'_> {
        match self {
            Self::None => Earlier::None,
            Self::Extended(cache) => Earlier::Extended(cache),
            Self::Fixed(cache) => Earlier::Fixed(cache),
        }
    }
}

impl Block<'_> {
    /// `x` `[n, d_model]` to `[n, d_model]`, or `[keep, d_model]`.
    pub(crate) fn run(&self, x: Var, request: Request<'_>, tap: &mut dyn Tap) -> Result<Var> {
        let (mid, key) = self.to_key(x, request, tap)?;
        let out = tap.at(self.site(Spot::MlpOut), self.linear(Part::Down, &key)?)?;
        let out = self.norm_branch(Part::MlpPostNorm, out)?;
        let out = self.norm_after(Part::MlpNorm, add(&mid, &out)?)?;
        tap.at(self.site(Spot::Out), out)
    }

    /// The first part of [`Block::run`]: to the residual stream before the MLP, `[n, d_model]`, and
    /// the MLP's key, `[n, d_mlp]`; or `[keep, ...]`.
    pub(crate) fn to_key(
        &self,
        x: Var,
        request: Request<'_>,
        tap: &mut dyn Tap,
    ) -> Result<(Var, Var)> {
        let x = tap.at(self.site(Spot::In), x)?;
        let h = tap.at(self.site(Spot::AttnIn), self.norm_before(Part::AttnNorm, &x)?)?;
        let (x, mix) = self.attend(x, &h, request)?; // [n, d_model], [n, n_heads * d_head]
        let mix = tap.at(self.site(Spot::AttnMix), mix)?;
        let out = tap.at(self.site(Spot::AttnOut), self.linear(Part::O, &mix)?)?;
        let out = self.norm_branch(Part::AttnPostNorm, out)?;
        let mid = self.norm_after(Part::AttnNorm, add(&x, &out)?)?;
        let mid = tap.at(self.site(Spot::Mid), mid)?;

        let h = match self.spec.residual {
            Residual::Sequential => self.norm_before(Part::MlpNorm, &mid)?,
            Residual::Parallel => self.norm_before(Part::MlpNorm, &x)?,
            Residual::Shared => self.norm_before(Part::AttnNorm, &x)?,
        };
        let h = tap.at(self.site(Spot::MlpIn), h)?;
        let key = self.key(&h, tap)?;
        Ok((mid, tap.at(self.site(Spot::MlpKey), key)?))
    }

    /// The rows of `x` to go on with, and the values that they mix.
    fn attend(&self, x: Var, h: &Var, request: Request<'_>) -> Result<(Var, Var)> {
        let Request { rows, keep, earlier } = request;
        let k = self.positioned(Part::K, Part::KNorm, h, rows)?;
        let v = self.linear(Part::V, h)?;
        let (k, v, n_keys) = match earlier {
            Earlier::None => (k, v, rows.lengths()),
            Earlier::Extended(cache) => cache.extend(self.index, &k, &v, &rows.lengths())?,
            Earlier::Fixed(cache) => cache.joined(self.index, &k, &v, &rows.lengths())?,
        };
        let Some(keep) = keep else {
            let q = self.positioned(Part::Q, Part::QNorm, h, rows)?;
            return Ok((x, attention(&q, &k, &v, &rows.querying(&n_keys)?, &self.attention())?));
        };
        let kept = rows.keep(keep)?;
        let (x, h) = (gather_rows(&x, keep)?, gather_rows(h, keep)?);
        let q = self.positioned(Part::Q, Part::QNorm, &h, &kept)?;
        Ok((x, attention(&q, &k, &v, &kept.querying(&n_keys)?, &self.attention())?))
    }

    /// Queries or keys of `h`: projected, normalized and rotated to their positions.
    fn positioned(&self, part: Part, norm: Part, h: &Var, rows: &Rows) -> Result<Var> {
        let x = self.linear(part, h)?;
        let x = match self.spec.qk_norm {
            QkNorm::None => x,
            QkNorm::Heads => self.norm_heads(norm, &x)?,
            QkNorm::Whole => self.norm(norm, &x)?,
        };
        match (&self.spec.position, self.rotary) {
            (Position::Rotary(blocks), Some(table)) => {
                let (d_head, pairing) = (self.spec.d_head, blocks[self.index].pairing);
                Ok(rope(&x, table, &rows.flat(), d_head, pairing)?)
            }
            _ => Ok(x),
        }
    }

    /// `[n, heads * d_head]`, each head normalized.
    fn norm_heads(&self, part: Part, x: &Var) -> Result<Var> {
        let (n, width) = x.value().dims2()?;
        let d_head = self.spec.d_head;
        let heads = reshape(x, &[n * width / d_head, d_head])?;
        let heads = self.norm(part, &heads)?;
        Ok(reshape(&heads, &[n, width])?)
    }

    /// The MLP's key, `[n, d_mlp]`.
    fn key(&self, h: &Var, tap: &mut dyn Tap) -> Result<Var> {
        let up = tap.at(self.site(Spot::MlpUp), self.linear(Part::Up, h)?)?;
        if !self.spec.gated {
            return Ok(activate(&up, self.spec.activation)?);
        }
        let gate = tap.at(self.site(Spot::MlpGate), self.linear(Part::Gate, h)?)?;
        Ok(gated(&gate, &up, self.spec.activation)?)
    }

    fn attention(&self) -> Attention {
        Attention {
            n_heads: self.spec.n_heads,
            n_kv_heads: self.spec.n_kv_heads,
            d_head: self.spec.d_head,
            scale: self.spec.attention_scale[self.index],
            mask: self.spec.mask,
            window: self.spec.windows[self.index],
            soft_cap: self.spec.attention_cap,
        }
    }

    fn norm_before(&self, part: Part, x: &Var) -> Result<Var> {
        match self.spec.norm_order {
            NormOrder::Pre | NormOrder::Sandwich => self.norm(part, x),
            NormOrder::Post | NormOrder::Branch => Ok(x.clone()),
        }
    }

    fn norm_branch(&self, part: Part, x: Var) -> Result<Var> {
        match self.spec.norm_order {
            NormOrder::Sandwich | NormOrder::Branch => self.norm(part, &x),
            NormOrder::Pre | NormOrder::Post => Ok(x),
        }
    }

    fn norm_after(&self, part: Part, x: Var) -> Result<Var> {
        match self.spec.norm_order {
            NormOrder::Post => self.norm(part, &x),
            NormOrder::Pre | NormOrder::Sandwich | NormOrder::Branch => Ok(x),
        }
    }

    fn norm(&self, part: Part, x: &Var) -> Result<Var> {
        self.weights.norm(self.id(part), self.spec.norm, x)
    }

    fn linear(&self, part: Part, x: &Var) -> Result<Var> {
        self.weights.linear(self.id(part), x)
    }

    fn id(&self, part: Part) -> WeightId {
        WeightId::of_block(self.spec.weights_of(self.index), part)
    }

    fn site(&self, spot: Spot) -> Site {
        Site::Block(self.index, spot)
    }
}
