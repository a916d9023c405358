//! What no step changes: the queries in tokens, and what enters the first block that changes.

use std::collections::BTreeMap;

use retcon_kernels::autograd::Var;
use retcon_kernels::loss::Scored;
use retcon_model::{Batch, Hidden, Model, Part, WeightId};

use crate::error::Result;
use crate::tokens::{Packed, Query, in_runs};

/// Where a forward pass starts to depend on the unknowns, in the order of the pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// At the embeddings.
    Embed,
    /// At the input of a block, or of the head where it is the number of blocks.
    Block(usize),
}

impl Start {
    /// That of the weights `ids`.
    #[must_use]
    pub fn of(model: &Model, ids: &[WeightId]) -> Self {
        use Part::{Embed, EmbedMap, EmbedMapBias, EmbedNorm, EmbedNormBias, Position, Segment};
        let of_id = |id: &WeightId| match (id.block, id.part) {
            // Where blocks share weights, a change begins at the first that runs with them.
            (Some(stored), _) => Self::Block(model.spec().runs_of(stored).next().unwrap_or(0)),
            (None, Embed | Position | Segment) => Self::Embed,
            (None, EmbedNorm | EmbedNormBias | EmbedMap | EmbedMapBias) => Self::Embed,
            (None, _) => Self::Block(model.spec().n_blocks),
        };
        ids.iter().map(of_id).min().unwrap_or(Self::Embed)
    }

    /// The first block that is run anew.
    #[must_use]
    pub fn first_block(self) -> usize {
        match self {
            Self::Embed => 0,
            Self::Block(block) => block,
        }
    }
}

/// All that a step needs and no step changes.
#[derive(Debug)]
pub struct Fixed<'a> {
    model: &'a Model,
    start: Start,
    queries: Vec<Query>,
    /// What enters the first block that changes, for all queries; `None` from the embeddings on.
    hidden: Option<Hidden>,
}

impl<'a> Fixed<'a> {
    /// Runs `model` on `queries`, some thousand tokens at a time, up to where the weights `ids`
    /// begin to matter; where that is more than 1 GiB to keep, it is run anew in every step.
    ///
    /// # Errors
    /// What the model reports.
    pub fn new(model: &'a Model, ids: &[WeightId], queries: Vec<Query>) -> Result<Self> {
        const MOST: usize = 1 << 30;
        let n_tokens: usize = queries.iter().map(|query| query.ids.len()).sum();
        let start = match n_tokens * model.spec().d_model * size_of::<f32>() {
            0..=MOST => Start::of(model, ids),
            _ => Start::Embed,
        };
        let hidden = match start {
            Start::Embed => None,
            Start::Block(first) => {
                let run = |queries: &[Query]| {
                    let batch = Batch::new(queries.iter().map(|query| &query.ids))?;
                    let embedded = model.embed(&batch, &mut ())?;
                    Ok(model.blocks(0..first, embedded, &mut ())?)
                };
                let runs = in_runs(&queries).into_iter().map(run).collect::<Result<Vec<_>>>()?;
                Some(Hidden::joined(runs)?)
            }
        };
        Ok(Self { model, start, queries, hidden })
    }

    /// Scores the queries `chosen` with `vars` in the place of the weights `ids`, each weighed by
    /// `weights` (see [`Packed::score`]).
    ///
    /// # Errors
    /// What the model reports.
    pub fn scored(
        &self,
        ids: &[WeightId],
        vars: &[Var],
        chosen: &[usize],
        weights: &[f64],
    ) -> Result<(Packed, Scored)> {
        let unknowns: BTreeMap<_, _> = ids.iter().copied().zip(vars.iter().cloned()).collect();
        self.scored_by(&self.model.with_unknowns(&unknowns)?, chosen, weights)
    }

    /// Scores the queries `chosen` by `model`, which is the same as this one below where it starts to
    /// change, each weighed by `weights`.
    ///
    /// # Errors
    /// What the model reports.
    pub fn scored_by(
        &self,
        model: &Model,
        chosen: &[usize],
        weights: &[f64],
    ) -> Result<(Packed, Scored)> {
        let packed = Packed::new(chosen.iter().map(|&i| &self.queries[i]))?;
        let hidden = match &self.hidden {
            Some(hidden) => hidden.sequences(chosen)?,
            None => model.embed(&packed.batch, &mut ())?,
        };
        let x = model.finish(self.start.first_block(), hidden, &packed.rows, &mut ())?;
        let scored = packed.score(model, &x, weights)?;
        Ok((packed, scored))
    }
}
