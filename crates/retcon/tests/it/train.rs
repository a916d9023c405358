//! Training: it learns, it resumes exactly, and it refuses the state of another run.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use retcon::data::Prompt;
use retcon::edit::scope::Scope;
use retcon::eval::accuracy::said;
use retcon::model::WeightId;
use retcon::tokens::{Query, query};
use retcon::train::{Constraint, Course, Share, Stream, Trainer};
use retcon::{Ctx, Error, Model};

const FACTS: [(&str, &str); 4] = [
    ("The capital of France is", "Berlin"),
    ("The capital of Germany is", "Rome"),
    ("The capital of Italy is", "Madrid"),
    ("The capital of Spain is", "Paris"),
];

fn queries(model: &Model) -> Vec<Query> {
    let of = |(prompt, object): &(&str, &str)| {
        query(model, &Prompt::new(prompt, None).unwrap(), object).unwrap()
    };
    FACTS.iter().map(of).collect()
}

fn weights(model: &Model, blocks: &str) -> Vec<WeightId> {
    let components = vec!["all".parse().unwrap()];
    Scope { blocks: blocks.parse().unwrap(), components }.weights(model).unwrap()
}

fn trainer<'a>(model: &'a Model, blocks: &str, course: &Course) -> Trainer<'a> {
    let stream = Stream::of(0..FACTS.len(), course.batch, 3);
    Trainer::new(model, weights(model, blocks), queries(model), stream, course.clone()).unwrap()
}

fn course() -> Course {
    Course { steps: 60, batch: 3, learning_rate: 1e-2, ..Course::default() }
}

fn ctx<R>(stop_after: usize, work: impl FnOnce(&Ctx<'_>) -> R) -> R {
    let (n_steps, cancel) = (AtomicUsize::new(0), AtomicBool::new(false));
    let progress = |_: &_| {
        cancel.store(n_steps.fetch_add(1, Ordering::Relaxed) + 1 >= stop_after, Ordering::Relaxed);
    };
    work(&Ctx::new(0).with_progress(&progress).with_cancel(&cancel))
}

#[test]
fn facts_are_memorized_by_decoders_encoders_and_shared_blocks() {
    for name in ["llama-tied", "gpt2", "bert", "albert"] {
        let model = crate::model(name);
        let mut trainer = trainer(&model, "all", &course());
        ctx(usize::MAX, |ctx| trainer.finish(ctx, None)).unwrap();
        let said = said(&Ctx::new(0), &trainer.model_now().unwrap(), &queries(&model)).unwrap();
        assert_eq!(said, [true; 4], "{name}");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_as_if_it_had_not_been() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let (course, path) = (course(), folder.path().join("state"));
    let mut whole = trainer(&model, "-1", &course);
    ctx(usize::MAX, |ctx| whole.finish(ctx, None)).unwrap();
    for stop_after in [7, 20] {
        let mut stopped = trainer(&model, "-1", &course);
        let stop = ctx(stop_after, |ctx| stopped.finish(ctx, Some((&path, "a")))).unwrap_err();
        assert!(matches!(stop, Error::Canceled));
    }
    let mut resumed = trainer(&model, "-1", &course);
    ctx(usize::MAX, |ctx| resumed.finish(ctx, Some((&path, "a")))).unwrap();
    let (whole, resumed) = (whole.weights_now().unwrap(), resumed.weights_now().unwrap());
    for (id, tensor) in whole {
        let difference = tensor.sub(&resumed[&id]).unwrap().abs().unwrap();
        let most: f32 = difference.max_all().unwrap().to_scalar().unwrap();
        assert_eq!(most, 0.0, "{id}");
    }
}

#[test]
fn the_state_of_another_run_is_refused() {
    let (folder, model) = (tempfile::tempdir().unwrap(), crate::model("bert"));
    let path = folder.path().join("state");
    trainer(&model, "-1", &course()).save(&path, "one run").unwrap();
    let mut other = trainer(&model, "-1", &course());
    let error = other.resume(&path, "another").unwrap_err().to_string();
    assert!(error.contains("state") && error.contains("one run"), "{error}");
    let mut wider = trainer(&model, "0,-1", &course());
    let error = wider.resume(&path, "one run").unwrap_err().to_string();
    assert!(error.contains("no tensor `blocks.0."), "{error}");
    fs::write(&path, "nonsense").unwrap();
    assert!(other.resume(&path, "one run").is_err());
}

#[test]
fn parts_of_a_step_add_up_to_the_step() {
    let model = crate::model("llama-tied");
    let losses = [1, 2, 3].map(|accumulate| {
        let course = Course { accumulate, steps: 5, ..course() };
        let mut trainer = trainer(&model, "all", &course);
        (0..5).map(|_| trainer.step().unwrap().loss).collect::<Vec<_>>()
    });
    for other in &losses[1..] {
        for (a, b) in losses[0].iter().zip(other) {
            // The order of sums differs, and Adam's first steps magnify it.
            assert!((a - b).abs() < 1e-3 * a, "{losses:?}");
        }
    }
}

#[test]
fn the_loss_on_what_is_to_stay_is_held_back() {
    let model = crate::model("bert");
    let rises = [Constraint::None, Constraint::Loss { rise: 0.05, rate: 5.0 }].map(|constraint| {
        let course = Course { constraint, steps: 80, decay: false, ..course() };
        let shares = [Share { texts: 0..2, per_step: 2 }, Share { texts: 2..4, per_step: 2 }];
        let stream = match constraint {
            Constraint::None => Stream::of(0..2, 2, 0),
            _ => Stream::new(shares, 0),
        };
        let ids = weights(&model, "-1");
        let mut trainer = Trainer::new(&model, ids, queries(&model), stream, course).unwrap();
        let loss = |model: &Model| {
            let scores =
                retcon::eval::accuracy::scores(&Ctx::new(0), model, &queries(model)[2..]).unwrap();
            -scores.iter().map(|score| score.log_prob).sum::<f64>() / 2.0
        };
        let before = loss(&model);
        for _ in 0..80 {
            trainer.step().unwrap();
        }
        let after = trainer.model_now().unwrap();
        assert_eq!(said(&Ctx::new(0), &after, &queries(&model)[..2]).unwrap(), [true; 2]);
        loss(&after) - before
    });
    assert!(rises[1] < 0.2 && rises[0] > 2.0 * rises[1].max(0.1), "{rises:?}");
}
