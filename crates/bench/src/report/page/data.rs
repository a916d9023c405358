//! What of the results a page carries: rows of numbers in the order of the metrics, each text once.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::names::labels;
use super::super::protocol::{Parts, Protocol};
use super::super::table::{Which, chosen};
use crate::results::{About, CaseInfo, CaseResult, MetricInfo, Point, Results, Row, UNEDITED};
use retcon::eval::bootstrap::Estimate;
use retcon::eval::reading::{Reading, Taken};

/// All that the script shows.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    about: &'a About,
    protocols: Vec<[&'static str; 2]>,
    metrics: Vec<Metric<'a>>,
    rows: Vec<Method<'a>>,
    cases: &'a [CaseInfo],
    /// What answers and errors say, which they name by index.
    strings: Vec<&'a str>,
    results: Vec<Answers>,
}

/// A metric; the order is that of tables.
#[derive(Serialize)]
struct Metric<'a> {
    #[serde(flatten)]
    info: &'a MetricInfo,
    axis: &'a str,
    protocol: &'static str,
    measure: &'a str,
    /// Whether it is shown unless all are asked for.
    shown: bool,
}

/// Mean, ends of the interval, count; one a metric, null where there is none.
type Scores = Vec<Option<(Option<f64>, Option<f64>, Option<f64>, usize)>>;

/// The other row, the metric, mean and ends of the interval, count, p.
type Against = (usize, usize, [Option<f64>; 3], usize, Option<f64>);

/// A row of the leaderboard.
#[derive(Serialize)]
struct Method<'a> {
    label: String,
    method: &'a str,
    setting: &'a str,
    settings: &'a Map<String, Value>,
    unedited: bool,
    cases: [usize; 3],
    scores: Scores,
    groups: BTreeMap<&'a str, Scores>,
    curve: Vec<(usize, Scores)>,
    versus: Vec<Against>,
}

/// Row, case, seed (as text: it may have 64 bits), edits, error, the case's own number for each
/// metric, answers.
type Answers = (usize, usize, String, usize, Option<usize>, Vec<Option<f64>>, Vec<Answer>);

/// NLL of the wanted answer before and after, of the other one before and after, its tokens, how
/// many of them lead before and after, what is said before and after, whether it is as wanted.
type Answer = ([Option<f64>; 4], usize, [Option<usize>; 2], [Option<usize>; 2], Option<bool>);

impl<'a> Data<'a> {
    pub(super) fn new(results: &'a Results) -> Self {
        let metrics = chosen(results, Which::All);
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        let headline = chosen(results, Which::Headline);
        let metric = |info: &'a MetricInfo| {
            let Parts { axis, protocol, measure } = Parts::of(&info.name);
            let shown = headline.iter().any(|other| other.name == info.name);
            Metric { info, axis, protocol: protocol.name(), measure, shown }
        };
        let mut texts = Texts::default();
        let rows = results.rows.iter().zip(labels(results));
        let is_there = |result: &&CaseResult| {
            result.row < results.rows.len() && result.case < results.cases.len()
        };
        let answers = results.results.iter().filter(is_there);
        Self {
            about: &results.about,
            protocols: Protocol::ALL.iter().map(|p| [p.name(), p.summary()]).collect(),
            rows: rows.map(|(row, label)| Method::new(row, label, &names)).collect(),
            cases: &results.cases,
            results: answers.map(|result| texts.of_result(result, &names)).collect(),
            strings: texts.all,
            metrics: metrics.into_iter().map(metric).collect(),
        }
    }
}

impl<'a> Method<'a> {
    fn new(row: &'a Row, label: String, names: &[&str]) -> Self {
        let groups =
            row.by_group.iter().map(|(name, scores)| (name.as_str(), in_order(scores, names)));
        let point = |point: &Point| (point.n_edits, in_order(&point.scores, names));
        let versus = row.versus.iter().filter_map(|versus| {
            let metric = names.iter().position(|name| *name == versus.metric)?;
            let Estimate { mean, low, high, n } = versus.difference.score;
            let ends = [mean, low, high].map(short);
            Some((versus.row, metric, ends, n, short(versus.difference.p)))
        });
        Self {
            label,
            method: &row.method,
            setting: &row.setting,
            settings: &row.settings,
            unedited: row.method == UNEDITED,
            cases: [row.n_done, row.n_planned, row.n_failed],
            scores: in_order(&row.scores, names),
            groups: groups.collect(),
            curve: row.curve.iter().map(point).collect(),
            versus: versus.collect(),
        }
    }
}

fn in_order(scores: &BTreeMap<String, Estimate>, names: &[&str]) -> Scores {
    let of = |name: &&str| {
        let Estimate { mean, low, high, n } = *scores.get(*name)?;
        Some((short(mean), short(low), short(high), n))
    };
    names.iter().map(of).collect()
}

/// Six digits, which is more than a page shows; none where it is no number. For infinity JSON has no word
/// either: the largest number stands for it, and the script takes it as that.
fn short(number: f64) -> Option<f64> {
    match number {
        _ if number.is_nan() => None,
        _ if number.is_infinite() => Some(f64::MAX.copysign(number)),
        _ => format!("{number:.5e}").parse().ok(),
    }
}

/// Texts, each once.
#[derive(Default)]
struct Texts<'a> {
    all: Vec<&'a str>,
    places: BTreeMap<&'a str, usize>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        *self.places.entry(text).or_insert_with(|| {
            self.all.push(text);
            self.all.len() - 1
        })
    }

    fn of_result(&mut self, result: &'a CaseResult, names: &[&str]) -> Answers {
        let error = result.error.as_deref().map(|error| self.place(error));
        let numbers = names.iter().map(|name| result.numbers.get(*name).copied().and_then(short));
        let answers = result.answers.iter().enumerate();
        let answers = answers.map(|(i, readings)| {
            self.of_answer(readings, result.as_wanted.get(i).copied().flatten())
        });
        let CaseResult { row, case, seed, n_edits, .. } = *result;
        (row, case, seed.to_string(), n_edits, error, numbers.collect(), answers.collect())
    }

    fn of_answer(&mut self, [before, after]: &'a [Reading; 2], as_wanted: Option<bool>) -> Answer {
        let nll = |taken: &Option<Taken>| taken.as_ref().and_then(|taken| short(taken.nll));
        let lead = |taken: &Option<Taken>| {
            let pairs = |taken: &Taken| {
                taken.object.iter().zip(&taken.predicted).filter(|(a, b)| a == b).count()
            };
            taken.as_ref().map(pairs)
        };
        let n_tokens =
            after.wanted.as_ref().or(before.wanted.as_ref()).map_or(0, |t| t.object.len());
        let says =
            [before, after].map(|reading| reading.says.as_deref().map(|says| self.place(says)));
        (
            [nll(&before.wanted), nll(&after.wanted), nll(&before.other), nll(&after.other)],
            n_tokens,
            [lead(&before.wanted), lead(&after.wanted)],
            says,
            as_wanted,
        )
    }
}
