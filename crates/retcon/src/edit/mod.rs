//! Editors: each turns facts into a delta, by stages that all of them share.

pub mod closed_form;
pub mod compact;
pub mod finetune;
pub mod fixed;
mod method;
pub mod methods;
pub mod optim;
pub mod scope;
mod size;

use std::collections::BTreeMap;

use retcon_model::{Delta, Model, Record, Update, WeightId};
use serde::Serialize;
use serde_json::Value;

pub use self::method::{MakeEditor, Method};
use self::method::{at_least_one, positive, settings, to_value};
pub use self::methods::METHODS;
use crate::ctx::Ctx;
use crate::data::Fact;
use crate::data::jsonl::{edit_from_json, edit_to_json};
use crate::error::Result;

/// What makes edits.
pub trait Editor: Send + Sync {
    /// The change to `model` after which it says the new objects of `facts`.
    ///
    /// # Errors
    /// [`Diverged`](crate::Error::Diverged), [`TooLarge`](crate::Error::TooLarge),
    /// [`Canceled`](crate::Error::Canceled), or what stands in the way of running the model. An edit that merely doesn't succeed is no error: measure the model with the delta.
    fn edit(&self, ctx: &Ctx<'_>, model: &Model, facts: &[Fact]) -> Result<Delta>;

    /// What [`Editor::edit`] made as `whole`, held back to a share of it: as a rule all of it is scaled.
    ///
    /// # Errors
    /// As [`Editor::edit`].
    fn held_back(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        facts: &[Fact],
        whole: &Delta,
        share: f64,
    ) -> Result<Delta> {
        let _ = (ctx, model, facts);
        scaled(whole, share)
    }
}

/// The facts that a delta was made of, as far as its record has them.
#[must_use]
pub fn facts_of(delta: &Delta) -> Vec<Fact> {
    delta.record.edits.iter().filter_map(edit_from_json).collect()
}

/// The change `updates` to `model` by which `facts` are edited, and its record.
///
/// # Errors
/// [`TooLarge`](crate::Error::TooLarge), and those of [`Delta::new`].
fn delta(
    model: &Model,
    updates: BTreeMap<WeightId, Update>,
    facts: &[Fact],
    record: Record,
) -> Result<Delta> {
    let delta = Delta::new(model, updates, record)?;
    size::check(model, &delta, facts)?;
    Ok(delta)
}

/// `delta` with `share` of what it adds to each weight.
fn scaled(delta: &Delta, share: f64) -> Result<Delta> {
    let mut delta = delta.clone();
    for update in delta.updates.values_mut() {
        *update = update.times(share)?;
    }
    Ok(delta)
}

/// The record of an edit of `facts` by a method with all of its `settings`.
fn record(
    ctx: &Ctx<'_>,
    method: &str,
    settings: &impl Serialize,
    facts: &[Fact],
    scores: Value,
) -> Record {
    Record {
        method: method.to_owned(),
        settings: to_value(settings),
        seed: ctx.seed,
        edits: facts.iter().map(|fact| edit_to_json(fact).into()).collect(),
        scores,
        ..Record::default()
    }
}
