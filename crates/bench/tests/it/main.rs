//! Benchmarks of tiny random models: the same results whoever works on them, and clear refusals.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod broken;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use retcon::data::datasets::{Beside, read_cases};
use retcon::eval::accuracy::said;
use retcon::tokens::query;
use retcon::trace::Question;
use retcon::{Ctx, Model, Options};
use retcon_bench::queue::{Next, Worker};
use retcon_bench::results::{CaseResult, Results, Row};
use retcon_bench::store::{Measured, Store};
use retcon_bench::{Asking, Chosen, Error, Plan, Selection, run, select, summarize};
use serde_json::json;

fn model() -> Model {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    Model::open(fixtures.join("llama"), &Options::default()).unwrap()
}

fn chosen(label: &str, method: &str, settings: serde_json::Value) -> Chosen {
    let settings = settings.as_object().unwrap().clone();
    Chosen { label: label.to_owned(), method: method.to_owned(), settings }
}

fn plan(settings: &[&str]) -> Plan {
    Plan {
        model: "llama".to_owned(),
        fingerprint: "f".to_owned(),
        precision: "stored".to_owned(),
        data: "world".to_owned(),
        dataset: "own".to_owned(),
        statistics: "own".to_owned(),
        methods: vec![
            chosen("ft", "ft", json!({"steps": 5})),
            chosen("wide", "ft", json!({"steps": 5, "blocks": "all", "constraint": "none"})),
        ],
        settings: settings.iter().map(|text| text.parse().unwrap()).collect(),
        seeds: vec![0, 1],
        asking: Asking { free: 4, text: 60, general: 4, kept: 2 },
    }
}

fn selection(model: &Model, n: usize, asking: Asking) -> Selection {
    let cases = read_cases("world".as_ref(), None, &Beside::default()).unwrap().cases;
    select(&Ctx::new(0), model, cases, Some(n), asking).unwrap()
}

fn with_ctx<T>(cancel: &AtomicBool, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
    work(&Ctx::new(0).with_cancel(cancel))
}

/// A benchmark from its start to its end.
fn whole(path: &Path, plan: &Plan, n: usize) -> Results {
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, n, plan.asking);
    let mut store = Store::create(path, plan, &cases, &kept).unwrap();
    with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model)).unwrap();
    timeless(summarize(&store).unwrap())
}

/// Results without what a clock has measured.
fn timeless(mut results: Results) -> Results {
    let is_time = |name: &str| name.starts_with("time.");
    for row in &mut results.rows {
        row.scores.retain(|name, _| !is_time(name));
        row.by_group.values_mut().for_each(|scores| scores.retain(|name, _| !is_time(name)));
        row.versus.retain(|versus| !is_time(&versus.metric));
    }
    for result in &mut results.results {
        result.numbers.retain(|name, _| !is_time(name));
    }
    results
}

fn row<'a>(results: &'a Results, setting: &str, method: &str) -> &'a Row {
    results.rows.iter().find(|row| row.setting == setting && row.method == method).unwrap()
}

#[test]
fn every_setting_gives_every_case_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&["single", "batch:2", "sequential:3:1:2"]);
    let results = whole(&folder.path().join("s.sqlite"), &plan, 3);
    assert_eq!(results.about.jobs, [12 + 8 + 8; 2]);
    for setting in ["single", "batch:2", "sequential:3:1:2"] {
        for method in ["unedited", "ft", "wide"] {
            let row = row(&results, setting, method);
            assert_eq!(row.n_done, row.n_planned, "{setting} {method}");
            for metric in ["rewrite.prefer", "rewrite.tf.token", "neighbor.same.token", "text.kl"] {
                assert!(row.scores.contains_key(metric), "{setting} {method} {metric}");
            }
        }
        let unedited = row(&results, setting, "unedited");
        assert_eq!(unedited.scores["neighbor.same.token"].mean, 1.0);
        assert_eq!(unedited.scores["text.kl"].mean, 0.0);
        assert!(row(&results, setting, "wide").scores["text.kl"].mean > 0.0);
        assert!(row(&results, setting, "ft").scores.contains_key("generation.entropy"));
    }
    // Three cases, two seeds; those of a sequence after two edits and after all three.
    let sequence = row(&results, "sequential:3:1:2", "wide");
    let points: Vec<_> = sequence.curve.iter().map(|point| point.n_edits).collect();
    assert_eq!(points, [2, 3]);
    assert!(sequence.curve.iter().all(|point| point.scores["text.kl"].mean > 0.0));
    let last = &sequence.curve[1].scores;
    assert_eq!(last["text.perplexity"], sequence.scores["text.perplexity"]);
    // Seeds don't make cases, texts or jobs more.
    assert_eq!(sequence.scores["online.rewrite.tf.sequence"].n, 3);
    assert_eq!(sequence.scores["rewrite.tf.sequence"].n, 3);
    // A number of the whole model is over its texts, also where the last batch holds one case, or over
    // the cases that were edited alone; the model without an edit has as many as the others.
    let (texts, sums) = (4 + 2, 2);
    for (setting, n, n_sums) in
        [("single", 3, 3), ("batch:2", texts, sums), ("sequential:3:1:2", texts, sums)]
    {
        for method in ["unedited", "ft", "wide"] {
            let scores = &row(&results, setting, method).scores;
            assert_eq!(scores["text.kl"].n, n, "{setting} {method}");
            assert_eq!(scores["arithmetic.tf.sequence"].n, n_sums, "{setting} {method}");
        }
    }
    // Only rows of methods are compared, each with those after it.
    assert!(sequence.versus.is_empty() && !row(&results, "single", "ft").versus.is_empty());
}

#[test]
fn results_do_not_depend_on_who_does_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&["single", "sequential:3:1:1"]);
    let alone = whole(&folder.path().join("alone.sqlite"), &plan, 3);
    let path = folder.path().join("together.sqlite");
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 3, plan.asking);
    // One that was killed has left its lock.
    let left = retcon_bench::queue::folder(&path);
    fs::create_dir(&left).unwrap();
    fs::write(left.join("worker-99.lock"), "").unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut store = Store::create(&path, &plan, &cases, &kept).unwrap();
                with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model)).unwrap();
            });
        }
    });
    let together = timeless(summarize(&Store::open(&path).unwrap()).unwrap());
    assert_eq!(together, alone);
    // Nothing is left of the work.
    let names = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["alone.sqlite", "together.sqlite"]);
}

#[test]
fn many_may_make_a_store_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&["single"]);
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.sqlite"));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| Store::create(&path, &plan, &[], &[]).unwrap());
            }
        });
        assert_eq!(Store::open(&path).unwrap().plan().unwrap(), plan);
    }
}

#[test]
fn facts_that_must_stay_are_some_that_the_model_knows() {
    let model = model();
    let mut cases = read_cases("world".as_ref(), None, &Beside::default()).unwrap().cases;
    let asking = Asking { kept: 2, ..plan(&["single"]).asking };
    // A random model knows nothing, unless its own words are taken for the truth.
    assert!(select(&Ctx::new(0), &model, cases.clone(), Some(3), asking).unwrap().kept.is_empty());
    let mut known = Vec::new();
    for case in &mut cases[3..] {
        let prompt = &case.edits[0].prompt;
        let says = Question::new(&model, prompt, None).unwrap().says;
        let query = query(&model, prompt, &says);
        if query.is_ok_and(|query| said(&Ctx::new(0), &model, &[query]).unwrap()[0]) {
            case.edits[0].target_true = Some(says);
            known.push(case.id.clone());
        }
        if known.len() == 3 {
            break;
        }
    }
    let kept = select(&Ctx::new(0), &model, cases, Some(3), asking).unwrap().kept;
    assert_eq!(kept.into_iter().map(|case| case.id).collect::<Vec<_>>(), known[..2]);
}

#[test]
fn a_model_that_is_not_edited_says_the_same_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        methods: vec![chosen("still", "ft", json!({"steps": 1, "learning_rate": 1e-30}))],
        ..plan(&["single"])
    };
    let results = whole(&folder.path().join("s.sqlite"), &plan, 2);
    let unchanged = |result: &CaseResult| {
        result
            .answers
            .iter()
            .all(|[before, after]| before.wanted == after.wanted && before.says == after.says)
    };
    // What is added is lost in rounding, so the readings are the same to the bit.
    assert!(results.results.iter().filter(|result| result.row == 1).count() == 4);
    assert!(results.results.iter().filter(|result| result.row == 1).all(unchanged));
}

#[test]
fn what_is_canceled_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&["single", "sequential:2"]);
    let path = folder.path().join("s.sqlite");
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 2, plan.asking);
    let mut store = Store::create(&path, &plan, &cases, &kept).unwrap();
    let mut n_runs = 0;
    loop {
        let (cancel, n_done) = (AtomicBool::new(false), AtomicBool::new(false));
        // Stops at the second job that is done.
        let progress = |_: &retcon::Progress| {
            if n_done.swap(true, Ordering::Relaxed) {
                cancel.store(true, Ordering::Relaxed);
            }
        };
        let ctx = Ctx::new(0).with_progress(&progress).with_cancel(&cancel);
        n_runs += 1;
        match run(&ctx, &mut store, &model) {
            Ok(()) => break,
            Err(Error::Stopped) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(n_runs > 2, "{n_runs}");
    let whole = whole(&folder.path().join("whole.sqlite"), &plan, 2);
    assert_eq!(timeless(summarize(&store).unwrap()), whole);
}

#[test]
fn a_store_takes_methods_settings_and_seeds_in_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let both = plan(&["single", "sequential:3:1:1"]);
    let [ft, wide] = both.methods.clone().try_into().unwrap();
    let first = Plan { methods: vec![wide.clone()], seeds: vec![1], ..plan(&["single"]) };
    whole(&path, &first, 3);
    let n_done = |path: &Path| {
        let rows = Store::open(path).unwrap().rows().unwrap();
        [rows.iter().filter(|row| row.measured.is_some()).count(), rows.len()]
    };
    assert_eq!(n_done(&path), [3, 3]);
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 3, both.asking);
    let second = Plan { methods: vec![ft.clone()], ..both.clone() };
    let grown = Store::create(&path, &second, &cases, &kept).unwrap();
    // What was done stays, for all combinations of the old and the new.
    assert_eq!(n_done(&path), [3, 24]);
    assert_eq!(grown.plan().unwrap().methods, [wide.clone(), ft.clone()]);
    let again = whole(&path, &first, 3);
    let at_once = Plan { methods: vec![wide, ft], seeds: vec![1, 0], ..both };
    assert_eq!(again, whole(&folder.path().join("at-once.sqlite"), &at_once, 3));
}

#[test]
fn a_store_takes_more_cases_in_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let plan = Plan { seeds: vec![0], ..plan(&["single", "batch:2", "sequential:2:1:1"]) };
    let model = model();
    let Selection { mut cases, .. } = selection(&model, 6, plan.asking);
    let kept = cases.split_off(5);
    // Of what the texts that must not change speak too.
    cases[3].edits[0].target_new = "Apple".to_owned();
    let mut store = Store::create(&path, &plan, &cases[..2], &kept).unwrap();
    with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model)).unwrap();
    let done = |store: &Store| {
        let rows = store.rows().unwrap();
        rows.into_iter().filter_map(|row| Some((row.id, row.measured?))).collect::<Vec<_>>()
    };
    let first = done(&store);
    // Somebody is at the same store with the cases that there were, and leaves the new ones alone.
    let worker = Worker::new(&store).unwrap();
    let mut store = Store::create(&path, &plan, &cases[..4], &kept).unwrap();
    assert!(matches!(worker.take(&mut store, &plan, 2).unwrap(), Next::Nothing));
    drop(worker);
    with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model)).unwrap();
    assert!(done(&store).starts_with(&first), "what was measured stays");
    assert_eq!(store.cases().unwrap().len(), 4);
    let grown = timeless(summarize(&store).unwrap());
    for setting in ["single", "batch:2"] {
        for method in ["unedited", "ft", "wide"] {
            let row = row(&grown, setting, method);
            assert_eq!([row.n_done, row.n_planned], [4, 4], "{setting} {method}");
        }
    }
    assert_eq!(row(&grown, "sequential:2:1:1", "ft").n_planned, 2);
    let before = |measured: &Measured| measured.moved.iter().map(|m| m.nll[0]).collect::<Vec<_>>();
    let texts = before(&first[0].1);
    assert!(done(&store).iter().all(|(_, measured)| before(measured) == texts), "the same texts");
    // The command that made it goes on with what there is now.
    Store::create(&path, &plan, &cases[..2], &kept).unwrap();
    assert_eq!(store.cases().unwrap().len(), 4);
    let with_kept = [&cases[..4], &kept[..]].concat();
    let error = Store::create(&path, &plan, &with_kept, &kept).unwrap_err().to_string();
    assert!(
        error.contains(&format!("what the case {} edits is to be kept", kept[0].id)),
        "{error}"
    );
    // A batch that was not full would be another one.
    let path = folder.path().join("odd.sqlite");
    Store::create(&path, &plan, &cases[..3], &kept).unwrap();
    let error = Store::create(&path, &plan, &cases, &kept).unwrap_err().to_string();
    assert!(error.contains("the last part of batch:2 over 3 cases is not whole"), "{error}");
    assert_eq!(Store::open(&path).unwrap().cases().unwrap().len(), 3);
}

#[test]
fn who_works_leaves_what_was_added_since_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let more = Plan { seeds: vec![0], ..plan(&["single", "sequential:2:1:1"]) };
    let first = Plan { methods: more.methods[..1].to_vec(), ..more.clone() };
    let first = Plan { settings: first.settings[..1].to_vec(), ..first };
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 2, more.asking);
    let mut store = Store::create(&path, &first, &cases, &kept).unwrap();
    let left = std::sync::Mutex::new(None);
    // In the middle of the run others add a sequence and do the first part of it.
    let progress = |_: &retcon::Progress| {
        let mut left = left.lock().unwrap();
        if left.is_some() {
            return;
        }
        let mut others = Store::create(&path, &more, &cases, &kept).unwrap();
        let worker = Worker::new(&others).unwrap();
        while left.is_none() {
            let Next::Job(taken) = worker.take(&mut others, &more, cases.len()).unwrap() else {
                panic!()
            };
            if taken.job.setting == 1 {
                fs::write(worker.left_by(taken.id), "the state of a sequence").unwrap();
                *left = Some(worker.left_by(taken.id));
            }
            assert!(worker.finish(&mut others, &taken, &Measured::default()).unwrap());
        }
    };
    let cancel = AtomicBool::new(false);
    let ctx = Ctx::new(0).with_progress(&progress).with_cancel(&cancel);
    run(&ctx, &mut store, &model).unwrap();
    let left = left.into_inner().unwrap().unwrap();
    assert!(left.is_file(), "the second part goes on from it");
    let open = store.rows().unwrap().into_iter().filter(|row| row.measured.is_none());
    assert!(open.map(|row| row.job.setting).all(|setting| setting == 1));
}

#[test]
fn another_benchmark_and_other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let plan = plan(&["single"]);
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 2, plan.asking);
    Store::create(&path, &plan, &cases, &kept).unwrap();
    let refuse = |result: Result<Store, Error>, message: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    let other = Plan { model: "gpt2".to_owned(), ..plan.clone() };
    let message = "`model` is \"llama\" there, and \"gpt2\" here";
    refuse(Store::create(&path, &other, &cases, &kept), message);
    let other = Plan { methods: vec![chosen("ft", "ft", json!({"steps": 6}))], ..plan.clone() };
    let message = "`ft` is ft with {\"steps\":5} there, and `ft` is ft with {\"steps\":6} here";
    refuse(Store::create(&path, &other, &cases, &kept), message);
    let reversed: Vec<_> = cases.iter().rev().cloned().collect();
    refuse(Store::create(&path, &plan, &reversed, &kept), "its cases are others");
    refuse(Store::open(&folder.path().join("none")), "there is no such file");
    let text = folder.path().join("text");
    fs::write(&text, "x".repeat(5000)).unwrap();
    refuse(Store::open(&text), "is no store of results");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    refuse(Store::open(&empty), "it is an empty database");
}

#[test]
fn a_store_with_a_line_that_was_overwritten_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let plan = plan(&["single"]);
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 2, plan.asking);
    drop(Store::create(&path, &plan, &cases, &kept).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(11).position(|window| window == b"\"questions\"").unwrap();
    bytes[at] = b'!';
    fs::write(&path, bytes).unwrap();
    let error = Store::open(&path).unwrap().cases().unwrap_err().to_string();
    assert!(error.contains("is damaged: case "), "{error}");
}
