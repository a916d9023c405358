//! Every answer as a flat record: a line of CSV, a row of Parquet.

use serde::Serialize;

use crate::results::{CaseInfo, CaseResult, QuestionInfo, Results, Row};
use retcon::eval::reading::{Reading, Taken};

/// A question under a row, a seed and a number of edits; the fields are the columns, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Record<'a> {
    /// The row of the leaderboard, by index: it tells rows of one method apart.
    pub(super) row: usize,
    pub(super) method: &'a str,
    pub(super) setting: &'a str,
    pub(super) seed: u64,
    pub(super) n_edits: usize,
    pub(super) case: &'a str,
    pub(super) group: &'a str,
    /// The question of the case, by index; none where the edit failed before any was asked.
    pub(super) question: Option<usize>,
    pub(super) axis: &'a str,
    pub(super) prompt: &'a str,
    pub(super) wanted: &'a str,
    pub(super) other: &'a str,
    pub(super) nll_wanted_before: Option<f64>,
    pub(super) nll_wanted_after: Option<f64>,
    pub(super) nll_other_before: Option<f64>,
    pub(super) nll_other_after: Option<f64>,
    /// The share of the wanted answer's tokens that lead, fed those before them.
    pub(super) tf_match_before: Option<f64>,
    pub(super) tf_match_after: Option<f64>,
    /// The share of the tokens that lead along the wanted answer, right or wrong, which are as before.
    pub(super) same_token: Option<f64>,
    pub(super) says_before: Option<&'a str>,
    pub(super) says_after: Option<&'a str>,
    pub(super) as_wanted: Option<bool>,
    pub(super) error: Option<&'a str>,
}

/// All records, in the order of the results; a result of a row or case that is not there has none.
pub(super) fn records(results: &Results) -> impl Iterator<Item = Record<'_>> {
    results.results.iter().flat_map(|result| {
        let found = results.rows.get(result.row).zip(results.cases.get(result.case));
        found.map(|(row, case)| of_result(result, row, case)).unwrap_or_default()
    })
}

fn of_result<'a>(result: &'a CaseResult, row: &'a Row, case: &'a CaseInfo) -> Vec<Record<'a>> {
    let about = Record {
        row: result.row,
        method: &row.method,
        setting: &row.setting,
        seed: result.seed,
        n_edits: result.n_edits,
        case: &case.id,
        group: &case.group,
        error: result.error.as_deref(),
        ..Record::default()
    };
    let asked = case.questions.iter().zip(&result.answers).enumerate();
    let mut records: Vec<Record<'_>> = asked
        .map(|(i, (question, answer))| {
            let as_wanted = result.as_wanted.get(i).copied().flatten();
            Record { question: Some(i), as_wanted, ..answered(about.clone(), question, answer) }
        })
        .collect();
    if records.is_empty() {
        records.push(about);
    }
    records
}

fn answered<'a>(
    about: Record<'a>,
    question: &'a QuestionInfo,
    [before, after]: &'a [Reading; 2],
) -> Record<'a> {
    Record {
        axis: &question.axis,
        prompt: &question.prompt,
        wanted: &question.wanted,
        other: &question.other,
        nll_wanted_before: nll(before.wanted.as_ref()),
        nll_wanted_after: nll(after.wanted.as_ref()),
        nll_other_before: nll(before.other.as_ref()),
        nll_other_after: nll(after.other.as_ref()),
        tf_match_before: before.wanted.as_ref().map(Taken::matched),
        tf_match_after: after.wanted.as_ref().map(Taken::matched),
        same_token: before.wanted.as_ref().zip(after.wanted.as_ref()).map(|(b, a)| a.same(b)),
        says_before: before.says.as_deref(),
        says_after: after.says.as_deref(),
        ..about
    }
}

/// What is no number is none: neither CSV nor Parquet's readers agree on how to write one.
fn nll(taken: Option<&Taken>) -> Option<f64> {
    taken.map(|taken| taken.nll).filter(|nll| nll.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_failed_edit_without_answers_is_a_record() {
        let mut results = sample::results();
        let failed =
            CaseResult { answers: vec![], as_wanted: vec![], ..results.results[0].clone() };
        results.results = vec![failed];
        let records: Vec<Record<'_>> = records(&results).collect();
        assert_eq!(records.len(), 1);
        assert!(records[0].question.is_none() && records[0].case == results.cases[0].id);
    }

    #[test]
    fn a_result_of_nothing_has_no_record() {
        let mut results = sample::results();
        results.results[0].row = 99;
        results.results.truncate(1);
        assert_eq!(records(&results).count(), 0);
    }
}
