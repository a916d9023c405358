//! What has to hold for every method, and for those that are rows of settings over the same stages.

use retcon::data::Corpus;
use retcon::model::{Batch, Update};
use retcon::stats::{Fresh, Limits, Source};
use retcon::tokens::query;
use retcon::{Delta, Editor, METHODS, Method, Model};
use serde_json::{Value, json};

use crate::references::{change, check, down, edit, is_closed_form, prefixes, scaled, source, two};
use crate::{facts, model, with_ctx};

#[test]
fn every_method_keeps_its_promises() {
    for name in ["llama", "gpt2", "gptj", "neox", "gemma3", "olmo2"] {
        let model = model(name);
        let facts = two();
        let text = query(&model, &facts[0].prompt, "Rome").unwrap().ids;
        let logits = |model: &Model| {
            let batch = Batch::new([&text]).unwrap();
            let x = model.run(&batch, &[text.len() as u32 - 1], &mut ()).unwrap();
            model.logits(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let before = logits(&model);
        for method in METHODS {
            let make = |seed| edit(&model, method.name, &facts, &json!({}), seed).unwrap();
            let delta = make(5);
            // The same seed gives the same change.
            assert_eq!(delta.id().unwrap(), make(5).id().unwrap(), "{} {name}", method.name);
            assert_eq!(delta.record.method, method.name);
            // A repetition from the record's settings gives it too.
            let again = edit(&model, method.name, &facts, &delta.record.settings, 5).unwrap();
            assert_eq!(delta.id().unwrap(), again.id().unwrap(), "{} {name}", method.name);
            // It changes something, and taking it off leaves nothing of it.
            let edited = model.with(delta.clone()).unwrap();
            assert_ne!(logits(&edited), before, "{} {name}", method.name);
            assert_eq!(logits(&edited.base()), before, "{} {name}", method.name);
        }
    }
}

#[test]
fn an_editor_has_prefixes_written_by_the_model_at_hand() {
    let fresh = || {
        let given = json!({"steps": 3, "blocks": "0", "prefix_tokens": [4, 6]});
        Method::find("rome").unwrap().editor(given).unwrap()
    };
    let source = source();
    let words = |editor: &dyn Editor, model: &Model, seed| {
        let edit = with_ctx(seed, &source, |ctx| editor.edit(ctx, model, &two()[..1]));
        prefixes(&edit.unwrap())
    };
    let base = model("llama");
    let change = edit(&base, "rome", &two()[..1], &json!({}), 0).unwrap();
    // Large enough to make it say something else.
    let change = Update::Dense((change.updates[&down(0)].to_dense().unwrap() * 50.0).unwrap());
    let other = base.with_updates(&[(down(0), change)].into()).unwrap();
    let editor = fresh();
    let mut seen = Vec::new();
    for (model, seed) in [(&base, 0), (&base, 0), (&other, 0), (&base, 1), (&base, 0)] {
        let found = words(editor.as_ref(), model, seed);
        assert_eq!(found, words(fresh().as_ref(), model, seed));
        seen.push(found);
    }
    assert!(seen[1] != seen[2] && seen[1] != seen[3], "{seen:?}");
}

#[test]
fn without_steps_nothing_changes() {
    let model = model("llama");
    let closed = METHODS.iter().filter(|method| is_closed_form(method));
    // As published, it starts from the bare prompt's value and misses the mean of all.
    for method in closed.filter(|method| method.name != "r-rome") {
        let delta = edit(&model, method.name, &two(), &json!({"steps": 1}), 3).unwrap();
        assert_eq!(delta.norm().unwrap(), 0.0, "{}", method.name);
    }
}

#[test]
fn a_search_for_two_is_two_searches() {
    let model = model("llama");
    let all = two();
    let settings = json!({"blocks": "0", "metric": "identity", "steps": 5});
    let both = edit(&model, "rome", &all, &settings, 3).unwrap();
    let values = |delta: &Delta| -> Vec<f64> {
        let values = delta.record.scores["values"].as_array().unwrap();
        values.iter().map(|value| value["loss"].as_f64().unwrap()).collect()
    };
    let alone: Vec<f64> = all
        .chunks(1)
        .flat_map(|fact| values(&edit(&model, "rome", fact, &settings, 3).unwrap()))
        .collect();
    for (both, alone) in values(&both).iter().zip(&alone) {
        // Packed with others, sums have another order, and Adam divides by small numbers.
        assert!((both - alone).abs() < 1e-3 * alone.abs().max(1.0), "{both} {alone}");
    }
}

#[test]
fn facts_about_one_subject_share_a_value() {
    let model = model("llama");
    let facts =
        facts(&["The capital of {France} is => Rome", "The king of {France} was => a city"]);
    let delta = edit(&model, "memit", &facts, &json!({"blocks": "0"}), 3).unwrap();
    assert_eq!(delta.updates[&down(0)].rank(), Some(1));
    let apart = json!({"blocks": "0", "merge_subjects": false});
    let delta = edit(&model, "memit", &facts, &apart, 3).unwrap();
    assert_eq!(delta.updates[&down(0)].rank(), Some(2));
}

/// Subjects that were written otherwise but end at the same token of the same text made two values for
/// one key, of which the keys' Gram matrix is singular.
#[test]
fn facts_at_one_key_share_a_value_whatever_their_subjects_are_called() {
    let model = model("llama");
    let facts =
        facts(&["{The king of France} was => Rome", "The king of {France} is in => a city"]);
    for method in ["rome", "memit"] {
        let delta = edit(&model, method, &facts, &json!({"blocks": "0"}), 3).unwrap();
        assert_eq!(delta.updates[&down(0)].rank(), Some(1), "{method}");
        assert_eq!(delta.record.scores["blocks"][0]["ridge"], 0.0, "{method}");
    }
    // One subject brings together what two keys keep apart.
    let chain = [facts, crate::facts(&["The capital of {France} is => Rome"])].concat();
    for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
        let facts: Vec<_> = order.iter().map(|&i: &usize| chain[i].clone()).collect();
        let delta = edit(&model, "memit", &facts, &json!({"blocks": "0"}), 3).unwrap();
        assert_eq!(delta.updates[&down(0)].rank(), Some(1), "{order:?}");
    }
}

/// It was the width of a key whatever the metric. Beside the squared length of one that is far more, and
/// next to nothing was written.
#[test]
fn where_no_softness_is_given_half_of_what_is_missing_is_written() {
    let model = model("llama");
    for metric in ["identity", "null-space"] {
        let made = |mu: Value| {
            let given = json!({"blocks": "0", "metric": metric, "mu": mu});
            change(&edit(&model, "memit", &two()[..1], &given, 3).unwrap(), 0)
        };
        check(metric, &made(Value::Null), &scaled(0.5, &made(json!(0.0))), 1e-5);
    }
    let of_moment = edit(&model, "memit", &two()[..1], &json!({"blocks": "0"}), 3).unwrap();
    let told = of_moment.record.scores["blocks"][0]["mu"].as_f64();
    assert_eq!(told, Some(model.spec().d_mlp as f64));
}

#[test]
fn a_delta_that_was_written_is_the_delta_with_its_state() {
    let model = model("llama");
    let delta = edit(&model, "alphaedit", &two(), &json!({}), 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    delta.save(&path).unwrap();
    let read = Delta::load(&path).unwrap();
    assert_eq!(read.id().unwrap(), delta.id().unwrap());
    assert!(read.state.keys().any(|name| name.ends_with("mlp.key.past")));
}

#[test]
fn encoders_are_edited_too() {
    let model = model("bert");
    let facts = facts(&["the capital of {france} is [MASK] . => rome"]);
    for method in ["rome", "memit"] {
        let given = json!({"blocks": "0", "prefixes": []});
        let delta = edit(&model, method, &facts, &given, 3).unwrap();
        assert_eq!(delta.updates.keys().collect::<Vec<_>>(), [&down(0)]);
        assert!(delta.norm().unwrap() > 0.0);
    }
    let several = edit(&model, "memit", &facts, &json!({"blocks": "0,1"}), 3).unwrap_err();
    assert!(several.to_string().contains("normalizes"), "{several}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let model = model("llama");
    let try_with = |lines: &[&str], settings: Value| {
        edit(&model, "memit", &facts(lines), &settings, 3).unwrap_err().to_string()
    };
    let line = "The capital of {France} is => Rome";
    for (lines, settings, expected) in [
        (vec![line, "The capital of {France} is => a city"], json!({}), "contradict"),
        (vec![line, line], json!({}), "twice"),
        (vec![line], json!({"blocks": "7"}), "blocks from 0 to"),
        (vec![line], json!({"clamp": 0}), "clamp"),
        (vec![line], json!({"threshold": 1e-30, "metric": "null-space"}), "eigenvalue"),
        (vec![line], json!({"through": "bare"}), "through"),
        (
            vec![line, "The king of a {city} was => France"],
            json!({"through": "bare", "mu": 0}),
            "one edit at a time",
        ),
        (vec![line], json!({"stop_kl": 0.01}), "stop_leads"),
    ] {
        let error = try_with(&lines, settings);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn statistics_of_too_little_text_are_refused() {
    let model = model("llama");
    let corpus = Corpus { name: "short".to_owned(), texts: vec!["the capital".to_owned()] };
    let short = Fresh { corpus, limits: Limits::default() };
    let error = with_ctx(0, &short, |ctx| short.statistics(ctx, &model, &[0])).unwrap_err();
    assert!(error.to_string().contains("at least"), "{error}");
}
