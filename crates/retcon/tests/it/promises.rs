//! What every method on the list promises of its changes: nothing outside of its scope moves, no more
//! directions than it says, and no order of requests that are made at once.

use candle_core::Device;
use faer::Mat;
use retcon::linalg::to_mat;
use retcon::model::{Part, WeightId};
use retcon::tokens::query;
use retcon::{Error, METHODS, Model, Update};
use serde_json::json;

use crate::references::{check, edit, is_closed_form, three};
use crate::{facts, model};

/// What each method may change of the blocks that it is given, as its documentation says.
fn may_move(method: &str) -> Vec<Part> {
    let down = [Part::Down, Part::DownBias];
    match method {
        "rome" | "r-rome" | "emmet" | "memit" | "pmet" | "alphaedit" => vec![Part::Down],
        "ft" | "ft-l" | "ft-m" | "locft-bf" => down.to_vec(),
        "ultraedit" => vec![Part::Up, Part::Gate],
        "lora" => vec![Part::Q, Part::V],
        "ft-w" => Part::ALL.iter().copied().filter(|part| part.is_per_block()).collect(),
        _ => panic!("{method}: say here what it may change"),
    }
}

/// A weight as it works, with what was added to it.
fn numbers(model: &Model, id: WeightId) -> Vec<f32> {
    let weight = model.weight(id).unwrap().to_tensor(&Device::Cpu).unwrap();
    weight.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn no_weight_outside_of_the_scope_moves() {
    for name in ["llama", "gpt2", "gptj"] {
        let model = model(name);
        let ids: Vec<WeightId> = model.weights().iter().map(|(id, _)| id).collect();
        for method in METHODS {
            // After the last block nothing is left that could read a value.
            for block in 0..model.spec().n_blocks - 1 {
                let mut given = json!({"blocks": block.to_string()});
                if method.name == "ultraedit" {
                    // As published it is less than the last digit of some weights.
                    given["rate"] = json!(0.01);
                }
                let delta = edit(&model, method.name, &three()[..1], &given, 3).unwrap();
                let edited = model.with(delta).unwrap();
                let moved = |id: &&WeightId| numbers(&edited, **id) != numbers(&model, **id);
                let moved: Vec<WeightId> = ids.iter().filter(moved).copied().collect();
                let parts = may_move(method.name);
                let strays = |id: &&WeightId| id.block != Some(block) || !parts.contains(&id.part);
                let strays: Vec<_> = moved.iter().filter(strays).collect();
                assert!(strays.is_empty(), "{} {name}: {strays:?}", method.name);
                // And those inside do.
                let matrix =
                    parts.iter().find(|part| ids.contains(&WeightId::of_block(block, **part)));
                assert!(
                    moved.contains(&WeightId::of_block(block, *matrix.unwrap())),
                    "{} {name}: {moved:?}",
                    method.name
                );
            }
        }
    }
}

/// Directions that carry more than what `f32` makes of zero.
fn rank(change: &Mat<f64>) -> usize {
    let values = change.singular_values().unwrap();
    values.iter().filter(|&value| *value > 1e-5 * values[0]).count()
}

#[test]
fn a_change_has_no_more_directions_than_its_method_says() {
    let model = model("llama");
    // Four facts about three subjects.
    let facts = [three(), facts(&["The king of {France} was => a city"])].concat();
    let n_tokens: usize = facts
        .iter()
        .map(|fact| query(&model, &fact.prompt, &fact.target_new).unwrap().object.len())
        .sum();
    for method in METHODS {
        let most = match method.name {
            "ultraedit" => n_tokens,
            "lora" => 2,
            _ if is_closed_form(method) => 3,
            _ => continue,
        };
        let given = match method.name {
            "lora" => json!({"rank": 2, "steps": 30}),
            _ => json!({}),
        };
        let delta = edit(&model, method.name, &facts, &given, 3).unwrap();
        assert!(!delta.updates.is_empty());
        for (id, update) in &delta.updates {
            let found = rank(&to_mat(&update.to_dense().unwrap()).unwrap());
            assert!(found > 0 && found <= most, "{} {id}: {found} of {most}", method.name);
        }
        // Those that were made before add none.
        if is_closed_form(method) {
            let edited = model.with(delta).unwrap();
            let later = edit(&edited, method.name, &facts[..1], &json!({}), 3).unwrap();
            for update in later.updates.values() {
                assert_eq!(
                    rank(&to_mat(&update.to_dense().unwrap()).unwrap()),
                    1,
                    "{}",
                    method.name
                );
            }
        }
    }
}

/// Those that solve for all facts at once, by a search for each subject or by one gradient for all.
#[test]
fn the_order_of_facts_does_not_matter_where_they_are_solved_together() {
    let model = model("llama");
    for method in METHODS {
        let blocks = match method.name {
            "rome" | "r-rome" | "emmet" | "ultraedit" => "0",
            _ if is_closed_form(method) => "0,1",
            _ => continue,
        };
        let make = |order: [usize; 3]| {
            let facts: Vec<_> = order.iter().map(|&i| three()[i].clone()).collect();
            edit(&model, method.name, &facts, &json!({"blocks": blocks}), 3).unwrap().updates
        };
        let dense = |update: &Update| to_mat(&update.to_dense().unwrap()).unwrap();
        let first = make([0, 1, 2]);
        for order in [[2, 1, 0], [1, 2, 0]] {
            let other = make(order);
            assert!(!first.is_empty() && first.keys().eq(other.keys()));
            for (id, update) in &first {
                // Sums in another order.
                let name = format!("{} {order:?} {id}", method.name);
                check(&name, &dense(&other[id]), &dense(update), 1e-3);
            }
        }
    }
}

/// Only what is solved for was held against the weight, and no message said whose edit it was.
#[test]
fn a_change_that_no_model_survives_is_refused_whoever_makes_it() {
    let model = model("llama");
    let far = json!({"constraint": "none", "unit": "absolute", "learning_rate": 10.0, "steps": 2});
    for (method, given) in [
        ("ft", far),
        ("lora", json!({"learning_rate": 10.0, "steps": 3})),
        ("ultraedit", json!({"rate": 1e6})),
        ("memit", json!({"blocks": "0", "clamp": 1e6, "learning_rate": 1e6, "mu": 0})),
    ] {
        let error = edit(&model, method, &three()[..2], &given, 3).unwrap_err();
        let Error::TooLarge { relative, edits, .. } = &error else { panic!("{method}: {error}") };
        assert!(*relative > 5.0, "{method}: {relative}");
        assert_eq!(edits, "The capital of {France} is (and 1 more)", "{method}");
    }
}
