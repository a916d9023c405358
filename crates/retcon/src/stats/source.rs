//! Where editors get statistics: computed every time, given, or none.

use std::path::PathBuf;
use std::sync::Arc;

use retcon_model::Model;

use super::{Limits, Statistics, collect};
use crate::ctx::Ctx;
use crate::data::Corpus;
use crate::error::{Error, Result};

/// Where editors get statistics.
pub trait Source: Sync {
    /// Those of the keys of `blocks` of `model`, at least.
    ///
    /// # Errors
    /// Where there are none and none can be made.
    fn statistics(&self, ctx: &Ctx<'_>, model: &Model, blocks: &[usize])
    -> Result<Arc<Statistics>>;

    /// Fails at once, without computing anything, where [`Source::statistics`] would fail so: to be asked
    /// before long work that needs them at its end.
    ///
    /// # Errors
    /// As [`Source::statistics`].
    fn check(&self, model: &Model, blocks: &[usize]) -> Result<()> {
        let _ = (model, blocks);
        Ok(())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn statistics(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        blocks: &[usize],
    ) -> Result<Arc<Statistics>> {
        (**self).statistics(ctx, model, blocks)
    }

    fn check(&self, model: &Model, blocks: &[usize]) -> Result<()> {
        (**self).check(model, blocks)
    }
}

/// Computes them every time, over a text.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The text.
    pub corpus: Corpus,
    /// How.
    pub limits: Limits,
}

impl Fresh {
    /// Over the text that comes with the library.
    #[must_use]
    pub fn own() -> Self {
        Self { corpus: Corpus::own(), limits: Limits::default() }
    }
}

impl Source for Fresh {
    fn statistics(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        blocks: &[usize],
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(collect(ctx, model, &self.corpus, blocks, &self.limits, None)?))
    }
}

/// Statistics that are there already.
#[derive(Clone, Debug)]
pub struct Given {
    /// Where they were read, for messages.
    pub path: PathBuf,
    /// What they are.
    pub statistics: Arc<Statistics>,
}

impl Source for Given {
    fn statistics(&self, _: &Ctx<'_>, model: &Model, blocks: &[usize]) -> Result<Arc<Statistics>> {
        self.check(model, blocks)?;
        Ok(self.statistics.clone())
    }

    fn check(&self, model: &Model, blocks: &[usize]) -> Result<()> {
        self.statistics.check_is_of(model, &self.path)?;
        let is_missing = |block: &&usize| !self.statistics.moments.contains_key(block);
        let missing: Vec<String> =
            blocks.iter().filter(is_missing).map(ToString::to_string).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => {
                let (path, blocks) = (self.path.clone(), missing.join(","));
                Err(Error::MissingBlocks { path, blocks })
            }
        }
    }
}

/// Refuses: for work that needs no statistics.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Source for Nothing {
    fn statistics(&self, _: &Ctx<'_>, _: &Model, blocks: &[usize]) -> Result<Arc<Statistics>> {
        Err(Error::NoStatistics { block: blocks.first().copied().unwrap_or_default() })
    }
}
