//! Options that keep edits small: the norm that values are brought to (NAS), and the limit of what all
//! edits together may do to a weight (PRUNE).

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use faer::Mat;
use retcon::data::Fact;
use retcon::data::knowledge::{FactSet, Wording};
use retcon::linalg::to_mat;
use retcon::model::tap::Capture;
use retcon::model::{Batch, Part, Site, Spot, Update, WeightId};
use retcon::stats::Nothing;
use retcon::tokens::query;
use retcon::{Delta, Method, Model, Result};
use serde_json::{Value, json};

use crate::{facts, model, with_ctx};

fn memit(model: &Model, settings: &[(&str, Value)]) -> Result<Delta> {
    let mut given = json!({
        "blocks": "1", "metric": "identity", "steps": 8, "prefixes": [], "clamp": 2.0, "decay": 0.0,
    });
    for (key, value) in settings {
        given[*key] = value.clone();
    }
    let facts = facts(&[
        "The capital of {France} is => Rome",
        "The king of a {city} was => France",
        "{Rome} is in => France",
    ]);
    let editor = Method::find("memit")?.editor(given)?;
    with_ctx(0, &Nothing, |ctx| editor.edit(ctx, model, &facts))
}

fn down() -> WeightId {
    WeightId::of_block(1, Part::Down)
}

/// The largest singular value of what deltas add to a weight.
fn largest(deltas: &[&Delta]) -> f64 {
    let dense = deltas.iter().map(|delta| to_mat(&delta.updates[&down()].to_dense().unwrap()));
    let sum = dense.reduce(|a, b| Ok(a? + b?)).unwrap().unwrap();
    sum.singular_values().unwrap()[0]
}

/// The mean norm of what a site has where subjects of our facts end.
fn mean_norm(model: &Model, spot: Spot) -> f64 {
    let site = Site::Block(1, spot);
    let norm = |fact: &Fact| {
        let query = query(model, &fact.prompt, &fact.target_new).unwrap();
        let rows: Vec<u32> = (0..query.ids.len() as u32).collect();
        let mut seen = Capture::only([site]);
        model.run(&Batch::new([&query.ids]).unwrap(), &rows, &mut seen).unwrap();
        let at = query.subject.unwrap().end - 1;
        to_mat(&seen.seen[&site].narrow(0, at, 1).unwrap()).unwrap().norm_l2()
    };
    let set = FactSet::world();
    let facts: Vec<Fact> = (0..30)
        .filter_map(|i| {
            let object = &set.modify(&[i], 0).unwrap().first()?.object.clone();
            let example = set.example_before(i, object, Wording::Template(0)).unwrap()?;
            Some(Fact::new(example.prompt, object).unwrap())
        })
        .collect();
    facts.iter().map(norm).sum::<f64>() / facts.len() as f64
}

#[test]
fn the_norm_is_that_of_values_in_the_ball_of_the_own_search() {
    let model = model("llama");
    // One step of such a width ends on the ball, and next to that what was there is small.
    let wide = [
        ("anchor", json!("auto")),
        ("steps", json!(2)),
        ("clamp", json!(50.0)),
        ("learning_rate", json!(1e4)),
        ("mu", json!(1e6)),
    ];
    let anchor = memit(&model, &wide).unwrap().record.scores["anchor"].as_f64().unwrap();
    let [block, mlp] = [Spot::Out, Spot::MlpOut].map(|spot| 50.0 * mean_norm(&model, spot));
    assert!((anchor - block).abs() < 0.2 * block, "{anchor}: {block} of blocks, {mlp} of MLPs");
    assert!((block - mlp).abs() > 0.3 * block, "{block} {mlp}: nothing is told by this model");
}

#[test]
fn values_are_brought_to_the_norm_of_those_that_the_same_search_finds() {
    let model = model("llama");
    let delta = memit(&model, &[("anchor", json!("auto"))]).unwrap();
    let scores = &delta.record.scores;
    let anchor = scores["anchor"].as_f64().unwrap();
    assert!(anchor > 0.0 && scores["blocks"][0]["relative_norm"].as_f64().unwrap() > 0.0);
    // Given as a number, it is the same edit, and a later one goes on with it.
    let given = memit(&model, &[("anchor", json!(anchor))]).unwrap();
    let of = |delta: &Delta| to_mat(&delta.updates[&down()].to_dense().unwrap()).unwrap();
    assert!((of(&given) - of(&delta)).norm_max() < 1e-6);
    let edited = model.with(delta).unwrap();
    let again = memit(&edited, &[("anchor", json!("auto"))]).unwrap();
    let kept = again.record.scores["anchor"].as_f64().unwrap();
    assert!((kept - anchor).abs() < 1e-6 * anchor, "{kept} {anchor}");
    // No value is more than twice as long as the mean of values that were found the same way.
    let twice = memit(&model, &[("anchor", json!(anchor / 100.0))]).unwrap_err().to_string();
    assert!(twice.contains("every value at block 1 is more than twice as long"), "{twice}");
}

/// A later edit at another block was brought to the norm of the first, and one after a number that was
/// given to that number.
#[test]
fn a_norm_is_that_of_the_block_and_is_measured_where_nobody_did() {
    let model = model("llama");
    let auto = |block: &str| [("anchor", json!("auto")), ("blocks", json!(block))];
    let anchor = |delta: &Delta| delta.record.scores["anchor"].as_f64().unwrap();
    let first = Arc::new(memit(&model, &auto("1")).unwrap());
    let alone = memit(&model, &auto("0")).unwrap();
    let after = memit(&model.with(first.clone()).unwrap(), &auto("0")).unwrap();
    assert_eq!(anchor(&after), anchor(&alone));
    assert!((anchor(&after) - anchor(&first)).abs() > 0.1 * anchor(&first), "nothing is told");
    let number = 3.0 * anchor(&first);
    let given = memit(&model, &[("anchor", json!(number))]).unwrap();
    assert_eq!(anchor(&given), number);
    let after = memit(&model.with(given).unwrap(), &auto("1")).unwrap();
    assert_eq!(anchor(&after), anchor(&first));
}

#[test]
fn all_changes_together_are_condensed_against_the_weight_that_no_edit_has_touched() {
    let model = model("llama");
    let weight = to_mat(&model.weight(down()).unwrap().to_tensor(&Device::Cpu).unwrap()).unwrap();
    let limit = weight.singular_values().unwrap()[0];
    let base = 1.2f64;
    let (rows, columns) = (weight.nrows(), weight.ncols());
    // An earlier change with one singular value, ten times the limit.
    let left = Mat::from_fn(rows, 1, |i, _| if i == 3 { 10.0 * limit } else { 0.0 });
    let right = Mat::from_fn(1, columns, |_, j| if j == 5 { 1.0 } else { 0.0 });
    let tensor = |mat: &Mat<f64>| {
        let numbers: Vec<f32> = (0..mat.nrows())
            .flat_map(|i| (0..mat.ncols()).map(move |j| mat[(i, j)] as f32))
            .collect();
        Tensor::from_vec(numbers, (mat.nrows(), mat.ncols()), &Device::Cpu).unwrap()
    };
    for is_dense in [false, true] {
        let update = Update::LowRank { left: tensor(&left), right: tensor(&right) };
        let update = match is_dense {
            true => Update::Dense(update.to_dense().unwrap()),
            false => update,
        };
        let updates = BTreeMap::from([(down(), update)]);
        let earlier = Delta::new(&model, updates, retcon::model::Record::default()).unwrap();
        let edited = model.with(earlier.clone()).unwrap();
        let free = memit(&edited, &[]).unwrap();
        let own = largest(&[&free]);
        assert!(largest(&[&earlier, &free]) > 10.0 * limit - own);
        let condensed = memit(&edited, &[("condense", json!(base))]).unwrap();
        let found = largest(&[&earlier, &condensed]);
        let most = (10.0 + own / limit).ln() / base.ln() + limit;
        assert!(found <= most + 1e-3, "{found} {most} {limit}");
    }
}
