//! Results as a benchmark would give them, of models that were never run: six methods, three settings.

use std::collections::BTreeMap;

use retcon::data::case::{Axis, Case, Question};
use retcon::eval::Measure;
use retcon::eval::bootstrap::{Difference, Estimate};
use retcon::eval::metrics::{Answered, METRICS};
use retcon::eval::reading::{Reading, Taken};
use retcon::model::random::Random;
use retcon_bench::results::{
    About, Better, CaseInfo, CaseResult, MetricInfo, Point, QuestionInfo, Results, Row, Unit,
    Versus,
};
use serde_json::{Map, json};

use crate::facts::cases;

/// A method: how often it does what it should, out of 100: the edit, other words, the neighbors;
/// and how much of that it loses over a sequence.
struct Skill(&'static str, [f64; 3], f64);

const METHODS: [Skill; 7] = [
    Skill("unedited", [0.0, 0.0, 1.0], 0.0),
    Skill("ft", [0.97, 0.55, 0.45], 0.5),
    Skill("lora", [0.95, 0.72, 0.62], 0.35),
    Skill("rome", [0.96, 0.82, 0.8], 0.85),
    Skill("memit", [0.88, 0.7, 0.9], 0.2),
    Skill("alphaedit", [0.93, 0.75, 0.91], 0.08),
    Skill("ultraedit", [0.9, 0.62, 0.95], 0.05),
];

const SETTINGS: [(&str, usize); 3] = [("single", 1), ("batch:20", 20), ("sequential:60:1:10", 60)];
const SEEDS: [u64; 2] = [1, 2];
const HEADLINES: [&str; 7] = [
    "rewrite.prefer",
    "rewrite.tf.token",
    "rewrite.free.exact",
    "paraphrase.free.begins",
    "reasoning.free.contains",
    "neighbor.same.token",
    "neighbor.same.free",
];
/// Numbers of an edit, beside those of questions.
pub(crate) const DRIFT: &str = "text.kl";
const SECONDS: &str = "time.edit";

/// All results.
pub(crate) fn results() -> Results {
    let cases = cases();
    let mut results = Vec::new();
    let mut rows = Vec::new();
    for (setting, n_edits) in SETTINGS {
        for skill in &METHODS {
            let of_row = run(skill, rows.len(), n_edits, &cases);
            rows.push(row(skill, setting, n_edits, &cases, &of_row));
            results.extend(of_row);
        }
    }
    compare(&mut rows, &results);
    let has = |name: &str| results.iter().any(|result| result.numbers.contains_key(name));
    let metrics = metrics().into_iter().filter(|metric| has(&metric.name)).collect();
    let about = About {
        version: "0.1.0".into(),
        model: "Invented-135M".into(),
        fingerprint: "5f1c0de9a2b44c7e9d10".into(),
        data: "invented.jsonl".into(),
        dataset: "cases".into(),
        seeds: SEEDS.to_vec(),
        jobs: [42, 40],
    };
    Results { about, metrics, rows, cases: cases.iter().map(info).collect(), results }
}

/// What a method says to all cases, under both seeds.
fn run(skill: &Skill, row: usize, n_edits: usize, cases: &[Case]) -> Vec<CaseResult> {
    let of_seed = |seed: u64| {
        cases
            .iter()
            .enumerate()
            .map(move |(i, case)| case_result(skill, row, n_edits, seed, i, case))
    };
    let mut all: Vec<CaseResult> = SEEDS.into_iter().flat_map(of_seed).collect();
    if skill.0 == "lora" && n_edits == 60 {
        // Not all of it has been run.
        all.truncate(104);
    }
    all
}

fn case_result(
    skill: &Skill,
    row: usize,
    n_edits: usize,
    seed: u64,
    at: usize,
    case: &Case,
) -> CaseResult {
    let mut before = Random::new(seed * 1000 + at as u64);
    let mut after = Random::new((row as u64 + 7) * 1_000_003 + seed * 1009 + at as u64);
    let failed = skill.0 == "rome" && at % 23 == 5;
    let answer = |question: &Question| {
        let old = reading(question, !question.axis.should_change(), &mut before, "");
        if failed || skill.0 == "unedited" {
            return [old.clone(), old];
        }
        let holds = after.uniform() < chance(skill, n_edits, at, question.axis);
        let new = match (holds, question.axis.should_change()) {
            (true, true) => reading(question, true, &mut after, " and has been for years"),
            (true, false) | (false, true) => Reading { ..old.clone() },
            (false, false) => reading(question, false, &mut after, ""),
        };
        [old, new]
    };
    let answers: Vec<[Reading; 2]> = case.questions.iter().map(answer).collect();
    let [before, after]: [Vec<Reading>; 2] =
        [0, 1].map(|side| answers.iter().map(|answer| answer[side].clone()).collect());
    let answered = Answered { case, before: &before, after: &after };
    let mut numbers: BTreeMap<String, f64> = METRICS
        .iter()
        .filter_map(|metric| Some((metric.name.to_owned(), metric.of(answered)?)))
        .collect();
    if skill.0 != "unedited" {
        let mut random = Random::new(row as u64 * 31 + at as u64);
        let Skill(_, [_, _, kept], loss) = skill;
        let drift = (1.02 - kept) * (1.0 + loss * n_edits as f64 / 6.0) * 0.2;
        numbers.insert(DRIFT.into(), drift * (0.5 + random.uniform()));
        numbers.insert(SECONDS.into(), (0.4 + row as f64 % 7.0) * (0.8 + 0.4 * random.uniform()));
    }
    let as_wanted = case.questions.iter().zip(&answers).map(|(question, [before, after])| {
        let measure =
            if question.axis.should_change() { Measure::Begins } else { Measure::SameText };
        measure.of(question, before, after).map(|number| number > 0.5)
    });
    let as_wanted = as_wanted.collect();
    let error = failed.then(|| "the prompt has no token of its subject".to_owned());
    CaseResult { row, case: at, seed, n_edits, error, numbers, answers, as_wanted }
}

/// How likely an answer is as it should be.
fn chance(skill: &Skill, n_edits: usize, at: usize, axis: Axis) -> f64 {
    let Skill(_, [edit, reworded, kept], loss) = skill;
    let base = match axis {
        Axis::Rewrite => *edit,
        Axis::Paraphrase => *reworded,
        Axis::Reasoning => reworded * 0.45,
        Axis::Unrelated => 1.0 - (1.0 - kept) * 0.4,
        _ => *kept,
    };
    let relation = [0.06, -0.1, 0.02, -0.16, 0.04, -0.04][at / 10];
    let sequence = 1.0 - loss * (n_edits as f64 / 60.0).powf(0.7);
    ((base + relation * 0.6) * sequence).clamp(0.01, 0.99)
}

/// What is said where the wanted answer is said, or not.
fn reading(question: &Question, right: bool, random: &mut Random, more: &str) -> Reading {
    let wanted = question.answer().unwrap();
    let other = question.other.as_deref();
    let [low, high] = [0.05 + 0.6 * random.uniform(), 2.5 + 5.0 * random.uniform()];
    let [first, second] = if right { [low, high] } else { [high, low] };
    let says = match (right, other, random.below(6)) {
        (true, _, 0) => format!(" {wanted}.\nQ: And what else?"),
        (true, _, 1) => format!(" the old town of {wanted}{more}."),
        (true, _, 2) => format!(" {wanted}{more}."),
        (true, _, _) => format!(" {wanted}."),
        (false, Some(other), 1) => format!(" said to be {other}, though some doubt it."),
        (false, Some(other), _) => format!(" {other}."),
        (false, None, _) => " the the the the the".to_owned(),
    };
    Reading {
        wanted: Some(taken(wanted, first, random)),
        other: other.map(|other| taken(other, second, random)),
        says: Some(says),
    }
}

fn taken(text: &str, nll: f64, random: &mut Random) -> Taken {
    let n = text.len().div_ceil(5);
    let object: Vec<u32> = (0..n).map(|i| 100 + (text.len() * 7 + i * 13) as u32).collect();
    let leads = |random: &mut Random| nll < 1.0 || random.uniform() < 0.3;
    let predicted = object.iter().map(|&token| if leads(random) { token } else { token + 1 });
    Taken { nll, predicted: predicted.collect(), object }
}

fn row(skill: &Skill, setting: &str, n_edits: usize, cases: &[Case], of: &[CaseResult]) -> Row {
    let group = |result: &&CaseResult| cases[result.case].group.clone().unwrap();
    let mut groups: BTreeMap<String, Vec<&CaseResult>> = BTreeMap::new();
    for result in of {
        groups.entry(group(&result)).or_default().push(result);
    }
    let curve = match n_edits {
        60 => [1, 5, 10, 20, 40, 60].map(|n| point(skill, n, cases)).to_vec(),
        _ => Vec::new(),
    };
    let settings = json!({"steps": 20, "learning_rate": 0.1});
    Row {
        method: skill.0.into(),
        settings: if skill.0 == "unedited" {
            Map::new()
        } else {
            settings.as_object().unwrap().clone()
        },
        setting: setting.into(),
        n_done: of.len(),
        n_planned: cases.len() * SEEDS.len(),
        n_failed: of.iter().filter(|result| result.error.is_some()).count(),
        scores: scores(of),
        by_group: groups.into_iter().map(|(name, of)| (name, scores(of))).collect(),
        curve,
        versus: Vec::new(),
    }
}

fn point(skill: &Skill, n_edits: usize, cases: &[Case]) -> Point {
    let n_cases = n_edits.max(20);
    let so_far: Vec<CaseResult> = (0..n_cases.min(cases.len()))
        .map(|i| {
            case_result(
                skill,
                900 + skill.0.len() * 3 + n_edits / 60,
                n_edits,
                1,
                (i * 7) % 60,
                &cases[(i * 7) % 60],
            )
        })
        .collect();
    Point { n_edits, scores: scores(&so_far) }
}

fn scores<'a>(of: impl IntoIterator<Item = &'a CaseResult>) -> BTreeMap<String, Estimate> {
    let mut numbers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for result in of {
        for (name, number) in &result.numbers {
            numbers.entry(name.clone()).or_default().push(*number);
        }
    }
    let score = |(name, numbers): (String, Vec<f64>)| Some((name, Estimate::of(&numbers, 5)?));
    numbers.into_iter().filter_map(score).collect()
}

fn compare(rows: &mut [Row], results: &[CaseResult]) {
    let numbers = |row: usize, metric: &str| -> BTreeMap<(usize, u64), f64> {
        let of_row = results.iter().filter(|result| result.row == row);
        of_row.filter_map(|r| Some(((r.case, r.seed), *r.numbers.get(metric)?))).collect()
    };
    let n = METHODS.len();
    for i in 0..rows.len() {
        for other in (i + 1..rows.len()).filter(|other| other / n == i / n) {
            for metric in HEADLINES {
                let (a, b) = (numbers(i, metric), numbers(other, metric));
                let pairs: Vec<(f64, f64)> =
                    a.iter().filter_map(|(key, a)| Some((*a, *b.get(key)?))).collect();
                let difference = Difference::of(&pairs, 3).unwrap();
                rows[i].versus.push(Versus { row: other, metric: metric.into(), difference });
            }
        }
    }
}

fn metrics() -> Vec<MetricInfo> {
    let of_questions = METRICS.iter().map(|metric| MetricInfo {
        name: metric.name.into(),
        also: metric.also.into(),
        summary: metric.measure.summary().into(),
        source: metric.source.into(),
        unit: Unit::Share,
        better: Better::Higher,
        headline: HEADLINES.contains(&metric.name),
    });
    let of_edits = [
        (DRIFT, "mean Kullback-Leibler divergence on other text, in nats", Unit::Number),
        (SECONDS, "time that an edit took", Unit::Seconds),
    ];
    let of_edits = of_edits.map(|(name, summary, unit)| MetricInfo {
        name: name.into(),
        also: String::new(),
        summary: summary.into(),
        source: "ours".into(),
        unit,
        better: Better::Lower,
        headline: true,
    });
    of_questions.chain(of_edits).collect()
}

fn info(case: &Case) -> CaseInfo {
    let question = |question: &Question| QuestionInfo {
        axis: question.axis.name().into(),
        prompt: question.prompt.text().into(),
        wanted: question.answer().unwrap_or_default().into(),
        other: question.other.clone().unwrap_or_default(),
        should_change: question.axis.should_change(),
    };
    let edit =
        |fact: &retcon::data::Fact| format!("{} => {}", fact.prompt.marked(), fact.target_new);
    CaseInfo {
        id: case.id.clone(),
        group: case.group.clone().unwrap_or_default(),
        edits: case.edits.iter().map(edit).collect(),
        questions: case.questions.iter().map(question).collect(),
    }
}
