//! What long work gets beside its subject: a seed, somebody to tell, a way to stop, statistics.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::stats::{Nothing, Source};

/// What an editor gets beside the model and the facts, and other long work beside its subject.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// Seed of all random choices.
    pub seed: u64,
    /// Is told how far the work is.
    pub progress: &'a (dyn Fn(&Progress) + Sync),
    /// Ends the work where it becomes true.
    pub cancel: &'a AtomicBool,
    /// Where methods get statistics that solve in closed form.
    pub statistics: &'a dyn Source,
}

/// How far the work is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: &'static str,
    /// Steps that are done.
    pub done: usize,
    /// Steps that there will be, at most.
    pub total: usize,
    /// The loss, where one is made small.
    pub loss: Option<f64>,
    /// The share of the texts at hand whose object is said, where that is known.
    pub said: Option<f64>,
}

impl Progress {
    /// `done` of at most `total` steps of `stage`.
    #[must_use]
    pub fn new(stage: &'static str, done: usize, total: usize) -> Self {
        Self { stage, done, total, loss: None, said: None }
    }
}

impl<'a> Ctx<'a> {
    /// Work that nobody looks at, that runs to its end, and that has no statistics.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self { seed, progress: &|_| (), cancel: &NEVER, statistics: &Nothing }
    }

    /// The same with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same, told to `progress`.
    #[must_use]
    pub fn with_progress(self, progress: &'a (dyn Fn(&Progress) + Sync)) -> Self {
        Self { progress, ..self }
    }

    /// The same, which ends where `cancel` becomes true.
    #[must_use]
    pub fn with_cancel(self, cancel: &'a AtomicBool) -> Self {
        Self { cancel, ..self }
    }

    /// The same with statistics.
    #[must_use]
    pub fn with_statistics(self, statistics: &'a dyn Source) -> Self {
        Self { statistics, ..self }
    }

    /// The same, told to nobody: for a part of work that tells how far it is itself.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { progress: &|_| (), ..self }
    }

    /// Reports progress.
    ///
    /// # Errors
    /// [`Error::Canceled`] where the user has stopped the work.
    pub fn report(&self, progress: &Progress) -> Result<()> {
        self.check()?;
        (self.progress)(progress);
        Ok(())
    }

    /// Stops here where the user wants it.
    ///
    /// # Errors
    /// [`Error::Canceled`].
    pub fn check(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::Canceled),
            false => Ok(()),
        }
    }
}
