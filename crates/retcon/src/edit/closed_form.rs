//! Carries a recipe out: values for all subjects, then block by block what is still missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;
use faer::Mat;
use retcon_model::{Delta, Model, Part, Site, Update, WeightId};
use serde_json::{Map, Value, json};

use super::anchor::{norm_of_values, outputs};
use super::past;
use super::prefixes::Words;
use super::recipe::{Anchor, MetricName, NamedAnchor, Of, Recipe, anchored};
use super::regularize::{condensed, kept};
use super::scope::Blocks;
use super::solve::{Metric, Solved, solve};
use super::subject::Subject;
use super::value::{Found, search};
use super::walk::{Walk, averaged};
use super::{Editor, record, scaled, size};
use crate::ctx::Ctx;
use crate::data::Fact;
use crate::error::{Error, Result};
use crate::linalg::{Factor, check_finite, mean, side_by_side, stacked, to_mat, to_tensor};
use crate::stats::{self, Statistics};

/// A recipe under the name of a method.
#[derive(Clone, Debug)]
pub struct ClosedForm {
    /// The method.
    pub name: &'static str,
    /// Its settings.
    pub recipe: Recipe,
    /// What models wrote before prompts.
    pub words: Words,
}

impl Editor for ClosedForm {
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta> {
        let clock = Instant::now();
        let stage = |name: &str| tracing::debug!("{name}: {:.3} s", clock.elapsed().as_secs_f64());
        let mut recipe = self.recipe.clone();
        let blocks = recipe.blocks(model)?;
        if blocks.is_empty() {
            return Err(Error::NoFacts);
        }
        recipe.blocks = Blocks::These(blocks.iter().map(|&block| block as isize).collect());
        let words = match recipe.prefixes.take() {
            Some(given) => given,
            None => self.words.of(model, &recipe.prefix_tokens, ctx.seed)?,
        };
        stage("prefixes");
        let subjects = Subject::of(model, facts, recipe.merge_subjects, &words)?;
        recipe.check_subjects(subjects.len())?;
        recipe.prefixes = Some(words);
        let metrics = Metrics::new(ctx, model, &recipe, &blocks)?;
        stage("statistics");
        let found = search(ctx, model, &subjects, &recipe.search(model, &blocks))?;
        stage("values");
        let written =
            Written { model, recipe: &recipe, blocks: &blocks, subjects: &subjects, found: &found };
        let (offsets, anchor) = written.offsets(ctx)?;
        let changes = written.changes(&metrics, &offsets)?;
        stage("solved");
        self.delta(ctx, &written, facts, changes, anchor)
    }

    /// What later edits get is keys of the edited model, so a weaker change needs its own.
    fn held_back(
        &self,
        _: &Ctx<'_>,
        model: &Model,
        facts: &[Fact],
        whole: &Delta,
        share: f64,
    ) -> Result<Delta> {
        let mut delta = scaled(whole, share)?;
        for of in delta.record.scores["blocks"].as_array_mut().into_iter().flatten() {
            let norm = of["relative_norm"].as_f64();
            of["relative_norm"] = norm.map(|norm| share * norm).into();
        }
        // With the blocks and the prefixes that were taken.
        let recipe: Recipe = serde_json::from_value(whole.record.settings.clone())
            .map_err(|error| Error::BadSettings { method: self.name, what: error.to_string() })?;
        if recipe.past {
            let blocks = recipe.blocks(model)?;
            let words = recipe.prefixes.unwrap_or_default();
            let subjects = Subject::of(model, facts, recipe.merge_subjects, &words)?;
            let weights: Vec<_> = subjects.iter().map(|of| of.weights(recipe.average)).collect();
            let walk = Walk::of(model, &subjects, blocks[0])?;
            let edited = model.with_updates(&delta.updates)?;
            delta.state.extend(past::left(&edited, walk, &weights, &blocks)?);
        }
        Ok(delta)
    }
}

/// What makes a change small, block by block: made where it is needed, as it is large.
struct Metrics<'a> {
    recipe: &'a Recipe,
    /// `None` where the recipe needs none.
    statistics: Option<Arc<Statistics>>,
}

impl<'a> Metrics<'a> {
    fn new(ctx: &Ctx<'_>, model: &Model, recipe: &'a Recipe, blocks: &[usize]) -> Result<Self> {
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

    fn of(&self, block: usize) -> Result<Metric> {
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

/// What is written where.
struct Written<'a> {
    model: &'a Model,
    recipe: &'a Recipe,
    blocks: &'a [usize],
    subjects: &'a [Subject],
    found: &'a Found,
}

/// A change to a block.
struct Change {
    update: Update,
    /// Its norm over that of the weight.
    relative: f64,
    /// How it was solved for.
    solved: Numerics,
}

/// How a change was solved for, for the record.
#[derive(Clone, Copy)]
struct Numerics {
    /// How soft the constraint was.
    mu: f64,
    /// The condition number of what was solved with.
    condition: f64,
    /// What was added to diagonals, as a share of their mean; 0 where nothing was singular.
    ridge: f64,
    /// The directions that may change, where those are not all.
    n_free: Option<usize>,
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
    fn offsets(&self, ctx: &Ctx<'_>) -> Result<(Mat<f64>, Option<f64>)> {
        let offsets = to_mat(&self.found.offsets)?.transpose().to_owned();
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
    fn changes(&self, metrics: &Metrics<'_>, offsets: &Mat<f64>) -> Result<Vec<Change>> {
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
}

/// The weight that is written.
fn down(block: usize) -> WeightId {
    WeightId::of_block(block, Part::Down)
}

impl ClosedForm {
    fn delta(
        &self,
        ctx: &Ctx<'_>,
        written: &Written<'_>,
        facts: &[Fact],
        changes: Vec<Change>,
        anchor: Option<f64>,
    ) -> Result<Delta> {
        let subject = |(subject, outcome): (&Subject, &super::optim::Outcome)| {
            json!({
                "subject": facts[subject.facts[0]].subject(),
                "facts": subject.facts,
                "steps": outcome.n_steps,
                "loss": outcome.loss,
                "satisfied": outcome.satisfied,
            })
        };
        let block = |(block, change): (&usize, &Change)| {
            let Numerics { mu, condition, ridge, n_free } = change.solved;
            let mut of = json!({
                "block": block,
                "relative_norm": change.relative,
                "mu": mu,
                "condition": condition,
                "ridge": ridge,
            });
            if let Some(n_free) = n_free {
                of["directions"] = n_free.into();
            }
            of
        };
        let scores = json!({
            "values": written.subjects.iter().zip(&written.found.outcomes).map(subject).collect::<Vec<_>>(),
            "blocks": written.blocks.iter().zip(&changes).map(block).collect::<Vec<_>>(),
            "anchor": anchor,
        });
        for (&block, change) in written.blocks.iter().zip(&changes) {
            size::within(down(block), change.relative, facts)?;
        }
        let record = record(ctx, self.name, written.recipe, facts, scores);
        let updates: BTreeMap<WeightId, Update> = written
            .blocks
            .iter()
            .zip(changes)
            .map(|(&block, change)| (down(block), change.update))
            .collect();
        let state = written.state(&updates, anchor)?;
        let mut delta = Delta::new(written.model, updates, record)?;
        delta.state = state;
        Ok(delta)
    }
}

impl Written<'_> {
    /// What later edits have to know of this one: its keys, as the edited model has them.
    fn state(
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

/// The entry of a method whose settings are a recipe.
pub(super) fn make(
    name: &'static str,
    recipe: Recipe,
    given: Map<String, Value>,
) -> Result<Box<dyn Editor>> {
    let (recipe, words) = (recipe.given(name, given)?, Words::default());
    Ok(Box::new(ClosedForm { name, recipe, words }))
}
