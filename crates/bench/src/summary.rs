//! What a store has come to: every metric of every method and setting, with intervals and comparisons.

mod columns;
mod numbers;
mod sheet;
mod whole;

use std::collections::BTreeMap;

use crate::results::{
    About, CaseInfo, CaseResult, MetricInfo, Point, QuestionInfo, Results, Row, UNEDITED, Versus,
};
use rayon::prelude::*;
use retcon::data::Case;
use retcon::eval::bootstrap::{Difference, Estimate};
use retcon::eval::reading::Reading;
use serde_json::Map;

use crate::error::Result;
use crate::plan::Plan;
use crate::store::{Store, readable};
pub use columns::metrics;
use columns::{Column, columns};
use numbers::{by_case, pairs};
use sheet::{Measured, Sheet};
use whole::Whole;

/// The seed of all intervals: a report is the same whenever it is made.
const SEED: u64 = 0;

/// What the store has come to so far.
///
/// # Errors
/// [`crate::Error::Damaged`], [`crate::Error::Store`].
pub fn summarize(store: &Store) -> Result<Results> {
    let (plan, cases) = (store.plan()?, store.cases()?);
    let before = |case| Ok(readable(store.before(case))?.flatten());
    let before = (0..cases.len()).map(before).collect::<Result<Vec<_>>>()?;
    let material = Material { columns: columns(), plan: &plan, cases: &cases, before: &before };
    let jobs = store.rows()?;
    let n_done = jobs.iter().filter(|row| row.measured.is_some()).count();
    let mut sheets = Vec::new();
    for setting in 0..plan.settings.len() {
        sheets.push(material.unedited(setting, &jobs));
        for method in 0..plan.methods.len() {
            sheets.push(material.sheet(setting, method, &jobs));
        }
    }
    let rows = sheets.par_iter().enumerate();
    let rows = rows.map(|(i, sheet)| material.row(sheet, &sheets, i));
    let rows: Vec<Row> = rows.collect();
    let results = sheets.iter().enumerate().flat_map(|(row, sheet)| material.results(row, sheet));
    let results = results.collect();
    let has = |column: &&Column| rows.iter().any(|row| row.scores.contains_key(column.name));
    Ok(Results {
        about: About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: plan.model.clone(),
            fingerprint: plan.fingerprint.clone(),
            data: plan.data.clone(),
            dataset: plan.dataset.clone(),
            seeds: plan.seeds.clone(),
            jobs: [jobs.len(), n_done],
        },
        metrics: material.columns.iter().filter(has).map(Column::info).collect::<Vec<MetricInfo>>(),
        rows,
        cases: cases.iter().map(case_info).collect(),
        results,
    })
}

/// What all rows are made of.
struct Material<'a> {
    columns: Vec<Column>,
    plan: &'a Plan,
    cases: &'a [Case],
    before: &'a [Option<Vec<Reading>>],
}

impl<'a> Material<'a> {
    /// What a sheet came to, and how it differs from those after it.
    fn row(&self, sheet: &Sheet<'_>, all: &[Sheet<'_>], place: usize) -> Row {
        let setting = self.plan.settings[sheet.setting];
        let final_of = sheet.finals();
        let chosen = sheet.method.map(|method| &self.plan.methods[method]);
        let mut scores = self.scores(&final_of);
        scores.extend(self.whole_scores(&sheet.whole));
        let curve = sheet.checks.iter().map(|(&n_edits, measured)| {
            let measured: Vec<&Measured<'_>> = measured.iter().collect();
            let mut scores = self.scores(&measured);
            scores.extend(
                sheet.whole_at.get(&n_edits).map(|at| self.whole_scores(at)).into_iter().flatten(),
            );
            Point { n_edits, scores }
        });
        let curve: Vec<Point> = curve.collect();
        scores.extend(horizon(&curve).map(|score| ("horizon".to_owned(), score)));
        Row {
            method: chosen.map_or(UNEDITED.to_owned(), |chosen| chosen.label.clone()),
            settings: chosen.map_or_else(Map::new, |chosen| chosen.settings.clone()),
            setting: setting.to_string(),
            n_done: sheet.last.len(),
            n_planned: sheet.n_planned,
            n_failed: sheet.errors.len(),
            by_group: self.by_group(&final_of),
            scores,
            curve,
            versus: self.versus(sheet, all, place),
        }
    }

    fn by_group(&self, measured: &[&Measured<'_>]) -> BTreeMap<String, BTreeMap<String, Estimate>> {
        let mut groups: BTreeMap<String, Vec<&Measured<'_>>> = BTreeMap::new();
        for &of_case in measured {
            if let Some(group) = &self.cases[of_case.case].group {
                groups.entry(group.clone()).or_default().push(of_case);
            }
        }
        groups.into_iter().map(|(group, measured)| (group, self.scores(&measured))).collect()
    }

    fn results(&self, row: usize, sheet: &Sheet<'_>) -> Vec<CaseResult> {
        let result = |measured: &&Measured<'_>| {
            let (case, before) = (&self.cases[measured.case], self.before[measured.case].as_ref()?);
            let answers = measured.answers.filter(|answers| !answers.online)?;
            let pairs = before.iter().cloned().zip(answers.readings.iter().cloned());
            let answers_of: Vec<[Reading; 2]> = pairs.map(|(b, a)| [b, a]).collect();
            let questions = case.questions.iter().zip(&answers_of);
            Some(CaseResult {
                row,
                case: measured.case,
                seed: measured.seed,
                n_edits: measured.n_edits,
                error: sheet
                    .errors
                    .get(&(measured.seed, measured.case))
                    .map(|&error| error.to_owned()),
                numbers: measured.numbers.iter().map(|(&k, &v)| (k.to_owned(), v)).collect(),
                as_wanted: questions
                    .map(|(question, answers)| numbers::as_wanted(question, answers))
                    .collect(),
                answers: answers_of,
            })
        };
        sheet.finals().iter().filter_map(result).collect()
    }

    /// Every metric of cases, over all that have it, and those that are made of several.
    fn scores(&self, measured: &[&Measured<'_>]) -> BTreeMap<String, Estimate> {
        let mut scores = BTreeMap::new();
        let cases = by_case(measured);
        for column in &self.columns {
            let numbers = cases.iter().filter_map(|numbers| numbers.get(column.name));
            let numbers: Vec<f64> = numbers.copied().collect();
            if let Some(score) = Estimate::by(&numbers, SEED, |mean| column.shown(mean)) {
                scores.insert(column.name.to_owned(), score);
            }
        }
        for (name, score) in numbers::composed(&cases, SEED) {
            scores.insert(name.to_owned(), score);
        }
        scores
    }

    /// Every metric of a whole model.
    fn whole_scores(&self, whole: &Whole) -> BTreeMap<String, Estimate> {
        let columns = self.columns.iter().filter_map(|column| {
            let score = whole.score(column.name, |mean| column.shown(mean))?;
            Some((column.name.to_owned(), score))
        });
        columns.collect()
    }

    /// How a sheet differs from those after it of the same setting.
    fn versus(&self, sheet: &Sheet<'_>, all: &[Sheet<'_>], place: usize) -> Vec<Versus> {
        let mut versus = Vec::new();
        for (row, other) in all.iter().enumerate().skip(place + 1) {
            if sheet.method.is_none() || sheet.setting != other.setting {
                continue;
            }
            let (mine, theirs) = (sheet.finals(), other.finals());
            for column in self.columns.iter().filter(|column| column.is_compared()) {
                let mut pairs = pairs(&mine, &theirs, column.name);
                pairs.extend(sheet.whole.pairs(&other.whole, column.name));
                if let Some(difference) = Difference::of(&pairs, SEED) {
                    let metric = column.name.to_owned();
                    versus.push(Versus { row, metric, difference });
                }
            }
        }
        versus
    }
}

/// How many edits a sequence has come to while most of them held; one number, so without an interval.
fn horizon(curve: &[Point]) -> Option<Estimate> {
    const MOST: f64 = 0.6;
    let holds =
        |point: &&Point| point.scores.get("rewrite.tf.sequence").is_some_and(|s| s.mean >= MOST);
    let last = curve.iter().filter(holds).map(|point| point.n_edits).max().unwrap_or(0) as f64;
    (!curve.is_empty()).then_some(Estimate { mean: last, low: last, high: last, n: 1 })
}

fn case_info(case: &Case) -> CaseInfo {
    let question = |question: &retcon::data::case::Question| QuestionInfo {
        axis: question.axis.name().to_owned(),
        prompt: question.prompt.text().to_owned(),
        wanted: question.answer().unwrap_or_default().to_owned(),
        other: question.other.clone().unwrap_or_default(),
        should_change: question.axis.should_change(),
    };
    let edit =
        |edit: &retcon::data::Fact| format!("{} => {}", edit.prompt.marked(), edit.target_new);
    CaseInfo {
        id: case.id.clone(),
        group: case.group.clone().unwrap_or_default(),
        edits: case.edits.iter().map(edit).collect(),
        questions: case.questions.iter().map(question).collect(),
    }
}
