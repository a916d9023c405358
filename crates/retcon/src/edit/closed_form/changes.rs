//! From values that were found to a change of each block, and what it leaves for later edits.

use std::collections::BTreeMap;

use candle_core::Tensor;
use faer::Mat;
use retcon_model::{Model, Part, Site, Update, WeightId};

use super::anchor::{norm_of_values, outputs};
use super::metrics::Metrics;
use super::past;
use super::recipe::{Anchor, NamedAnchor, Of, Recipe, anchored};
use super::regularize::{condensed, kept};
use super::solve::{Solved, solve};
use super::subject::Subject;
use super::value::Found;
use super::walk::{Walk, averaged};
use crate::ctx::Ctx;
use crate::edit::size;
use crate::error::{Error, Result};
use crate::linalg::{check_finite, side_by_side, stacked, to_columns, to_mat, to_tensor};

/// What is written where.
pub(super) struct Written<'a> {
    pub(super) model: &'a Model,
    pub(super) recipe: &'a Recipe,
    pub(super) blocks: &'a [usize],
    pub(super) subjects: &'a [Subject],
    pub(super) found: &'a Found,
}

/// A change to a block.
pub(super) struct Change {
    pub(super) update: Update,
    /// Its norm over that of the weight.
    pub(super) relative: f64,
    /// How it was solved for.
    pub(super) solved: Numerics,
}

/// How a change was solved for, for the record.
#[derive(Clone, Copy)]
pub(super) struct Numerics {
    /// How soft the constraint was.
    pub(super) mu: f64,
    /// The condition number of what was solved with.
    pub(super) condition: f64,
    /// What was added to diagonals, as a share of their mean; 0 where nothing was singular.
    pub(super) ridge: f64,
    /// The directions that may change, where those are not all.
    pub(super) n_free: Option<usize>,
}

impl Written<'_> {
    fn last(&self) -> usize {
        self.blocks[self.blocks.len() - 1]
    }

    fn weights(&self, of: Of) -> Vec<Vec<f64>> {
        let weights = |subject: &Subject| match of {
            Of::Bare => subject.bare_weights(),
            Of::All => subject.weights(self.recipe.average),
        };
        self.subjects.iter().map(weights).collect()
    }

    /// The situations that count, where they enter the first block that changes, and how much each does.
    fn walk(&self, of: Of) -> Result<(Walk, Vec<Vec<f64>>)> {
        let mut weights = self.weights(of);
        let counted: Vec<bool> = weights.iter().flatten().map(|&weight| weight > 0.0).collect();
        weights.iter_mut().for_each(|weights| weights.retain(|&weight| weight > 0.0));
        Ok((self.found.walk.only(&counted)?, weights))
    }

    /// What the unedited model has for each subject at the site of the value, a column each.
    fn before(&self, of: Of) -> Result<Mat<f64>> {
        averaged(&self.found.states, &self.weights(of))
    }

    /// The offsets that were found, a column each, brought to the norm that values should have; and
    /// that norm.
    pub(super) fn offsets(&self, ctx: &Ctx<'_>) -> Result<(Mat<f64>, Option<f64>)> {
        let offsets = to_columns(&self.found.offsets)?;
        check_finite(offsets.as_ref(), "a value")?;
        let outcomes = &self.found.outcomes;
        let has_moved = |i: usize| outcomes[i].n_steps == 0 || offsets.col(i).norm_l2() > 0.0;
        if !(0..offsets.ncols()).all(has_moved) {
            return Err(Error::NothingReads { block: self.last() });
        }
        let anchor = match self.recipe.anchor {
            Anchor::Named(NamedAnchor::None) => return Ok((offsets, None)),
            Anchor::Norm(norm) => norm,
            Anchor::Named(NamedAnchor::Auto) => {
                match past::anchor(self.model, self.last(), self.recipe.site)? {
                    Some(anchor) => anchor,
                    None => norm_of_values(ctx, &self.model.base(), self.recipe, self.last())?,
                }
            }
        };
        let (walk, weights) = self.walk(Of::Bare)?;
        let before = outputs(self.model, &walk, &weights, self.last())?;
        let mut values = &before + &offsets;
        let n_dropped = anchored(&mut values, &before, anchor);
        if n_dropped == values.ncols() {
            return Err(Error::AllLeftOut { block: self.last(), anchor });
        }
        if n_dropped > 0 {
            tracing::warn!("{n_dropped} values are more than twice as long as others: left out");
        }
        Ok((values - before, Some(anchor)))
    }

    /// The change to each block.
    pub(super) fn changes(&self, metrics: &Metrics<'_>, offsets: &Mat<f64>) -> Result<Vec<Change>> {
        let site = Site::Block(self.last(), self.recipe.spots(self.model)[0]);
        let target = self.before(self.recipe.start)? + offsets;
        let (mut walk, weights) = self.walk(Of::All)?;
        let reads_bare = [self.recipe.through, self.recipe.present].contains(&Of::Bare);
        let mut bare = reads_bare.then(|| self.walk(Of::Bare)).transpose()?;
        let mut current = self.model.clone();
        let mut changes = Vec::new();
        for (i, &block) in self.blocks.iter().enumerate() {
            walk.go_to(&current, block)?;
            let keys = averaged(&walk.keys(&current)?, &weights)?;
            if let Some((bare, _)) = &mut bare {
                bare.go_to(&current, block)?;
            }
            let past = past::keys(self.model, block, keys.nrows(), self.recipe.past)?;
            check_finite(keys.as_ref(), &format!("a key of block {block}"))?;
            let present = match &bare {
                // Nothing has changed yet.
                _ if i == 0 => self.before(self.recipe.present)?,
                Some((bare, weights)) if self.recipe.present == Of::Bare => {
                    averaged(&bare.clone().states(&current, self.last(), site)?, weights)?
                }
                _ => averaged(&walk.clone().states(&current, self.last(), site)?, &weights)?,
            };
            let part = self.recipe.spread.part(self.blocks.len() - i);
            let missing = faer::Scale(part) * (&target - present);
            let through = match &bare {
                Some((bare, weights)) if self.recipe.through == Of::Bare => {
                    Some(averaged(&bare.keys(&current)?, weights)?)
                }
                _ => None,
            };
            let through = through.as_ref().map(Mat::as_ref);
            let metric = metrics.of(block)?;
            let mu = self.recipe.mu.unwrap_or_else(|| metric.average(keys.as_ref()));
            let solved = solve(&metric, mu, keys.as_ref(), past.as_ref(), through)?;
            let n_free = metric.n_free();
            // It is as large as a weight.
            drop(metric);
            let Solved { right, condition, ridge } = solved;
            let numerics = Numerics { mu, condition, ridge, n_free };
            let change = self.change(block, missing, right, numerics)?;
            current =
                current.with_updates(&BTreeMap::from([(down(block), change.update.clone())]))?;
            changes.push(change);
        }
        Ok(changes)
    }

    fn change(
        &self,
        block: usize,
        left: Mat<f64>,
        right: Mat<f64>,
        solved: Numerics,
    ) -> Result<Change> {
        let what = format!("the change to block {block}");
        let device = self.model.device();
        let weight = self.model.weight(down(block))?.to_tensor(device)?;
        let (left, right) = match self.recipe.condense {
            Some(base) => self.condensed(block, left, right, base)?,
            None => (left, right),
        };
        check_finite(left.as_ref(), &what)?;
        check_finite(right.as_ref(), &what)?;
        let (left, right) = (to_tensor(left.as_ref(), device)?, to_tensor(right.as_ref(), device)?);
        let mut update = Update::LowRank { left, right };
        if let Some(share) = self.recipe.keep {
            update = Update::Dense(kept(&update.to_dense()?, &weight, share)?);
        } else {
            update = update.smallest()?;
        }
        let relative = size::relative(&weight, &update)?;
        Ok(Change { update, relative, solved })
    }

    /// The change with which all changes to the block so far, this one with them, are condensed: what
    /// earlier edits have added counts, against the weight that no edit has touched.
    fn condensed(
        &self,
        block: usize,
        left: Mat<f64>,
        right: Mat<f64>,
        base: f64,
    ) -> Result<(Mat<f64>, Mat<f64>)> {
        let device = self.model.device();
        let weight = self.model.base().weight(down(block))?.to_tensor(device)?;
        let earlier =
            self.model.deltas().iter().filter_map(|delta| delta.updates.get(&down(block)));
        let sum = |a: Result<Update>, b: Result<Update>| Ok(a?.plus(&b?)?);
        let Some(earlier) = earlier.cloned().map(Ok).reduce(sum).transpose()? else {
            return condensed(left, right, &weight, base);
        };
        let (l, r) = match earlier {
            Update::LowRank { left, right } => (to_mat(&left)?, to_mat(&right)?),
            Update::Dense(dense) => {
                let n = dense.dims()[1];
                (to_mat(&dense)?, Mat::identity(n, n))
            }
        };
        let whole = (side_by_side(left.as_ref(), l.as_ref()), stacked(right.as_ref(), r.as_ref()));
        let (left, right) = condensed(whole.0, whole.1, &weight, base)?;
        // What earlier edits have added is there already.
        let minus = faer::Scale(-1.0) * l;
        Ok((side_by_side(left.as_ref(), minus.as_ref()), stacked(right.as_ref(), r.as_ref())))
    }

    /// What later edits have to know of this one: its keys, as the edited model has them.
    pub(super) fn state(
        &self,
        updates: &BTreeMap<WeightId, Update>,
        anchor: Option<f64>,
    ) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        // A number that was given is nobody's but this edit's.
        let is_measured = self.recipe.anchor == Anchor::Named(NamedAnchor::Auto);
        if let Some(anchor) = anchor.filter(|_| is_measured) {
            let name = past::anchor_name(self.last(), self.recipe.site);
            state.insert(name, Tensor::new(&[anchor as f32], self.model.device())?);
        }
        if self.recipe.past {
            let edited = self.model.with_updates(updates)?;
            let (walk, weights) = self.walk(Of::All)?;
            state.extend(past::left(&edited, walk, &weights, self.blocks)?);
        }
        Ok(state)
    }
}

/// The weight that is written.
pub(super) fn down(block: usize) -> WeightId {
    WeightId::of_block(block, Part::Down)
}
