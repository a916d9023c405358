//! Experiments on a tiny model: what is recorded, resumed, refused and drawn.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use retcon::experiment::{Facts, Material, Memory, Plan, Record, Scale, report, run};
use retcon::train::Constraint;
use retcon::{Ctx, Error, Model, Progress, Result};

const PLAN: &str = r#"
name = "tiny"
about = "Does it run?"
[facts]
source = "world"
count = 60
measured = 6
[memorize]
course = { steps = 6, batch = 8, learning_rate = 1e-2 }
[modify]
sizes = [3]
data = ["ftm", "fta", "retrain"]
from = ["memorized", "start"]
blocks = ["all", "-1"]
share = 0.5
every = 2
constraints = [
    { kind = "none" },
    { kind = "linf", radius = 1e-3 },
    { kind = "l2", radius = 0.05 },
    { kind = "loss", rise = 0.1, rate = 1.0 },
]
course = { steps = 4, batch = 4, learning_rate = 1e-2 }
"#;

fn plan(folder: &Path, text: &str) -> Plan {
    let path = folder.join("plan.toml");
    fs::write(&path, text).unwrap();
    Plan::read(&path, Scale::Small).unwrap()
}

fn carry_out(plan: &Plan, model: &Model, out: &Path, stop_after: usize) -> Result<Vec<Record>> {
    let (n_steps, cancel) = (AtomicUsize::new(0), AtomicBool::new(false));
    let progress = |_: &_| {
        if n_steps.fetch_add(1, Ordering::Relaxed) + 1 >= stop_after {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    run(&Ctx::new(0).with_progress(&progress).with_cancel(&cancel), plan, model, out)
}

/// What does not depend on the clock.
fn timeless(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().map(|record| Record { seconds: 0.0, ..record }).collect()
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_with_the_same_records() {
    for name in ["bert", "llama-tied"] {
        let (folder, model) = (tempfile::tempdir().unwrap(), crate::model(name));
        let plan = plan(folder.path(), PLAN);
        let whole = folder.path().join("whole");
        let expected = timeless(carry_out(&plan, &model, &whole, usize::MAX).unwrap());
        // Two choices of `from` times two of blocks, times four constraints for FTM and three for FTA,
        // which has no bound on the loss; and retraining.
        assert_eq!(expected.len(), 2 * 2 * (4 + 3) + 1);

        let stopped = folder.path().join("stopped");
        for stop_after in [3, 20, 41] {
            let stop = carry_out(&plan, &model, &stopped, stop_after).unwrap_err();
            assert!(matches!(stop, Error::Canceled), "{stop}");
        }
        // As if killed within a line.
        let records = stopped.join("records.jsonl");
        let text = fs::read(&records).unwrap();
        fs::write(&records, &text[..text.len() - 7]).unwrap();
        assert_eq!(timeless(carry_out(&plan, &model, &stopped, usize::MAX).unwrap()), expected);
    }
}

#[test]
fn constraints_hold_in_every_record() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let plan = plan(folder.path(), PLAN);
    for record in carry_out(&plan, &model, &folder.path().join("out"), usize::MAX).unwrap() {
        let squares: f64 = record.moved.iter().map(|(_, norm, _)| norm * norm).sum();
        let most = record.moved.iter().map(|(_, _, most)| *most).fold(0.0, f64::max);
        assert!(most > 0.0, "{}: nothing has moved", record.cell.key());
        match record.cell.constraint.name() {
            "linf" => assert!(most <= 1e-3, "{most}"),
            "l2" => assert!(squares.sqrt() <= 0.05 + 1e-9, "{}", squares.sqrt()),
            _ => assert!(most > 1e-3),
        }
        let outside = record.moved.iter().any(|(id, ..)| id.starts_with("blocks.0."));
        assert_eq!(outside, record.cell.blocks == "all");
        assert_eq!(record.points[0].step, 0);
        assert_eq!(record.n, [3, 6]);
    }
}

#[test]
fn a_folder_belongs_to_one_plan() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let out = folder.path().join("out");
    let small = PLAN.replace("\"fta\", \"retrain\"", "\"fta\"");
    // After the first record.
    let stop = carry_out(&plan(folder.path(), &small), &model, &out, 12).unwrap_err();
    assert!(matches!(stop, Error::Canceled));
    let error = carry_out(&plan(folder.path(), PLAN), &model, &out, 1).unwrap_err();
    assert!(error.to_string().contains("another experiment"), "{error}");
}

#[test]
fn a_folder_is_not_lost_to_a_plan_that_nothing_was_recorded_under() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let out = folder.path().join("out");
    // While it memorizes: the fourth step is the last.
    let stop = carry_out(&plan(folder.path(), PLAN), &model, &out, 3).unwrap_err();
    assert!(matches!(stop, Error::Canceled));
    let corrected = plan(folder.path(), &PLAN.replace("radius = 0.05", "radius = 0.5"));
    let all = Stages::default();
    all.carry_out(&corrected, &model, &out).unwrap();
    // What was memorized counts: two of six steps were left.
    assert_eq!(all.steps("memorizing"), 2);
}

#[test]
fn a_folder_belongs_to_one_model_whatever_tells_it_from_others() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let out = folder.path().join("out");
    let plan = plan(folder.path(), &PLAN.replace("\"fta\", \"retrain\"", "\"fta\""));
    carry_out(&plan, &model, &out, usize::MAX).unwrap();
    let id = model.weights().iter().map(|(id, _)| id).find(|id| id.block == Some(1)).unwrap();
    let edited = crate::identity::nudged(&model, id);
    let error = carry_out(&plan, &edited, &out, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("another experiment"), "{error}");
    // Nor is what the other one memorized taken.
    fs::remove_file(out.join("records.jsonl")).unwrap();
    let error = carry_out(&plan, &edited, &out, usize::MAX).unwrap_err();
    assert!(matches!(error, Error::BadState { .. }), "{error}");
}

/// Facts as a file: the capital of each, France's being the given one.
fn capitals(of_france: &str) -> String {
    let mut facts = r#"{"relation": "capital", "templates": ["The capital of [X] is [Y].", "[Y] is the capital of [X]."]}"#.to_owned();
    let others = [("Germany", "Berlin"), ("Italy", "Rome"), ("Spain", "Madrid")];
    for (subject, object) in [("France", of_france)].into_iter().chain(others) {
        let fact =
            serde_json::json!({ "relation": "capital", "subject": subject, "object": object });
        facts += &format!("\n{fact}");
    }
    facts
}

const CAPITALS: &str = "source = \"facts.jsonl\"";

#[test]
fn a_folder_belongs_to_the_facts_themselves_not_to_their_path() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let (out, facts) = (folder.path().join("out"), folder.path().join("facts.jsonl"));
    fs::write(&facts, capitals("Paris")).unwrap();
    let plan = plan(folder.path(), &PLAN.replace("source = \"world\"", CAPITALS));
    carry_out(&plan, &model, &out, usize::MAX).unwrap();
    fs::write(&facts, capitals("Lyon")).unwrap();
    let error = carry_out(&plan, &model, &out, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("another experiment"), "{error}");
    // Other words for what is only measured are other facts to a folder.
    fs::write(&facts, capitals("Paris").replace("is the capital", "was the capital")).unwrap();
    let error = carry_out(&plan, &model, &out, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("another experiment"), "{error}");
    // But not to what was memorized.
    fs::remove_file(out.join("records.jsonl")).unwrap();
    let stages = Stages::default();
    stages.carry_out(&plan, &model, &out).unwrap();
    assert_eq!(stages.steps("memorizing"), 0);
    fs::remove_file(out.join("records.jsonl")).unwrap();
    fs::write(&facts, capitals("Lyon")).unwrap();
    let error = carry_out(&plan, &model, &out, usize::MAX).unwrap_err();
    assert!(matches!(error, Error::BadState { .. }), "{error}");
}

#[test]
fn another_plan_starts_from_a_copy_of_what_was_memorized() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    fs::write(folder.path().join("facts.jsonl"), capitals("Paris")).unwrap();
    fs::write(folder.path().join("copy.jsonl"), capitals("Paris")).unwrap();
    let text = PLAN.replace("source = \"world\"", CAPITALS);
    carry_out(&plan(folder.path(), &text), &model, &one, usize::MAX).unwrap();
    fs::create_dir(&other).unwrap();
    let state = "memorized-pretrained.safetensors";
    fs::copy(one.join(state), other.join(state)).unwrap();
    let text = text
        .replace("facts.jsonl", "copy.jsonl")
        .replace("measured = 6", "measured = 2")
        .replace("sizes = [3]", "sizes = [1]");
    let stages = Stages::default();
    stages.carry_out(&plan(folder.path(), &text), &model, &other).unwrap();
    assert_eq!(stages.steps("memorizing"), 0);
    assert!(stages.steps("modifying") > 0);
}

/// How many steps of each stage are taken.
#[derive(Default)]
struct Stages(Mutex<BTreeMap<&'static str, usize>>);

impl Stages {
    fn carry_out(&self, plan: &Plan, model: &Model, out: &Path) -> Result<Vec<Record>> {
        let progress = |progress: &Progress| {
            *self.0.lock().unwrap().entry(progress.stage).or_default() += 1;
        };
        run(&Ctx::new(0).with_progress(&progress), plan, model, out)
    }

    fn steps(&self, stage: &str) -> usize {
        self.0.lock().unwrap().get(stage).copied().unwrap_or_default()
    }
}

#[test]
fn a_report_has_a_table_pictures_and_a_page() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let plan = plan(folder.path(), PLAN);
    let records = carry_out(&plan, &model, &folder.path().join("out"), usize::MAX).unwrap();
    let files = report(&plan, &records, folder.path()).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let table = read("table.md");
    assert!(table.contains("| 3 | FTM, memorized, linf, all blocks |"), "{table}");
    assert_eq!(table.matches("| retrain |").count(), 1, "{table}");
    let page = read("index.html");
    assert!(page.contains("<svg") && page.contains("A_F\\S") && !page.contains("http://e"));
    // By relation and by weight.
    let relation = &records[0].by_relation[0].0;
    assert!(page.contains(relation) && page.contains("blocks.1.mlp.down"), "{relation}");
    assert!(files.iter().all(|file| file.exists()));
    assert!(read("heat-map-3-1.svg").contains("block -1"));
    let png = fs::read(folder.path().join("trade-off-3.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "{}", png.len());
}

#[test]
fn targets_that_come_with_the_facts_are_used() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let case = |subject: &str, answer: &str, alt: &str| {
        serde_json::json!({
            "subject": subject, "src": format!("What is the capital of {subject}?"), "pred": answer,
            "rephrase": format!("Which city is {subject}'s capital?"), "alt": alt,
            "answers": [answer], "loc": "nq question: who is who", "loc_ans": "Who",
            "cond": format!("{answer} >> {alt} || What is the capital of {subject}?"),
        })
        .to_string()
    };
    let cases = [
        case("France", "Paris", "Rome"),
        case("Italy", "Rome", "Berlin"),
        case("Spain", "Madrid", "Madrid"),
    ];
    fs::write(folder.path().join("zsre.jsonl"), cases.join("\n")).unwrap();
    let text = PLAN
        .replace(
            "source = \"world\"\ncount = 60",
            "source = \"zsre.jsonl\"\nmodified = \"source\"\ntexts = \"questions\"",
        )
        .replace("sizes = [3]", "sizes = [2]");
    let out = folder.path().join("out");
    let records = carry_out(&plan(folder.path(), &text), &model, &out, usize::MAX).unwrap();
    // One target is true already, and its fact is what stays.
    assert_eq!(records[0].n, [2, 1]);
    let modified = fs::read_to_string(out.join("modified-2-0.jsonl")).unwrap();
    assert!(modified.contains("\"modified\":\"Berlin\""), "{modified}");
    let more = plan(folder.path(), &text.replace("sizes = [2]", "sizes = [3]"));
    let error = carry_out(&more, &model, &folder.path().join("more"), usize::MAX).unwrap_err();
    assert!(error.to_string().contains('3'), "{error}");
}

#[test]
fn a_memory_is_rewritten_without_training() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    fs::write(folder.path().join("facts.jsonl"), capitals("Paris")).unwrap();
    let text = PLAN
        .replace("source = \"world\"", CAPITALS)
        .replace("sizes = [3]", "sizes = [2]")
        .replace(
            "[memorize]\ncourse = { steps = 6",
            "[memorize]\nlookup = \"supervised\"\ncourse = { steps = 200",
        )
        .replace("[\"ftm\", \"fta\", \"retrain\"]", "[\"nothing\", \"ftm\"]")
        .replace("from = [\"memorized\", \"start\"]", "memory = [\"kept\", \"rewritten\"]")
        .replace("blocks = [\"all\", \"-1\"]", "components = [\"memory\"]");
    let plan = plan(folder.path(), &text);
    let records = carry_out(&plan, &model, &folder.path().join("out"), usize::MAX).unwrap();
    // Rewritten and nothing else; trained with what was kept and what was rewritten.
    assert_eq!(records.len(), 1 + 2 * 4);
    let (alone, kept) = (&records[0], &records[1]);
    // Before and after it is rewritten.
    assert_eq!((alone.points.len(), alone.cell.memory), (2, Memory::Rewritten));
    assert!(alone.moved.iter().all(|(_, _, most)| *most == 0.0));
    assert_eq!(alone.points[0], kept.points[0]);
    assert_eq!(alone.points[1].modified, 1.0, "{:?}", alone.points);
    assert!(alone.points[1].kept >= kept.points[0].kept - 1e-9, "{:?}", alone.points);
    assert_eq!(kept.points[0].modified, 0.0);
    assert!(kept.moved.iter().all(|(id, ..)| id.starts_with("memory.")), "{:?}", kept.moved);
    let table = report(&plan, &records, folder.path()).unwrap().remove(0);
    let table = fs::read_to_string(table).unwrap();
    assert!(table.contains("| 2 | no training, memory rewritten |"), "{table}");
}

#[test]
fn a_plan_without_a_memory_can_rewrite_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    let one = PLAN.replace("share = 0.5", "share = 0.5\nmemory = [\"rewritten\"]");
    let other = PLAN.replace("\"retrain\"", "\"nothing\"");
    for (text, expected) in [(one, "lookup"), (other, "rewritten")] {
        fs::write(&path, text).unwrap();
        let error = Plan::read(&path, Scale::Small).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn facts_that_a_plan_leaves_open_have_to_be_given() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let open = plan(folder.path(), &PLAN.replace("\"world\"", "\"given\""));
    let error = carry_out(&open, &model, &folder.path().join("out"), usize::MAX).unwrap_err();
    assert!(error.to_string().contains("--facts"), "{error}");
}

#[test]
fn facts_without_an_alternative_object_are_left_out() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let path = folder.path().join("facts.jsonl");
    let relation = |id: &str| format!(r#"{{"relation":"{id}","templates":["[X] is in [Y]."]}}"#);
    let mut lines = ["home", "only", "born"].map(relation).to_vec();
    for (relation, subject, object) in [
        ("home", "Ann", "Rome"),
        ("home", "Ann", "Oslo"),
        ("home", "Bo", "Oslo"),
        // All that is anybody's home is Cy's. With this fact Bern goes, and so does Ann's, for whom
        // it was the only other one, and then Bo's.
        ("home", "Cy", "Bern"),
        ("home", "Cy", "Oslo"),
        ("home", "Cy", "Rome"),
        // One object, in three spellings.
        ("only", "Ann", "paris"),
        ("only", "Bo", "Paris"),
        ("only", "Cy", "the Paris"),
        ("born", "Ann", "Rome"),
        ("born", "Bo", "Oslo"),
    ] {
        let fact =
            serde_json::json!({ "relation": relation, "subject": subject, "object": object });
        lines.push(fact.to_string());
    }
    fs::write(&path, lines.join("\n")).unwrap();
    let facts = Facts::of(path.display().to_string());
    let material = Material::read(&facts, &model, 0).unwrap();
    assert_eq!(material.set.triples.len(), 8);
    let material = material.modifiable().unwrap();
    let left = material.set.triples.iter().map(|triple| (&*triple.subject, &*triple.object));
    assert_eq!(left.collect::<Vec<_>>(), [("Ann", "Rome"), ("Bo", "Oslo")]);
    assert_eq!(material.modified(2, 0).unwrap().len(), 2);
}

#[test]
fn a_bound_on_the_loss_wants_facts_that_stay() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    fs::write(folder.path().join("facts.jsonl"), capitals("Paris")).unwrap();
    let text = PLAN.replace("source = \"world\"", CAPITALS).replace("sizes = [3]", "sizes = [4]");
    let out = folder.path().join("out");
    let error = carry_out(&plan(folder.path(), &text), &model, &out, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("4 of 4 facts") && !out.exists(), "{error}");
    // A plan of a program that was not read is looked at as well.
    let mut made = plan(folder.path(), PLAN);
    made.modify.constraints = vec![Constraint::Linf { radius: 0.0 }];
    let error = carry_out(&made, &model, &out, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("modify.constraints") && !out.exists(), "{error}");
}
