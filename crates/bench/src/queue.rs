//! Handing out the jobs of a store to workers, in one process or several.
//!
//! A worker is alive as long as it holds the lock of its file in the folder beside the store, which the
//! system gives back whatever becomes of it. So the jobs of one that was killed are open again at
//! once, and nobody has to wait for a clock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::connect::beside;
use crate::error::{Error, Result};
use crate::plan::{Job, Plan};
use crate::store::{Measured, Store, fail, job, json};

/// Whoever works on the jobs of a store.
#[derive(Debug)]
pub struct Worker {
    id: i64,
    folder: PathBuf,
    /// Its lock is held as long as this is open.
    _lock: File,
}

/// What there is to do.
#[derive(Debug)]
pub enum Next {
    /// This.
    Job(Taken),
    /// Nothing yet: what is left goes on from jobs that others are at.
    Wait,
    /// Nothing any more.
    Nothing,
}

/// A job that a worker has taken.
#[derive(Debug)]
pub struct Taken {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub job: Job,
    /// The number of the job that it goes on from.
    pub after: Option<i64>,
}

/// The folder beside a store, for what is needed while it is worked on.
#[must_use]
pub fn folder(store: &Path) -> PathBuf {
    beside(store, ".work")
}

impl Worker {
    /// A new worker on `store`.
    ///
    /// # Errors
    /// [`Error::Store`], and [`Error::Io`] where the folder beside it can't be written.
    pub fn new(store: &Store) -> Result<Self> {
        let folder = folder(store.path());
        store.at(|db| db.execute("INSERT INTO workers DEFAULT VALUES", []))?;
        let id = store.db.last_insert_rowid();
        let path = lock_of(&folder, id);
        let lock = loop {
            fs::create_dir_all(&folder).map_err(io(&folder))?;
            match OpenOptions::new().create(true).truncate(false).write(true).open(&path) {
                // A worker that is done has just removed the folder.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                lock => break lock.map_err(io(&path))?,
            }
        };
        lock.lock().map_err(io(&path))?;
        Ok(Self { id, folder, _lock: lock })
    }

    /// Takes the first job that can be done, of those that `plan` has over `n_cases`: others may have
    /// been added since by somebody who does them.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Io`].
    pub fn take(&self, store: &mut Store, plan: &Plan, n_cases: usize) -> Result<Next> {
        let known = [plan.methods.len(), plan.settings.len(), n_cases];
        let gone = self.gone(store)?;
        self.within(store, |to| {
            for worker in &gone {
                let free = "UPDATE jobs SET state = 0, worker = NULL WHERE state = 1 AND worker = ?1";
                to.execute(free, [worker])?;
            }
            let select = "SELECT id, method, setting, seed, part, first, last, after FROM jobs WHERE \
                state = 0 AND method < ?1 AND setting < ?2 AND last <= ?3 AND (after IS NULL OR \
                (SELECT state FROM jobs AS a WHERE a.id = jobs.after) = 2) \
                ORDER BY setting, part, id LIMIT 1";
            let taken = |row: &rusqlite::Row<'_>| {
                Ok(Taken { id: row.get(0)?, job: job(row)?, after: row.get(7)? })
            };
            if let Some(taken) = to.query_row(select, known, taken).optional()? {
                let take = "UPDATE jobs SET state = 1, worker = ?1 WHERE id = ?2";
                to.execute(take, [self.id, taken.id])?;
                return Ok(Next::Job(taken));
            }
            let left = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state < 2 AND method < ?1 \
                        AND setting < ?2 AND last <= ?3)";
            let is_left = to.query_row(left, known, |row| row.get::<_, bool>(0))?;
            Ok(if is_left { Next::Wait } else { Next::Nothing })
        })
    }

    /// Writes what a job measured and marks it done, both or neither. A job that is no longer this
    /// worker's is left alone; tells whether it was.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Full`].
    pub fn finish(&self, store: &mut Store, taken: &Taken, measured: &Measured) -> Result<bool> {
        self.within(store, |to| {
            let done = "UPDATE jobs SET state = 2, worker = NULL, edit_seconds = ?1, seconds = ?2 \
                        WHERE id = ?3 AND state = 1 AND worker = ?4";
            let seconds = (measured.edit_seconds, measured.seconds);
            if to.execute(done, params![seconds.0, seconds.1, taken.id, self.id])? == 0 {
                return Ok(false);
            }
            let mut insert = to.prepare("INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for answers in &measured.answers {
                let (readings, error) = (json(&answers.readings), &answers.error);
                insert.execute(params![taken.id, answers.case, answers.online, readings, error])?;
            }
            let insert = "INSERT INTO moved VALUES (?1, ?2)";
            to.execute(insert, params![taken.id, json(&measured.moved)]).map(|_| true)
        })
    }

    /// Opens a job again that could not be done.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn release(&self, store: &Store, taken: &Taken) -> Result<()> {
        let free = "UPDATE jobs SET state = 0, worker = NULL WHERE id = ?1 AND worker = ?2";
        store.at(|db| db.execute(free, [taken.id, self.id])).map(|_| ())
    }

    /// Opens a job again, and all that it goes on from, whose left-overs are lost; does nothing where the
    /// job is no longer this worker's. Tells whether it was.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Full`].
    pub fn start_over(&self, store: &mut Store, taken: &Taken) -> Result<bool> {
        self.within(store, |to| {
            let is_mine =
                "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND state = 1 AND worker = ?2)";
            if !to.query_row(is_mine, params![taken.id, self.id], |row| row.get::<_, bool>(0))? {
                return Ok(false);
            }
            reopen(to, taken.id).map(|()| true)
        })
    }

    /// Where it keeps what the job `id` leaves for the one that goes on from it.
    #[must_use]
    pub fn left_by(&self, id: i64) -> PathBuf {
        self.folder.join(format!("{id}.delta.safetensors"))
    }

    /// The workers that have jobs and are no longer there.
    fn gone(&self, store: &Store) -> Result<Vec<i64>> {
        let select = "SELECT DISTINCT worker FROM jobs WHERE state = 1 AND worker <> ?1";
        let mut found = store.all(select, [self.id], |row| row.get(0))?;
        found.retain(|&worker| is_gone(&lock_of(&self.folder, worker)));
        Ok(found)
    }

    fn within<T>(
        &self,
        store: &mut Store,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let path = store.path().to_owned();
        let run = || {
            let to = store.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&to)?;
            to.commit()?;
            Ok(done)
        };
        run().map_err(|error| fail(&path, &error))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What stays behind does no harm: nobody holds its lock.
        let _ = fs::remove_file(lock_of(&self.folder, self.id));
    }
}

/// Opens a job again with all that it goes on from, and forgets what these measured.
pub(crate) fn reopen(to: &Connection, job: i64) -> rusqlite::Result<()> {
    const CHAIN: &str = "WITH RECURSIVE chain (id) AS (SELECT ?1 UNION \
                         SELECT after FROM jobs JOIN chain USING (id) WHERE after IS NOT NULL)";
    for table in ["answers", "moved"] {
        let delete = format!("{CHAIN} DELETE FROM {table} WHERE job IN (SELECT id FROM chain)");
        to.execute(&delete, [job])?;
    }
    let free = "UPDATE jobs SET state = 0, worker = NULL WHERE id IN (SELECT id FROM chain)";
    to.execute(&format!("{CHAIN} {free}"), [job]).map(|_| ())
}

/// Whether nobody holds the lock of a worker.
pub(crate) fn is_gone(path: &Path) -> bool {
    match File::open(path).map(|file| file.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => false,
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn lock_of(folder: &Path, worker: i64) -> PathBuf {
    folder.join(format!("worker-{worker}.lock"))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
