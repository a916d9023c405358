//! Keys of earlier edits: what is handed on, what later edits make of it, and what is refused.

use candle_core::Device;
use faer::Mat;
use retcon::bound::within;
use retcon::data::Fact;
use retcon::linalg::to_mat;
use retcon::model::{Site, Spot};
use retcon::{Delta, Method, Model};
use serde_json::json;

use crate::references::{
    PREFIXES, change, check, columns, down, edit, inverse, mean_at, moment, offsets, scaled,
    source, texts, three, two,
};
use crate::{model, with_ctx};

/// How much the bare prompt counts among the situations.
const HALF: f64 = 0.5;

/// Recursive least squares. What came of all batches together is what
/// one solve for all values and keys gives, whatever was written first.
#[test]
fn memit_with_past_keys_is_joint_ridge_regression_however_it_was_split() {
    let model = model("llama");
    let all = three();
    let settings = json!({
        "blocks": "0", "mu": 2.0, "past": true, "site": "mlp", "start": "all", "present": "all",
    });
    let words = PREFIXES.map(str::to_owned);
    let mean = |model: &Model, fact: &Fact, spot| {
        mean_at(model, &texts(model, fact, &words), Site::Block(0, spot), HALF)
    };
    for batches in [
        vec![vec![0], vec![1], vec![2]],
        vec![vec![2], vec![1], vec![0]],
        vec![vec![0, 1], vec![2]],
        vec![vec![2, 0], vec![1]],
        vec![vec![0, 1, 2]],
    ] {
        let mut current = model.clone();
        let (d, f) = (model.spec().d_model, model.spec().d_mlp);
        let mut total = Mat::<f64>::zeros(d, f);
        let (mut missing, mut keys) = (Vec::new(), Vec::new());
        for batch in &batches {
            let facts: Vec<Fact> = batch.iter().map(|&i| all[i].clone()).collect();
            let delta = edit(&current, "memit", &facts, &settings, 3).unwrap();
            let offsets = offsets(&current, &delta, &facts, &[0], &[Spot::MlpOut]);
            for (i, fact) in facts.iter().enumerate() {
                // v - W0 k, with v what the model had when the fact was written, and the offset.
                let [now, first] = [&current, &model].map(|model| mean(model, fact, Spot::MlpOut));
                let more = now.iter().zip(&first).enumerate();
                missing.push(
                    more.map(|(j, (now, first))| now + offsets[(j, i)] - first).collect::<Vec<_>>(),
                );
                // In block 0 keys don't change with its own down-projection.
                keys.push(mean(&model, fact, Spot::MlpKey));
            }
            total += change(&delta, 0);
            current = current.with(delta).unwrap();
        }
        let (missing, k) = (columns(&missing), columns(&keys));
        let sum = scaled(2.0, &moment(&model, 0)) + &k * k.transpose();
        let expected = missing * k.transpose() * inverse(&sum);
        // Of `f32` passes and factors, batch after batch.
        check(&format!("{batches:?}"), &total, &expected, 1e-4);
    }
}

#[test]
fn keys_are_handed_on_as_the_edited_model_has_them() {
    let model = model("llama");
    let facts = two();
    let delta = edit(&model, "alphaedit", &facts, &json!({"blocks": "0,1"}), 3).unwrap();
    let edited = model.with(delta.clone()).unwrap();
    for block in [0, 1] {
        let key = |model: &Model, fact| {
            let texts = texts(model, fact, &PREFIXES.map(str::to_owned));
            mean_at(model, &texts, Site::Block(block, Spot::MlpKey), HALF)
        };
        let keys =
            |model: &Model| columns(&facts.iter().map(|fact| key(model, fact)).collect::<Vec<_>>());
        let stored = to_mat(&delta.state[&format!("blocks.{block}.mlp.key.past")]).unwrap();
        check("keys", &stored.transpose().to_owned(), &keys(&edited), 1e-5);
        // In the second block they are others than before the edit.
        let moved = (keys(&edited) - keys(&model)).norm_l2() / keys(&model).norm_l2();
        assert!((moved > 1e-3) == (block == 1), "{moved:e}");
    }
}

/// The keys of the whole change were handed on, and its norms recorded.
#[test]
fn what_a_held_back_change_hands_on_is_of_that_change() {
    let model = model("llama");
    let facts = two();
    let settings = json!({
        "blocks": "0,1", "steps": 6, "prefixes": PREFIXES, "threshold": 0.2, "mu": 0.1,
    });
    let settings = settings.as_object().unwrap();
    let method = Method::find("alphaedit").unwrap();
    let within = |most| {
        with_ctx(3, &source(), |ctx| within(ctx, &model, method, settings, &facts, most)).unwrap()
    };
    let whole = within(1e9);
    let bounded = within(whole.trials[0].drift.mean_kl / 3.0);
    let (delta, share) = (&bounded.delta, bounded.delta.record.scores["held_back_to"].as_f64());
    assert!(share.unwrap() < 0.9, "{share:?}");
    let edited = model.with(delta.clone()).unwrap();
    let keys = |model: &Model, block| {
        let key = |fact| {
            let texts = texts(model, fact, &PREFIXES.map(str::to_owned));
            mean_at(model, &texts, Site::Block(block, Spot::MlpKey), HALF)
        };
        columns(&facts.iter().map(key).collect::<Vec<_>>())
    };
    for block in [0, 1] {
        let name = format!("blocks.{block}.mlp.key.past");
        let of = |delta: &Delta| to_mat(&delta.state[&name]).unwrap().transpose().to_owned();
        check("keys", &of(delta), &keys(&edited, block), 1e-5);
        // In the second block those of the whole change are others.
        let apart = (of(&whole.delta) - of(delta)).norm_l2() / of(delta).norm_l2();
        assert!((apart > 1e-3) == (block == 1), "{apart:e}");
        let told = delta.record.scores["blocks"][block]["relative_norm"].as_f64().unwrap();
        let weight = model.weight(down(block)).unwrap().to_tensor(&Device::Cpu).unwrap();
        let is = change(delta, block).norm_l2() / to_mat(&weight).unwrap().norm_l2();
        assert!((told - is).abs() < 1e-5 * is, "{told} {is}");
    }
}

#[test]
fn keys_of_another_width_are_refused_by_name() {
    let model = model("llama");
    let delta = edit(&model, "alphaedit", &two()[..1], &json!({"blocks": "0"}), 3).unwrap();
    let name = "blocks.0.mlp.key.past";
    let whole = delta.state[name].clone();
    for damaged in [whole.narrow(1, 0, 5).unwrap(), whole.flatten_all().unwrap()] {
        let mut delta = delta.clone();
        delta.state.insert(name.to_owned(), damaged.clone());
        let edited = model.with(delta).unwrap();
        let error =
            edit(&edited, "alphaedit", &two()[1..], &json!({"blocks": "0"}), 3).unwrap_err();
        let retcon::Error::WrongState { name: told, found, .. } = &error else { panic!("{error}") };
        assert_eq!((told.as_str(), found.as_slice()), (name, damaged.dims()));
    }
}
