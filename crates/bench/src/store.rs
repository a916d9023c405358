//! A store: one SQLite file with a plan, its cases and jobs, and everything that was measured.
//!
//! What a job measured is written in one transaction that marks it done, so a job is done wholly or not
//! at all, whenever the program or the machine stops. Several processes may work on one store:
//! [`crate::queue`] hands out the jobs.

use std::ops::Range;
use std::path::{Path, PathBuf};

use retcon::data::datasets::{of_line, to_line};
use retcon::data::{Case, Origin};
use retcon::eval::held::Moved;
use retcon::eval::reading::Reading;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Params, Transaction, TransactionBehavior, params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connect;
use crate::error::{Error, Result};
use crate::plan::{Job, Plan};

/// What marks a file as a store ("retc"), in the header that SQLite keeps for applications.
const APPLICATION: i64 = 0x7265_7463;

/// The version of the tables and of the JSON in them; raised with either, since what can't be read is
/// measured again.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE plan (json TEXT NOT NULL);
CREATE TABLE cases (idx INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TABLE kept (idx INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TABLE workers (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  method INTEGER NOT NULL, setting INTEGER NOT NULL, seed INTEGER NOT NULL, part INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL,
  -- The job that it goes on from.
  after INTEGER REFERENCES jobs (id),
  -- 0: open, 1: taken by a worker, 2: done.
  state INTEGER NOT NULL DEFAULT 0, worker INTEGER, edit_seconds REAL, seconds REAL,
  UNIQUE (method, setting, seed, part));
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE TABLE before (case_idx INTEGER PRIMARY KEY, readings TEXT NOT NULL);
CREATE TABLE answers (
  job INTEGER NOT NULL REFERENCES jobs (id), case_idx INTEGER NOT NULL,
  -- 1: right after its own edit, before those that follow it in a sequence.
  online INTEGER NOT NULL, readings TEXT NOT NULL, error TEXT,
  PRIMARY KEY (job, case_idx, online)) WITHOUT ROWID;
CREATE TABLE moved (
  job INTEGER PRIMARY KEY REFERENCES jobs (id), texts TEXT NOT NULL);
";

/// An open store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    pub(crate) db: Connection,
}

/// What a job measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// What was said to each case.
    pub answers: Vec<Answers>,
    /// How the held-out texts have moved.
    pub moved: Vec<Moved>,
    /// Seconds that editing took.
    pub edit_seconds: f64,
    /// Seconds in all.
    pub seconds: f64,
}

/// What was said to a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The case.
    pub case: usize,
    /// Whether right after its own edit, before others of its sequence.
    pub online: bool,
    /// One a question.
    pub readings: Vec<Reading>,
    /// Why its edit failed, where it did.
    pub error: Option<String>,
}

/// A job as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub job: Job,
    /// What it measured, where it is done.
    pub measured: Option<Measured>,
}

impl Store {
    /// The store at `path` for `plan` over `cases`, with facts that must be `kept`: made where it is not
    /// there. Where it is, the plan's methods, settings and seeds are added to those that it has, and
    /// so are the cases that follow its own; it may have more already. The facts that it keeps and the
    /// other texts that must not change stay what they are.
    ///
    /// # Errors
    /// [`Error::TooFewCases`]; [`Error::OtherPlan`] where a benchmark that differs in anything else is
    /// there, [`Error::NotAStore`], [`Error::Store`].
    pub fn create(path: &Path, plan: &Plan, cases: &[Case], kept: &[Case]) -> Result<Self> {
        plan.settings.iter().try_for_each(|setting| setting.check(cases.len()))?;
        if path.is_file() {
            // What is something else is not even touched.
            Self::by(path, connect::to_read)?.is_store()?;
        }
        let mut store = Self::by(path, connect::to_write)?;
        store.initialize(plan, cases, kept)?;
        store.grow(plan, cases)?;
        Ok(store)
    }

    /// The store at `path`, which is there.
    ///
    /// # Errors
    /// [`Error::NotAStore`] where there is no file or another one, [`Error::Store`].
    pub fn open(path: &Path) -> Result<Self> {
        // What is something else is not even touched.
        Self::open_to_read(path)?;
        Self::by(path, connect::to_write)
    }

    /// As [`Store::open`], to be read alone: that is possible where nothing may be written.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_to_read(path: &Path) -> Result<Self> {
        let not = |what: &str| Error::NotAStore { path: path.to_owned(), what: what.to_owned() };
        if !path.is_file() {
            return Err(not("there is no such file"));
        }
        let store = Self::by(path, connect::to_read)?;
        store.is_store()?.then_some(store).ok_or_else(|| not("it is an empty database"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn by(path: &Path, connect: fn(&Path) -> rusqlite::Result<Connection>) -> Result<Self> {
        let db = connect(path).map_err(|error| fail(path, &error))?;
        Ok(Self { path: path.to_owned(), db })
    }

    /// Whether its tables are there.
    ///
    /// # Errors
    /// [`Error::NotAStore`] where those of another program are.
    fn is_store(&self) -> Result<bool> {
        let (application, version, n_tables) = self.at(|db| {
            // Of one moment: another process may be making the store.
            let of = Transaction::new_unchecked(db, TransactionBehavior::Deferred)?;
            let number = |name| of.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let tables = "SELECT count(*) FROM sqlite_schema";
            let n_tables = of.query_row(tables, [], |row| row.get::<_, i64>(0))?;
            Ok((number("application_id")?, number("user_version")?, n_tables))
        })?;
        let what = match (application, version) {
            (0, 0) if n_tables == 0 => return Ok(false),
            (APPLICATION, VERSION) => return Ok(true),
            (APPLICATION, found) => {
                format!("it has version {found}, this program reads version {VERSION}")
            }
            _ => "it is the database of another program".to_owned(),
        };
        Err(Error::NotAStore { path: self.path.clone(), what })
    }

    /// Fills it, unless that has been done.
    fn initialize(&mut self, plan: &Plan, cases: &[Case], kept: &[Case]) -> Result<()> {
        if self.is_store()? {
            return Ok(());
        }
        let path = self.path.clone();
        let fill = |db: &mut Connection| -> rusqlite::Result<()> {
            let to = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Another process may have been first.
            if to.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == VERSION {
                return Ok(());
            }
            to.execute_batch(TABLES)?;
            to.execute("INSERT INTO plan VALUES (?1)", [json(plan)])?;
            add_cases(&to, "cases", 0, cases)?;
            add_cases(&to, "kept", 0, kept)?;
            to.pragma_update(None, "application_id", APPLICATION)?;
            to.pragma_update(None, "user_version", VERSION)?;
            to.commit()
        };
        fill(&mut self.db).map_err(|error| fail(&path, &error))
    }

    /// What is to be done.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Store`].
    pub fn plan(&self) -> Result<Plan> {
        let select = "SELECT json FROM plan";
        let text: String = self.at(|db| db.query_row(select, [], |row| row.get(0)))?;
        self.parse("the plan", &text)
    }

    /// The cases, without their origins.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub fn cases(&self) -> Result<Vec<Case>> {
        self.lines("cases")
    }

    /// Cases that are not edited, whose old objects must stay.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub fn kept(&self) -> Result<Vec<Case>> {
        self.lines("kept")
    }

    fn lines(&self, table: &str) -> Result<Vec<Case>> {
        let select = format!("SELECT line FROM {table} ORDER BY idx");
        let lines: Vec<String> = self.all(&select, [], |row| row.get(0))?;
        let case = |(idx, line): (usize, &String)| {
            let bad = |error: retcon::data::Error| self.damaged(&format!("case {idx}"), &error);
            let origin = Origin { file: self.path.clone(), line: idx + 1 };
            of_line(line, &origin).map_err(bad)
        };
        lines.iter().enumerate().map(case).collect()
    }

    /// What was said to a case before any edit.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub fn before(&self, case: usize) -> Result<Option<Vec<Reading>>> {
        let select = "SELECT readings FROM before WHERE case_idx = ?1";
        let text = self.at(|db| db.query_row(select, [case], |row| row.get(0)).optional())?;
        text.map(|text: String| self.parse("what was said before", &text)).transpose()
    }

    /// Notes what was said to a case before any edit; whoever was first has said the same.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Full`].
    pub fn note_before(&self, case: usize, readings: &[Reading]) -> Result<()> {
        let insert = "INSERT OR IGNORE INTO before VALUES (?1, ?2)";
        self.at(|db| db.execute(insert, params![case, json(&readings)])).map(|_| ())
    }

    /// All jobs in order, each with what it measured. One whose measurements can't be read counts as not
    /// done, and the log says so; [`crate::run()`] does it again.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub fn rows(&self) -> Result<Vec<Row>> {
        let select = "SELECT id, method, setting, seed, part, first, last, state, edit_seconds, \
                      seconds FROM jobs ORDER BY id";
        let n_cases = self.at(|db| {
            db.query_row("SELECT count(*) FROM cases", [], |row| row.get::<_, usize>(0))
        })?;
        let found = self.all(select, [], |row| {
            let seconds: [Option<f64>; 2] = [row.get(8)?, row.get(9)?];
            let is_done = row.get::<_, i64>(7)? == 2;
            Ok((row.get(0)?, job(row)?, is_done, seconds.map(Option::unwrap_or_default)))
        })?;
        let row = |(id, job, is_done, [edit_seconds, seconds]): (i64, Job, bool, [f64; 2])| {
            if job.cases.end > n_cases {
                let what = format!("job {id} is of cases {:?}, and there are {n_cases}", job.cases);
                return Err(Error::Damaged { path: self.path.clone(), what });
            }
            let measured = if is_done { readable(self.measured(id))? } else { None };
            let measured = measured.map(|found| Measured { edit_seconds, seconds, ..found });
            Ok(Row { id, job, measured })
        };
        found.into_iter().map(row).collect()
    }

    /// The cases of jobs that are done.
    pub(crate) fn done(&self) -> Result<Vec<Range<usize>>> {
        let select = "SELECT DISTINCT first, last FROM jobs WHERE state = 2 ORDER BY first, last";
        self.all(select, [], |row| Ok(row.get(0)?..row.get(1)?))
    }

    /// What a job measured, but for its times.
    pub(crate) fn measured(&self, job: i64) -> Result<Measured> {
        let select = "SELECT case_idx, online, readings, error FROM answers WHERE job = ?1 \
                      ORDER BY online DESC, case_idx";
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let found = self.all(select, [job], row)?;
        let answers = |(case, online, readings, error): (usize, bool, String, Option<String>)| {
            let readings = self.parse(&format!("what was said in job {job}"), &readings)?;
            Ok(Answers { case, online, readings, error })
        };
        let answers = found.into_iter().map(answers).collect::<Result<Vec<_>>>()?;
        let select = "SELECT texts FROM moved WHERE job = ?1";
        let moved = self.at(|db| db.query_row(select, [job], |row| row.get(0)).optional())?;
        let moved = moved
            .map(|text: String| self.parse(&format!("how texts moved in job {job}"), &text))
            .transpose()?;
        Ok(Measured { answers, moved: moved.unwrap_or_default(), ..Measured::default() })
    }

    /// Does something with the database.
    pub(crate) fn at<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.db).map_err(|error| fail(&self.path, &error))
    }

    /// All rows that `select` finds, each as what `row` makes of it.
    pub(crate) fn all<T>(
        &self,
        select: &str,
        params: impl Params,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.at(|db| db.prepare(select)?.query_map(params, row)?.collect())
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|error| self.damaged(what, &error))
    }

    fn damaged(&self, what: &str, error: &dyn std::error::Error) -> Error {
        Error::Damaged { path: self.path.clone(), what: format!("{what} can't be read: {error}") }
    }
}

/// What was found, unless it is damaged: then the log tells, and what is there beside it stays of use.
pub(crate) fn readable<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error @ Error::Damaged { .. }) => {
            tracing::warn!("{error}");
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// The job of a row that begins with its number.
pub(crate) fn job(row: &rusqlite::Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        method: row.get(1)?,
        setting: row.get(2)?,
        seed: row.get::<_, i64>(3)?.cast_unsigned(),
        part: row.get(4)?,
        cases: row.get(5)?..row.get(6)?,
    })
}

pub(crate) fn add_cases(
    to: &Connection,
    table: &str,
    first: usize,
    cases: &[Case],
) -> rusqlite::Result<()> {
    let mut insert = to.prepare(&format!("INSERT INTO {table} VALUES (?1, ?2)"))?;
    for (idx, case) in (first..).zip(cases) {
        insert.execute(params![idx, to_line(case)])?;
    }
    Ok(())
}

pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is stored has string keys")
}

/// What an error of the database means for people.
pub(crate) fn fail(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::Error as E;
    let path = path.to_owned();
    if let E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::Utf8Error(..) = error {
        return Error::Damaged { path, what: error.to_string() };
    }
    if let E::QueryReturnedNoRows = error {
        return Error::Damaged { path, what: "a row is missing that every store has".to_owned() };
    }
    if error.to_string().starts_with("no such ") {
        // A table or a column: the database has been found to be a store before.
        return Error::Damaged { path, what: error.to_string() };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full { path },
        Some(ErrorCode::NotADatabase) => {
            Error::NotAStore { path, what: "it is something else".to_owned() }
        }
        Some(ErrorCode::DatabaseCorrupt) => Error::Damaged { path, what: error.to_string() },
        _ => Error::Store { path, what: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_troubles_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let plan = Plan {
            model: String::new(),
            fingerprint: String::new(),
            precision: String::new(),
            data: String::new(),
            dataset: String::new(),
            statistics: String::new(),
            methods: Vec::new(),
            settings: Vec::new(),
            seeds: Vec::new(),
            asking: crate::plan::Asking::default(),
        };
        let store = Store::create(&path, &plan, &[], &[]).unwrap();
        store.note_before(0, &[Reading::default()]).unwrap();
        let n_pages: i64 =
            store.at(|db| db.pragma_query_value(None, "page_count", |row| row.get(0))).unwrap();
        store.at(|db| db.pragma_update(None, "max_page_count", n_pages)).unwrap();
        let long = Reading { says: Some("a".repeat(100_000)), ..Reading::default() };
        let error = store.note_before(1, &[long]).unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        assert_eq!(store.before(0).unwrap(), Some(vec![Reading::default()]));
        assert_eq!(store.before(1).unwrap(), None);
    }
}
