//! Small results to test reports with: two methods under one setting, and texts that break markup.

use std::collections::BTreeMap;

use serde_json::Map;

use crate::results::{
    About, Better, CaseInfo, CaseResult, MetricInfo, Point, QuestionInfo, Results, Row, Unit,
    Versus,
};
use retcon::eval::bootstrap::{Difference, Estimate};
use retcon::eval::reading::{Reading, Taken};

/// What no format may stumble over.
pub(super) const NASTY: &str =
    "</script><!-- \"quoted\", 'so' & more |\n second line\r\n\u{202e}עברית {{style}} \u{2028}";

/// Nothing at all.
pub(super) fn empty() -> Results {
    let about = About::default();
    Results { about, metrics: vec![], rows: vec![], cases: vec![], results: vec![] }
}

/// Two methods and the unedited model, on two cases.
pub(super) fn results() -> Results {
    let about = About {
        version: "0.1.0".into(),
        model: "SmolLM2".into(),
        fingerprint: "c0ffee".into(),
        data: "facts.jsonl".into(),
        dataset: "counterfact".into(),
        seeds: vec![7],
        jobs: [4, 3],
    };
    let rows = vec![row("unedited", [0.1, 0.1, 0.0, 1.0]), rome(), row("memit", MEMIT)];
    let results = (0..3).flat_map(|row| (0..2).map(move |case| result(row, case))).collect();
    Results { about, metrics: metrics(), rows, cases: vec![case("a<b"), case(NASTY)], results }
}

const NAMES: [&str; 4] =
    ["rewrite.prefer", "rewrite.tf.token", "rewrite.free.exact", "neighbor.same.free"];
const MEMIT: [f64; 4] = [0.85, 0.85, 0.8, 0.9];

fn rome() -> Row {
    let difference = Difference { score: score(-0.2, [-0.35, -0.05]), p: 0.012 };
    let versus = Versus { row: 2, metric: "neighbor.same.free".into(), difference };
    let mut row = Row { versus: vec![versus], n_failed: 1, ..row("rome", [0.9, 0.9, 0.95, 0.7]) };
    row.scores.insert("rewrite.prefer".into(), score(0.9, [0.8, 0.95]));
    row.scores.insert("rewrite.free.exact".into(), score(0.95, [0.9, 1.0]));
    row
}

fn score(mean: f64, [low, high]: [f64; 2]) -> Estimate {
    Estimate { mean, low, high, n: 20 }
}

fn row(method: &str, means: [f64; 4]) -> Row {
    let scores = NAMES.iter().zip(means);
    let mut scores: BTreeMap<String, Estimate> = scores
        .map(|(name, mean)| ((*name).to_owned(), score(mean, [mean - 0.1, mean + 0.1])))
        .collect();
    let drift = match method {
        "rome" => score(0.02, [0.01, f64::NAN]),
        _ => score(0.01, [0.005, 0.02]),
    };
    if method != "unedited" {
        scores.insert("drift.kl".into(), drift);
    }
    Row {
        method: method.into(),
        settings: Map::new(),
        setting: "sequential 1 x 20".into(),
        n_done: if method == "memit" { 18 } else { 20 },
        n_planned: 20,
        n_failed: 0,
        by_group: BTreeMap::from([("P36".to_owned(), scores.clone())]),
        curve: vec![Point { n_edits: 20, scores: scores.clone() }],
        scores,
        versus: vec![],
    }
}

fn metrics() -> Vec<MetricInfo> {
    let metric = |name: &str| MetricInfo {
        name: name.into(),
        also: if name == "rewrite.free.exact" { "A_M".into() } else { String::new() },
        summary: "the object is said".into(),
        source: "a paper & its code".into(),
        unit: if name == "drift.kl" { Unit::Number } else { Unit::Share },
        better: if name == "drift.kl" { Better::Lower } else { Better::Higher },
        headline: name != "drift.kl",
    };
    NAMES.into_iter().chain(["drift.kl"]).map(metric).collect()
}

fn case(id: &str) -> CaseInfo {
    let question = |axis: &str, prompt: &str, wanted: &str, should_change| QuestionInfo {
        axis: axis.into(),
        prompt: prompt.into(),
        wanted: wanted.into(),
        other: "Paris".into(),
        should_change,
    };
    CaseInfo {
        id: id.into(),
        group: "P36".into(),
        edits: vec!["The capital of {France} is => Berlin".into()],
        questions: vec![
            question("rewrite", "The capital of France is", "Berlin", true),
            question("neighbor", "The capital of Spain is", "Madrid", false),
        ],
    }
}

fn result(row: usize, case: usize) -> CaseResult {
    let taken = |nll, predicted| Some(Taken { nll, object: vec![1, 2], predicted });
    let reading = |nll, says: &str| Reading {
        wanted: taken(nll, if nll < 1.0 { vec![1, 2] } else { vec![3, 4] }),
        other: taken(0.5, vec![1, 2]),
        says: Some(says.into()),
    };
    let (nll, says) = match (row, case) {
        (0, _) => (4.25, " Paris."),
        (_, 0) => (0.25, " Berlin."),
        _ => (f64::INFINITY, NASTY),
    };
    let neighbor = [reading(0.5, " Madrid."), reading(0.5, " Madrid.")];
    CaseResult {
        row,
        case,
        seed: 7,
        n_edits: 20,
        error: (row == 1 && case == 0).then(|| "no | tokens".to_owned()),
        numbers: BTreeMap::from([("rewrite.tf.token".to_owned(), f64::NAN)]),
        answers: vec![[reading(4.25, " Paris."), reading(nll, says)], neighbor],
        as_wanted: vec![Some(row > 0 && case == 0), None],
    }
}
