//! What breaks: models that an edit has destroyed, files that are lost, plans that ask for too much.

use super::*;

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
        ..plan(&["single", "batch:2"])
    };
    let results = whole(&folder.path().join("s.sqlite"), &plan, 2);
    for setting in ["single", "batch:2"] {
        assert_eq!(row(&results, setting, "wild").n_failed, 2);
        assert_eq!(row(&results, setting, "ft").n_failed, 0);
    }
    let error = results.results.iter().find_map(|result| result.error.clone()).unwrap();
    assert!(error.contains("the loss is NaN"), "{error}");
    let text = serde_json::to_string(&results).unwrap();
    assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
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
    let ctx = Ctx { seed: 0, progress: &progress, cancel: &cancel, statistics: &Nothing };
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
