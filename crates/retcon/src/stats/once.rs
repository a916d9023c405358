//! Statistics that are asked for again and again, got once.

use std::sync::{Arc, Mutex};

use retcon_model::Model;

use super::{Source, Statistics};
use crate::ctx::Ctx;
use crate::error::Result;

/// Asks a source once, as long as what it gave is of the model and has the blocks.
#[derive(Debug)]
pub struct Once<S> {
    source: S,
    found: Mutex<Option<Arc<Statistics>>>,
}

impl<S> Once<S> {
    /// Of `source`.
    pub fn new(source: S) -> Self {
        Self { source, found: Mutex::new(None) }
    }
}

impl<S: Source> Source for Once<S> {
    fn statistics(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        blocks: &[usize],
    ) -> Result<Arc<Statistics>> {
        // Whoever asks meanwhile waits for the same.
        let mut found = self.found.lock().expect("no holder of the lock panics");
        if let Some(found) = found.as_ref()
            && blocks.iter().all(|block| found.moments.contains_key(block))
            && found.is_of(model)?
        {
            return Ok(found.clone());
        }
        let asked = self.source.statistics(ctx, model, blocks)?;
        *found = Some(asked.clone());
        Ok(asked)
    }

    fn check(&self, model: &Model, blocks: &[usize]) -> Result<()> {
        self.source.check(model, blocks)
    }
}
