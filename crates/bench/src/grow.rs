//! A store that takes in more: methods, settings, seeds and cases, behind those that it has.

use retcon::data::Case;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::select::meet;
use crate::store::{Store, add_cases, fail, json};

/// How many cases there were when the texts that must not change were chosen, in a store that has grown.
const BEGAN: &str = "CREATE TABLE IF NOT EXISTS began (n_cases INTEGER NOT NULL)";

impl Store {
    /// Adds what `plan` and `cases` have beyond its own.
    pub(crate) fn grow(&self, plan: &Plan, cases: &[Case]) -> Result<()> {
        let path = self.path().to_owned();
        let other = |what: String| Error::OtherPlan { path: path.clone(), what };
        // Nobody else adds anything between looking and writing.
        let begin = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate);
        let to = begin.map_err(|error| fail(&path, &error))?;
        let (old, mut all, cases) = (self.plan()?, self.cases()?, stripped(cases));
        let there = all.len();
        if !cases.starts_with(&all) && !all.starts_with(&cases) {
            return Err(other("its cases are others".to_owned()));
        }
        let more = cases.get(there..).unwrap_or_default();
        let kept = self.kept()?;
        if let Some(case) = more.iter().find(|case| kept.iter().any(|kept| meet(case, kept))) {
            return Err(other(format!("what the case {} edits is to be kept", case.id)));
        }
        all.extend_from_slice(more);
        for setting in &old.settings {
            // A last part that was shorter than the others would become longer.
            if !setting.parts(all.len()).starts_with(&setting.parts(there)) {
                let what = format!("the last part of {setting} over {there} cases is not whole");
                return Err(other(what));
            }
        }
        let plan = old.joined(plan).map_err(other)?;
        let add = || {
            to.execute("UPDATE plan SET json = ?1", [json(&plan)])?;
            if !more.is_empty() {
                to.execute(BEGAN, [])?;
                let insert = "INSERT INTO began SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM began)";
                to.execute(insert, [there])?;
            }
            add_cases(&to, "cases", there, more)?;
            add_jobs(&to, &plan, all.len())?;
            to.commit()
        };
        add().map_err(|error| fail(&path, &error))
    }

    /// The cases that the store was made with, which other texts that must not change were chosen
    /// beside.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub fn first_cases(&self) -> Result<Vec<Case>> {
        let mut cases = self.cases()?;
        let is_there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'began')";
        if self.at(|db| db.query_row(is_there, [], |row| row.get(0)))? {
            let began = "SELECT n_cases FROM began";
            cases.truncate(self.at(|db| db.query_row(began, [], |row| row.get(0)))?);
        }
        Ok(cases)
    }
}

/// Adds the jobs of a plan that are not there yet.
fn add_jobs(to: &Connection, plan: &Plan, n_cases: usize) -> rusqlite::Result<()> {
    let mut insert = to.prepare(
        "INSERT OR IGNORE INTO jobs (method, setting, seed, part, first, last, after) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT id FROM jobs AS a WHERE ?7 AND a.method = ?1 \
         AND a.setting = ?2 AND a.seed = ?3 AND a.part = ?4 - 1))",
    )?;
    for job in plan.jobs(n_cases) {
        let seed = job.seed.cast_signed();
        let (first, last) = (job.cases.start, job.cases.end);
        let goes_on = plan.settings[job.setting].is_sequential();
        insert.execute(params![job.method, job.setting, seed, job.part, first, last, goes_on])?;
    }
    Ok(())
}

/// Cases as a store has them.
fn stripped(cases: &[Case]) -> Vec<Case> {
    let mut cases = cases.to_vec();
    for case in &mut cases {
        case.origin = None;
        case.edits.iter_mut().for_each(|edit| edit.origin = None);
    }
    cases
}
