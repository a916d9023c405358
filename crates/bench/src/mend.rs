//! Mending a store: what can't be read any more is forgotten, and measured again.

use rusqlite::{Transaction, TransactionBehavior};

use crate::error::{Error, Result};
use crate::queue::reopen;
use crate::store::{Store, fail};

/// What can't be read.
#[derive(Default)]
struct Lost {
    /// Cases, of what was said to them before any edit.
    before: Vec<usize>,
    /// Jobs that are done, of what they measured.
    jobs: Vec<i64>,
}

impl Store {
    /// Forgets what can't be read of what was measured, and opens its jobs again: of a sequence all up to
    /// it, since what it went on from is gone. Tells how many can't be read.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Full`]; [`Error::Damaged`] where the file itself is.
    pub fn mend(&self) -> Result<usize> {
        let before = self.all("SELECT case_idx FROM before", [], |row| row.get(0))?;
        let jobs = self.all("SELECT id FROM jobs WHERE state = 2", [], |row| row.get(0))?;
        let lost = self.lost(Lost { before, jobs })?;
        if lost.before.is_empty() && lost.jobs.is_empty() {
            return Ok(0);
        }
        let failed = |error| fail(self.path(), &error);
        let begin = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate);
        let to = begin.map_err(failed)?;
        // Another worker may have been first.
        let lost = self.lost(lost)?;
        let forget = || {
            for case in &lost.before {
                to.execute("DELETE FROM before WHERE case_idx = ?1", [case])?;
            }
            lost.jobs.iter().try_for_each(|&job| reopen(&to, job))?;
            to.commit()
        };
        forget().map_err(failed)?;
        Ok(lost.jobs.len())
    }

    /// What can't be read of `suspects`.
    fn lost(&self, suspects: Lost) -> Result<Lost> {
        let mut lost = Lost::default();
        for case in suspects.before {
            if is_damaged(self.before(case))? {
                lost.before.push(case);
            }
        }
        for job in suspects.jobs {
            if is_damaged(self.measured(job))? {
                lost.jobs.push(job);
            }
        }
        Ok(lost)
    }
}

fn is_damaged<T>(found: Result<T>) -> Result<bool> {
    match found {
        Ok(_) => Ok(false),
        Err(Error::Damaged { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
