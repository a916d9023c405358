//! What breaks: models that an edit has destroyed, files that are lost, plans that ask for too much.

use super::*;

use retcon::data::{Case, Fact};

#[test]
fn an_edit_that_is_no_number_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    // One step wider than the range of a float.
    let settings = json!({
        "steps": 1, "learning_rate": 1e39, "blocks": "all", "constraint": "none", "margin": 0.0,
    });
    let plan = Plan {
        methods: vec![chosen("ft", "ft", json!({"steps": 5})), chosen("wild", "ft", settings)],
        seeds: vec![0],
        ..plan(&["single", "batch:2", "sequential:2:1:1"])
    };
    let results = whole(&folder.path().join("s.sqlite"), &plan, 2);
    for setting in ["single", "batch:2", "sequential:2:1:1"] {
        assert_eq!(row(&results, setting, "wild").n_failed, 2);
        assert_eq!(row(&results, setting, "ft").n_failed, 0);
        let of_setting = |result: &&CaseResult| results.rows[result.row].setting == setting;
        let errors = results.results.iter().filter(of_setting).filter_map(|r| r.error.as_ref());
        let errors: Vec<_> = errors.collect();
        assert_eq!(errors.len(), 2, "{setting}");
        assert!(errors.iter().all(|error| error.contains("the loss is NaN")), "{errors:?}");
    }
    let text = serde_json::to_string(&results).unwrap();
    assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
}

#[test]
fn cases_may_share_an_edit_and_not_contradict_one() {
    let case = |id: &str, fact: &str| Case::of(id.into(), Fact::parse(fact).unwrap());
    let cases = vec![
        case("first", "The capital of {France} is => Rome"),
        case("shares it", "The capital of {France} is => Rome"),
        case("contradicts it", "The capital of {France} is => Berlin"),
        case("other", "The capital of {Spain} is => Rome"),
        case("would be kept", "The capital of {France} is => Rome"),
    ];
    let found = select(&retcon::Ctx::new(0), &model(), cases, Some(3), Asking::default()).unwrap();
    let ids: Vec<_> = found.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["first", "shares it", "other"]);
    let left: Vec<_> = found.left_out.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(left, ["contradicts it", "would be kept"]);
    assert!(found.left_out[0].1.contains("another object"), "{:?}", found.left_out);
    // A batch makes the shared edit once: an editor refuses a fact that is there twice.
    let plan = Plan { seeds: vec![0], ..plan(&["batch:3"]) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let mut store = Store::create(&path, &plan, &found.cases, &[]).unwrap();
    with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model())).unwrap();
    assert_eq!(row(&summarize(&store).unwrap(), "batch:3", "ft").n_failed, 0);
}

#[test]
fn a_sequence_whose_files_are_lost_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let plan = plan(&["sequential:3:1:1"]);
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 3, plan.asking);
    let mut store = Store::create(&path, &plan, &cases, &kept).unwrap();
    let (cancel, n) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    // All first parts and some second ones.
    let progress = |_: &retcon::Progress| {
        cancel.store(n.fetch_add(1, Ordering::Relaxed) == 6, Ordering::Relaxed)
    };
    let ctx = Ctx::new(0).with_progress(&progress).with_cancel(&cancel);
    assert!(matches!(run(&ctx, &mut store, &model), Err(Error::Stopped)));
    let work = folder.path().join("s.sqlite.work");
    assert!(fs::read_dir(&work).unwrap().count() > 0);
    fs::remove_dir_all(&work).unwrap();
    with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model)).unwrap();
    let undisturbed = whole(&folder.path().join("whole.sqlite"), &plan, 3);
    assert_eq!(timeless(summarize(&store).unwrap()), undisturbed);
}

#[test]
fn a_setting_that_needs_more_cases_than_there_are_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let plan = plan(&["single", "sequential:3"]);
    let model = model();
    let Selection { cases, kept, .. } = selection(&model, 2, plan.asking);
    let error = Store::create(&path, &plan, &cases, &kept).unwrap_err().to_string();
    assert_eq!(error, "setting sequential:3:1:1 is of 3 cases, and there are 2");
    assert!(!path.exists());
}

#[test]
fn what_can_not_be_read_is_measured_again_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let plan = Plan { seeds: vec![0], ..plan(&["single", "sequential:3:1:1"]) };
    let undisturbed = whole(&path, &plan, 3);
    let db = rusqlite::Connection::open(&path).unwrap();
    // Something in the middle of a sequence, whose files are gone, and something on its own.
    let middle = "SELECT id FROM jobs WHERE setting = 1 AND method = 1 AND part = 1";
    let overwritten = [
        format!("UPDATE answers SET readings = '[{{' WHERE job = ({middle})"),
        "UPDATE moved SET texts = substr(texts, 5) WHERE job = 1".to_owned(),
        "UPDATE before SET readings = CAST(x'ff' AS TEXT) WHERE case_idx = 2".to_owned(),
    ];
    for statement in &overwritten {
        assert!(db.execute(statement, []).unwrap() > 0, "{statement}");
    }
    let mut store = Store::open(&path).unwrap();
    let damaged = summarize(&store).unwrap();
    let [n_jobs, n_done] = damaged.about.jobs;
    assert_eq!(n_jobs - n_done, 2);
    // What is beside it stays, but for the case that has nothing to be compared with.
    assert_eq!(row(&damaged, "sequential:3:1:1", "ft").n_done, 2);
    with_ctx(&AtomicBool::new(false), |ctx| run(ctx, &mut store, &model())).unwrap();
    assert_eq!(timeless(summarize(&store).unwrap()), undisturbed);
    assert_eq!(store.mend().unwrap(), 0);
}

#[test]
fn a_store_that_lacks_a_case_or_its_plan_is_damaged() {
    for statement in ["DELETE FROM cases WHERE idx = 2", "DELETE FROM plan", "DROP TABLE jobs"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        whole(&path, &plan(&["single"]), 3);
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        db.execute_batch(statement).unwrap();
        drop(db);
        let error = summarize(&Store::open_to_read(&path).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{statement}: {error}");
    }
}

#[test]
fn the_database_of_another_program_is_not_even_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(Error::NotAStore { .. })));
    assert!(Store::create(&path, &plan(&[]), &[], &[]).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}
