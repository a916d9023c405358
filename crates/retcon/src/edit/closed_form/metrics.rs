//! What makes a change small, by name and statistics: the metric of each block.

use std::sync::Arc;

use retcon_model::Model;

use super::recipe::{MetricName, Recipe};
use super::solve::Metric;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::linalg::{Factor, mean};
use crate::stats::{self, Statistics};

/// What makes a change small, block by block: made where it is needed, as it is large.
pub(super) struct Metrics<'a> {
    recipe: &'a Recipe,
    /// `None` where the recipe needs none.
    statistics: Option<Arc<Statistics>>,
}

impl<'a> Metrics<'a> {
    pub(super) fn new(
        ctx: &Ctx<'_>,
        model: &Model,
        recipe: &'a Recipe,
        blocks: &[usize],
    ) -> Result<Self> {
        let statistics = match recipe.metric {
            MetricName::Identity => None,
            _ => Some(ctx.statistics.statistics(ctx, model, blocks)?),
        };
        // Whatever is missing is told before anything is searched.
        if let Some(statistics) = &statistics {
            blocks.iter().try_for_each(|&block| statistics.check(block))?;
        }
        Ok(Self { recipe, statistics })
    }

    pub(super) fn of(&self, block: usize) -> Result<Metric> {
        let Some(statistics) = &self.statistics else { return Ok(Metric::Identity) };
        if self.recipe.metric == MetricName::NullSpace {
            let space = statistics.null_space(block, self.recipe.threshold)?;
            return Ok(Metric::NullSpace(space));
        }
        let what = stats::name(block);
        let mut moment = mean(&statistics.moment(block)?);
        (0..moment.nrows()).for_each(|i| moment[(i, i)] += self.recipe.ridge);
        let factor = Factor::new(&moment, &what)?;
        Ok(Metric::Moment(moment, factor))
    }
}
