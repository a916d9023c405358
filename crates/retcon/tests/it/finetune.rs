//! What fine-tuning inside a ball promises.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::DType;
use retcon::edit::facts_of;
use retcon::edit::scope::Scope;
use retcon::eval::accuracy::scores;
use retcon::eval::questions::Counts;
use retcon::model::{Component, Part, WeightId};
use retcon::tokens::query;
use retcon::{Ctx, Delta, Error, Method, Model, Update, compare};
use serde_json::json;

use crate::{edit, facts, model, references};

const CAPITALS: &[&str] = &[
    "The capital of {France} is => Berlin",
    "The capital of {Spain} is => Rome",
    "The capital of {Italy} is => Paris",
];

/// Room to move: random models are not made to be edited by a little.
fn widen(settings: &mut serde_json::Value) {
    settings["radius"] = json!(1.0);
    settings["learning_rate"] = json!(0.05);
}

fn most(delta: &Delta, id: WeightId) -> f64 {
    let dense = delta.updates[&id].to_dense().unwrap().abs().unwrap().flatten_all().unwrap();
    f64::from(dense.max(0).unwrap().to_scalar::<f32>().unwrap())
}

#[test]
fn every_family_learns_and_forgets_again() {
    for name in
        ["llama", "llama-tied", "llama-gguf", "mistral", "qwen2", "qwen3", "gpt2", "bert", "albert"]
    {
        let model = model(name);
        let facts = facts(CAPITALS);
        // Random models have no structure to keep: only the objective is tested here.
        // The second block, or the only one.
        let block = model.spec().n_stored_blocks().min(2) - 1;
        let mut settings =
            json!({"blocks": block, "components": ["mlp", "attention"], "steps": 200});
        widen(&mut settings);
        let delta = Arc::new(edit(&model, &facts, &settings, 0).unwrap());
        assert_eq!(delta.record.scores["satisfied"], true, "{name}: {}", delta.record.scores);
        let edited = model.with(delta.clone()).unwrap();
        let none = Counts { paraphrases: 0, neighbors: 0, unrelated: 0 };
        let report = compare(&model, &edited, &facts, none, 0).unwrap();
        assert_eq!(report.rows.len(), 3, "{name}");
        for row in &report.rows {
            assert!(row.after.new_leads, "{name}: {row:?}");
            assert!(row.after.p_new > row.before.p_new, "{name}: {row:?}");
        }
        let undone = compare(&model, &edited.base(), &facts, none, 0).unwrap();
        assert_eq!(undone.drift.max_kl, 0.0, "{name}");
        assert!(undone.rows.iter().all(|row| row.before == row.after), "{name}");
    }
}

#[test]
fn a_delta_tells_the_facts_that_it_was_made_of() {
    let model = model("llama");
    let mut facts = facts(CAPITALS);
    facts[1].target_true = Some("Madrid".into());
    // What a fact is measured by is no part of an edit.
    facts[2].paraphrases = vec![facts[0].prompt.clone()];
    let delta = edit(&model, &facts, &json!({"steps": 1}), 0).unwrap();
    facts[2].paraphrases.clear();
    facts.iter_mut().for_each(|fact| fact.origin = None);
    assert_eq!(facts_of(&delta), facts);
}

#[test]
fn a_change_to_shared_weights_is_made_in_every_block_that_runs_with_them() {
    for (name, blocks) in [("albert", 0..1), ("albert-groups", 0..4)] {
        let (model, facts) = (model(name), facts(CAPITALS));
        let queries = facts.iter().map(|f| query(&model, &f.prompt, &f.target_new).unwrap());
        let queries: Vec<_> = queries.collect();
        let loss = |model: &Model| {
            let scores = scores(&Ctx::new(0), model, &queries).unwrap();
            let shares = scores.iter().zip(&queries);
            -shares.map(|(s, q)| s.log_prob / q.object.len() as f64).sum::<f64>() / 3.0
        };
        for block in blocks {
            let mut settings =
                json!({"blocks": block.to_string(), "steps": 3, "storage_error": 1e-9});
            widen(&mut settings);
            let delta = Arc::new(edit(&model, &facts, &settings, 0).unwrap());
            // What the loop saw, which runs only a part, is what the whole edited model does.
            let seen = delta.record.scores["loss"].as_f64().unwrap();
            let is = loss(&model.with(delta.clone()).unwrap());
            // Both are sums of f32 numbers near 5.
            assert!((seen - is).abs() < 1e-4, "{name}, block {block}: {seen} {is}");
            assert!(loss(&model) - is > 0.1, "{name}, block {block}: nothing was learned");
        }
    }
}

#[test]
fn scopes_count_blocks_as_they_are_stored() {
    let covered = |name: &str, blocks: &str| -> Vec<Option<usize>> {
        let scope = json!({"blocks": blocks, "components": ["mlp-down"]});
        let ids = serde_json::from_value::<Scope>(scope).unwrap().weights(&model(name)).unwrap();
        ids.iter().filter(|id| id.part == Part::Down).map(|id| id.block).collect()
    };
    for blocks in ["auto", "all", "-1", "0"] {
        assert_eq!(covered("albert", blocks), [Some(0)], "{blocks}");
    }
    assert_eq!(covered("albert-groups", "auto"), [Some(2)]);
    assert_eq!(covered("albert-groups", "-1"), [Some(3)]);
    assert_eq!(covered("albert-groups", "all").len(), 4);
    let error = edit(&model("albert"), &facts(CAPITALS), &json!({"blocks": "3"}), 0).unwrap_err();
    assert!(error.to_string().contains("blocks from 0 to 0"), "{error}");
}

#[test]
fn no_number_leaves_the_ball() {
    let model = model("llama");
    for constraint in ["linf", "l2"] {
        for radius in [1e-3, 0.02] {
            let settings = json!({
                "constraint": constraint, "radius": radius, "unit": "absolute",
                "learning_rate": 0.01, "steps": 20, "components": ["all"], "blocks": "1,2",
            });
            let delta = edit(&model, &facts(CAPITALS), &settings, 0).unwrap();
            for (&id, update) in &delta.updates {
                match constraint {
                    "linf" => assert!(most(&delta, id) <= radius, "{id}"),
                    _ => assert!(update.norm().unwrap() <= radius * (1.0 + 1e-6), "{id}"),
                }
            }
            assert!(delta.norm().unwrap() > 0.0);
        }
    }
}

#[test]
fn nothing_outside_of_the_scope_moves() {
    let model = model("bert");
    for (blocks, components) in [
        ("auto", vec!["mlp-down"]),
        ("0", vec!["attention"]),
        ("1-2", vec!["norms", "mlp"]),
        ("-1", vec!["all"]),
        ("0", vec!["embeddings"]),
        ("all", vec!["all"]),
    ] {
        let settings = json!({"blocks": blocks, "components": components, "steps": 2});
        let delta = edit(&model, &facts(CAPITALS), &settings, 0).unwrap();
        let scope = json!({"blocks": blocks, "components": components});
        let scope: Scope = serde_json::from_value(scope).unwrap();
        let covered: BTreeSet<_> = scope.weights(&model).unwrap().into_iter().collect();
        let moved: BTreeSet<_> = delta.updates.keys().copied().collect();
        assert_eq!(covered, moved, "{blocks} {components:?}");
        assert!(delta.norm().unwrap() > 0.0, "{blocks} {components:?}");
    }
}

#[test]
fn scopes_cover_what_their_names_say() {
    let model = model("llama");
    let covered = |blocks: &str, components: &[&str]| -> Vec<WeightId> {
        let scope = json!({"blocks": blocks, "components": components});
        serde_json::from_value::<Scope>(scope).unwrap().weights(&model).unwrap()
    };
    let down = covered("2", &["mlp-down"]);
    assert_eq!(down, [WeightId::of_block(2, Part::Down)]);
    assert_eq!(covered("auto", &["mlp-down"]), down, "two thirds of three blocks");
    assert!(
        covered("0", &["attention"]).iter().all(|id| id.part.component() == Component::Attention)
    );
    assert_eq!(covered("all", &["all"]).len(), model.weights().iter().count());
    assert!(covered("0", &["norms"]).iter().all(|id| id.block == Some(0)));
    assert!(covered("all", &["norms"]).contains(&WeightId::global(Part::FinalNorm)));
    assert!(covered("0", &["head"]).contains(&WeightId::global(Part::Unembed)));
    assert!(!covered("0", &["embeddings"]).contains(&WeightId::global(Part::Unembed)));
}

#[test]
fn the_same_seed_makes_the_same_delta() {
    let model = model("llama");
    let settings = json!({"batch": 1, "steps": 3});
    let id = |seed| edit(&model, &facts(CAPITALS), &settings, seed).unwrap().id().unwrap();
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2), "the seed draws the order");
}

#[test]
fn no_steps_change_nothing() {
    let model = model("llama");
    let delta = edit(&model, &facts(CAPITALS), &json!({"steps": 0}), 0).unwrap();
    assert_eq!(delta.norm().unwrap(), 0.0);
}

#[test]
fn facts_in_one_batch_have_the_loss_that_they_have_alone() {
    let model = model("llama");
    let loss = |lines: &[&str]| {
        let delta = edit(&model, &facts(lines), &json!({"steps": 0}), 0).unwrap();
        delta.record.scores["loss"].as_f64().unwrap()
    };
    let alone = CAPITALS.iter().map(|line| loss(&[line])).sum::<f64>() / 3.0;
    // Both are sums of f32 numbers near 5.
    assert!((loss(CAPITALS) - alone).abs() < 1e-5);
}

/// Where each token of an object was a query of its own, a long object counted more.
#[test]
fn facts_count_alike_however_long_their_objects_are() {
    let model = model("llama");
    let lines = ["The capital of {France} is => Rome", "The {king} was in => a city in France"];
    for method in ["ft", "ft-l", "ft-w"] {
        let loss = |lines: &[&str]| {
            let made = references::edit(&model, method, &facts(lines), &json!({"steps": 0}), 0);
            made.unwrap().record.scores["loss"].as_f64().unwrap()
        };
        let apart = lines.map(|line| loss(&[line]));
        let alone = apart.iter().sum::<f64>() / 2.0;
        assert!((apart[0] - apart[1]).abs() > 0.1, "{method}: nothing is told by these");
        // Both are sums of f32 numbers near 5.
        assert!((loss(&lines) - alone).abs() < 1e-5, "{method}: {} {alone}", loss(&lines));
    }
}

#[test]
fn a_change_by_a_quantized_base_is_kept_in_full_precision() {
    let model = model("llama-gguf");
    let settings = json!({"unit": "absolute", "radius": 1e-5, "learning_rate": 1e-5, "steps": 3});
    let delta = edit(&model, &facts(CAPITALS), &settings, 0).unwrap();
    let (&id, update) = delta.updates.iter().next().unwrap();
    assert!(most(&delta, id) > 0.0 && most(&delta, id) <= 1e-5);
    let dense = update.to_dense().unwrap();
    assert_eq!(dense.dtype(), DType::F32);
}

#[test]
fn a_later_edit_is_made_on_top_of_an_earlier_one() {
    let model = model("llama");
    let mut settings = json!({});
    widen(&mut settings);
    let first = Arc::new(edit(&model, &facts(&CAPITALS[..1]), &settings, 0).unwrap());
    let edited = model.with(first.clone()).unwrap();
    let second = Arc::new(edit(&edited, &facts(&CAPITALS[1..2]), &settings, 0).unwrap());
    assert_eq!(second.record.after, [first.id().unwrap()]);
    let both = edited.with(second.clone()).unwrap();
    let none = Counts { paraphrases: 0, neighbors: 0, unrelated: 0 };
    let report = compare(&edited, &both, &facts(&CAPITALS[1..2]), none, 0).unwrap();
    assert!(report.rows[0].after.new_leads);
}

#[test]
fn a_loss_that_is_no_number_ends_the_work() {
    let model = model("llama");
    let settings = json!({
        "unit": "absolute", "learning_rate": 1e30, "constraint": "none", "components": ["all"],
    });
    let error = edit(&model, &facts(CAPITALS), &settings, 0).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
}

#[test]
fn stopping_keeps_nothing() {
    let model = model("llama");
    let cancel = AtomicBool::new(true);
    let ctx = Ctx::new(0).with_cancel(&cancel);
    let editor = Method::find("ft").unwrap().editor(()).unwrap();
    let error = editor.edit(&ctx, &model, &facts(CAPITALS)).unwrap_err();
    assert!(matches!(error, Error::Canceled));
}

#[test]
fn settings_without_meaning_are_refused_by_name() {
    for (settings, named) in [
        (json!({"steps": "many"}), "many"),
        (json!({"radius": -1.0}), "radius"),
        (json!({"learning_rate": 0.0}), "learning_rate"),
        (json!({"constraint": "l3"}), "l3"),
        (json!({"batch": 0}), "batch"),
        (json!({"blocks": "0-"}), "0-"),
    ] {
        let given = settings.as_object().unwrap().clone();
        let error = Method::find("ft").unwrap().editor(given).err().unwrap().to_string();
        assert!(error.contains(named), "{settings}: {error}");
    }
    let error = edit(&model("llama"), &facts(CAPITALS), &json!({"blocks": "7"}), 0).unwrap_err();
    assert!(error.to_string().contains("blocks from 0 to 2"), "{error}");
    assert!(matches!(edit(&model("llama"), &[], &json!({}), 0), Err(Error::NoFacts)));
}

#[test]
fn factors_are_used_where_they_are_smaller() {
    // One step of Adam moves a matrix by the signs of its gradient, which for one position is of
    // rank one.
    let model = model("gpt2");
    let settings = json!({"steps": 1, "components": ["mlp-down"], "constraint": "none"});
    let delta = edit(&model, &facts(&["The {France} => Berlin"]), &settings, 0).unwrap();
    let down = delta.updates.iter().find(|(id, _)| id.part == Part::Down).unwrap().1;
    assert!(matches!(down, Update::LowRank { .. }), "{:?}", down.shape());
    assert!(2 * down.n_numbers() <= down.shape().iter().product());
}
