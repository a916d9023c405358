//! Mending a store: what can't be read any more is forgotten, and measured again.

use std::ops::Range;

use rusqlite::{Transaction, TransactionBehavior, params};

use crate::error::{Error, Result};
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
    /// Forgets what can't be read of what was measured, and opens its jobs again. Tells how many jobs
    /// these are.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Full`]; [`Error::Damaged`] where the file itself is.
    pub fn mend(&self) -> Result<usize> {
        if self.lost()?.is_empty() {
            return Ok(0);
        }
        let failed = |error| fail(self.path(), &error);
        let begin = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate);
        let to = begin.map_err(failed)?;
        // Another worker may have been first.
        let lost = self.lost()?;
        let forget = || {
            for case in &lost.before {
                to.execute("DELETE FROM before WHERE case_idx = ?1", [case])?;
            }
            for job in &lost.jobs {
                for table in ["answers", "moved"] {
                    to.execute(&format!("DELETE FROM {table} WHERE job = ?1"), params![job])?;
                }
                let free = "UPDATE jobs SET state = 0, worker = NULL WHERE id = ?1";
                to.execute(free, [job])?;
            }
            to.commit()
        };
        forget().map_err(failed)?;
        Ok(lost.jobs.len())
    }

    /// The cases of jobs that are done.
    pub(crate) fn done(&self) -> Result<Vec<Range<usize>>> {
        let select = "SELECT DISTINCT first, last FROM jobs WHERE state = 2 ORDER BY first, last";
        self.at(|db| {
            let mut select = db.prepare(select)?;
            select.query_map([], |row| Ok(row.get(0)?..row.get(1)?))?.collect()
        })
    }

    fn lost(&self) -> Result<Lost> {
        let mut lost = Lost::default();
        let select = "SELECT case_idx FROM before";
        for case in self.column::<usize>(select)? {
            if is_damaged(self.before(case))? {
                lost.before.push(case);
            }
        }
        for job in self.column::<i64>("SELECT id FROM jobs WHERE state = 2")? {
            if is_damaged(self.measured(job))? {
                lost.jobs.push(job);
            }
        }
        Ok(lost)
    }

    fn column<T: rusqlite::types::FromSql>(&self, select: &str) -> Result<Vec<T>> {
        self.at(|db| {
            let mut select = db.prepare(select)?;
            select.query_map([], |row| row.get(0))?.collect()
        })
    }
}

impl Lost {
    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.jobs.is_empty()
    }
}

fn is_damaged<T>(found: Result<T>) -> Result<bool> {
    match found {
        Ok(_) => Ok(false),
        Err(Error::Damaged { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
