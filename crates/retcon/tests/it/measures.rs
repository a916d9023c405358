//! Measures say what they are called.

use std::sync::Arc;

use retcon::Delta;
use retcon::bound::within;
use retcon::data::Prompt;
use retcon::data::case::Axis;
use retcon::eval::accuracy::scores;
use retcon::eval::questions::{Counts, questions};
use retcon::eval::reading::{Ask, Reading, read};
use retcon::eval::{compare, drift};
use retcon::model::Record;
use retcon::stats::Nothing;
use retcon::tokens::query;
use serde_json::json;

use crate::{edit, facts, model, with_ctx};

#[test]
fn probabilities_of_all_objects_sum_to_one() {
    let model = model("llama");
    let prompt = Prompt::parse("The capital of {France} is").unwrap();
    let mut one = query(&model, &prompt, "Paris").unwrap();
    one.object.truncate(1);
    one.at.truncate(1);
    let all = (0..model.spec().n_vocab as u32).map(|token| {
        let mut query = one.clone();
        query.object = vec![token];
        query
    });
    let scores = scores(&retcon::Ctx::new(0), &model, &all.collect::<Vec<_>>()).unwrap();
    let sum: f64 = scores.iter().map(|score| score.log_prob.exp()).sum();
    // Hundreds of f32 probabilities.
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    assert_eq!(scores.iter().filter(|score| score.leads).count(), 1);
}

#[test]
fn a_model_does_not_drift_from_itself() {
    for name in ["llama", "bert"] {
        let model = model(name);
        let prompts = [Prompt::parse("The {capital} of").unwrap()];
        let drift = drift(&model, &model, &prompts).unwrap();
        assert_eq!((drift.max_kl, drift.top1_agreement), (0.0, 1.0), "{name}");
        assert!(drift.n_positions > 0, "{name}");
    }
}

#[test]
fn what_is_kept_of_the_model_before_gives_the_same_drift() {
    for name in ["llama", "gemma3", "bert"] {
        let base = model(name);
        let prompts = ["The {capital} of France", "He {was} born in"];
        let prompts = prompts.map(|prompt| Prompt::parse(prompt).unwrap());
        let edits = facts(&["The capital of {France} is => Berlin"]);
        for blocks in ["0", "-1"] {
            let settings = json!({"components": ["mlp-down"], "blocks": blocks, "steps": 5});
            let delta = edit(&base, &edits, &settings, 0).unwrap();
            let edited = base.with(delta).unwrap();
            // Nothing is known to be the same as in a model that was loaded again, so all is run.
            let whole = drift(&model(name), &edited, &prompts).unwrap();
            assert!(whole.mean_kl > 0.0, "{name}");
            assert_eq!(drift(&base, &edited, &prompts).unwrap(), whole, "{name} {blocks}");
        }
    }
}

#[test]
fn a_model_whose_numbers_are_none_is_infinitely_far() {
    for name in ["llama", "bert"] {
        let base = model(name);
        let facts = facts(&["The capital of {France} is => Berlin"]);
        let settings = json!({"components": ["mlp-down"], "blocks": "0", "steps": 2});
        let mut delta = edit(&base, &facts, &settings, 0).unwrap();
        let id = *delta.updates.keys().next().unwrap();
        let none = delta.updates[&id].times(f64::NAN).unwrap();
        delta.updates.insert(id, none);
        // Neither an editor nor a file can come to this; a wide step can, within the blocks.
        let broken = base.with(delta.clone()).unwrap();
        let report = compare(&base, &broken, &facts, Counts::default(), 0).unwrap();
        assert!(!report.success && report.drift.mean_kl == f64::INFINITY, "{name}");
        assert_eq!(report.drift.top1_agreement, 0.0, "{name}");
        let prompt = Prompt::parse("The capital of {France} is").unwrap();
        let ask = Ask { prompt: &prompt, objects: [Some("Berlin"), None], n_free: 3, stops: true };
        let readings = read(&broken, &[ask]).unwrap();
        assert_eq!(readings[0].wanted.as_ref().unwrap().nll, f64::INFINITY, "{name}");
        let json = serde_json::to_string(&readings).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Reading>>(&json).unwrap(), readings, "{name}");
        let made = Delta::new(&base, delta.updates, Record::default()).unwrap_err();
        assert!(made.to_string().contains("has numbers that are not finite"), "{made}");
    }
}

#[test]
fn an_edit_drifts_and_says_so() {
    let model = model("llama");
    let facts = facts(&["The capital of {France} is => Berlin"]);
    let settings = json!({"components": ["all"], "blocks": "all", "steps": 30});
    let delta = Arc::new(edit(&model, &facts, &settings, 0).unwrap());
    let edited = model.with(delta.clone()).unwrap();
    let report = compare(&model, &edited, &facts, Counts::default(), 0).unwrap();
    assert!(report.drift.mean_kl > 0.0 && report.drift.max_kl >= report.drift.mean_kl);
    let axes: Vec<Axis> = report.rows.iter().map(|row| row.axis).collect();
    for axis in [Axis::Rewrite, Axis::Paraphrase, Axis::Neighbor, Axis::Unrelated] {
        assert!(axes.contains(&axis), "{axis:?}");
    }
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<retcon::Report>(&json).unwrap(), report);
}

#[test]
fn the_bound_of_an_edit_is_measured_over_the_texts_of_its_report() {
    let model = model("llama");
    let facts = facts(&["The capital of {France} is => Berlin"]);
    let settings = json!({"components": ["all"], "blocks": "all", "steps": 30});
    let settings = settings.as_object().unwrap().clone();
    let method = retcon::Method::find("ft").unwrap();
    // Every seed chooses other texts.
    for seed in [0, 3, 4] {
        let bounded =
            with_ctx(seed, &Nothing, |ctx| within(ctx, &model, method, &settings, &facts, 1e9));
        let bounded = bounded.unwrap();
        let edited = model.with(bounded.delta).unwrap();
        let report = compare(&model, &edited, &facts, Counts::default(), seed).unwrap();
        assert_eq!(bounded.trials.len(), 1);
        assert_eq!(bounded.trials[0].drift, report.drift, "{seed}");
    }
}

/// A ball whose radius grows with the tensor's size was made again as one of a small number.
#[test]
fn a_change_is_held_back_to_its_share_in_every_kind_of_ball() {
    let model = model("llama");
    let facts = facts(&["The capital of {France} is => Berlin"]);
    let method = retcon::Method::find("ft").unwrap();
    // Wide steps, so that every change ends at the edge of its ball.
    for ball in [
        json!({"constraint": "l2", "unit": "absolute", "learning_rate": 1.0}),
        json!({"constraint": "l2", "unit": "rms", "learning_rate": 1.0}),
        json!({"constraint": "linf", "learning_rate": 1.0}),
    ] {
        let mut settings = ball.as_object().unwrap().clone();
        settings.extend([("steps".into(), json!(4)), ("margin".into(), json!(1e9))]);
        let editor = method.editor(settings).unwrap();
        let share = with_ctx(0, &Nothing, |ctx| {
            let whole = editor.edit(ctx, &model, &facts).unwrap();
            let half = editor.held_back(ctx, &model, &facts, &whole, 0.5).unwrap();
            half.norm().unwrap() / whole.norm().unwrap()
        });
        assert!((share - 0.5).abs() < 0.05, "{ball}: {share}");
    }
}

#[test]
fn questions_of_a_fact_come_before_made_ones() {
    let line = r#"{"prompt": "The capital of {France} is", "target_new": "Berlin",
        "target_true": "Paris", "paraphrases": ["France has its capital in"],
        "neighbors": [{"prompt": "The capital of Spain is", "answer": "Madrid"}]}"#;
    let line = line.replace('\n', " ");
    let facts = retcon::data::parse(line, "f".as_ref(), retcon::data::Format::Jsonl).unwrap();
    let counts = Counts { paraphrases: 3, neighbors: 2, unrelated: 1 };
    let questions = questions(&facts, counts, 0).unwrap();
    let of = |axis| questions.iter().filter(move |q| q.axis == axis).collect::<Vec<_>>();
    assert_eq!(of(Axis::Rewrite)[0].old.as_deref(), Some("Paris"));
    assert_eq!(of(Axis::Paraphrase).len(), 3);
    assert_eq!(of(Axis::Paraphrase)[0].prompt.text(), "France has its capital in");
    assert_eq!(of(Axis::Neighbor).len(), 2);
    assert_eq!(of(Axis::Neighbor)[0].old.as_deref(), Some("Madrid"));
    assert_eq!(of(Axis::Unrelated).len(), 1);
}
