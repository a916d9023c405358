//! Closed forms against the published formulas, computed here step by step with explicit inverses, and
//! what has to hold for every method.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;
use faer::Mat;
use retcon::data::{Corpus, Fact};
use retcon::edit::lookup::query;
use retcon::linalg::{mean, to_mat};
use retcon::model::tap::Record;
use retcon::model::{Batch, Part, Site, Spot, Update, WeightId};
use retcon::stats::{Fresh, Plan, Source};
use retcon::{Delta, Editor, METHODS, Method, Model, Result};
use serde_json::{Value, json};

use crate::{facts, model, with_ctx};

/// Whether its settings are a recipe.
fn is_closed_form(method: &Method) -> bool {
    (method.defaults)().get("prefixes").is_some()
}

/// Texts of random words that the tiny tokenizers know.
fn corpus() -> Corpus {
    let words =
        ["the", "capital", "of", "a", "city", "is", "in", "and", "was", "king", "France", "Rome"];
    let text = |i: usize| {
        let word = |j: usize| words[(i * 7 + j * (3 + i % 5) + i / 11) % words.len()];
        (0..12).map(word).collect::<Vec<_>>().join(" ")
    };
    Corpus { name: "words".to_owned(), texts: (0..60).map(text).collect() }
}

fn source() -> Fresh {
    Fresh { corpus: corpus(), plan: Plan { tolerance: 0.0, ..Plan::default() } }
}

/// The change that `method` makes, with settings over those that suit a tiny model.
fn edit(model: &Model, method: &str, facts: &[Fact], settings: &Value, seed: u64) -> Result<Delta> {
    let method = Method::find(method)?;
    let defaults = (method.defaults)();
    let mut given = json!({});
    for (key, value) in [
        ("steps", json!(6)),
        ("prefixes", json!(["The king was in", "Because"])),
        ("threshold", json!(0.2)),
    ] {
        if defaults.get(key).is_some() {
            given[key] = value;
        }
    }
    for (key, value) in settings.as_object().unwrap() {
        given[key] = value.clone();
    }
    let editor = (method.editor)(given.as_object().unwrap().clone())?;
    with_ctx(seed, &source(), |ctx| editor.edit(ctx, model, facts))
}

fn two() -> Vec<Fact> {
    facts(&["The capital of {France} is => Rome", "The king of a {city} was => France"])
}

/// A value at a site for a text, at a position, by a forward pass of its own.
fn at(model: &Model, ids: &[u32], site: Site, position: usize) -> Vec<f64> {
    let batch = Batch::new([ids]).unwrap();
    let rows: Vec<u32> = (0..ids.len() as u32).collect();
    let mut seen = Record::only([site]);
    model.run(&batch, &rows, &mut seen).unwrap();
    let row = seen.seen[&site].narrow(0, position, 1).unwrap().flatten_all().unwrap();
    row.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The texts of a fact: bare, and behind each prefix; the tokens and where the subject ends.
fn texts(model: &Model, fact: &Fact, prefixes: &[String]) -> Vec<(Vec<u32>, usize)> {
    let behind = |prefix: &String| fact.prompt.after(&format!("{prefix}. ")).unwrap();
    let prompts = std::iter::once(fact.prompt.clone()).chain(prefixes.iter().map(behind));
    let tokens = |prompt| {
        let query = query(model, &prompt, &fact.target_new).unwrap();
        (query.ids, query.subject.unwrap().end - 1)
    };
    prompts.map(tokens).collect()
}

/// The weighted mean of what arrives at a site in all texts: the bare one counts `bare`.
fn mean_at(model: &Model, texts: &[(Vec<u32>, usize)], site: Site, bare: f64) -> Vec<f64> {
    let others = (1.0 - bare) / (texts.len() - 1).max(1) as f64;
    let mut mean = Vec::new();
    for (i, (ids, position)) in texts.iter().enumerate() {
        let weight = if i == 0 { bare } else { others };
        let x = at(model, ids, site, *position);
        mean.resize(x.len(), 0.0);
        mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += weight * x);
    }
    mean
}

fn columns(columns: &[Vec<f64>]) -> Mat<f64> {
    Mat::from_fn(columns[0].len(), columns.len(), |i, j| columns[j][i])
}

fn inverse(matrix: &Mat<f64>) -> Mat<f64> {
    use faer::linalg::solvers::DenseSolveCore;
    matrix.partial_piv_lu().inverse()
}

fn moment(model: &Model, block: usize) -> Mat<f64> {
    let statistics = with_ctx(0, &source(), |ctx| source().statistics(ctx, model, &[block]));
    mean(&statistics.unwrap().moment(block).unwrap())
}

fn change(delta: &Delta, block: usize) -> Mat<f64> {
    to_mat(&delta.updates[&down(block)].to_dense().unwrap()).unwrap()
}

fn down(block: usize) -> WeightId {
    WeightId::of_block(block, Part::Down)
}

fn prefixes(delta: &Delta) -> Vec<String> {
    serde_json::from_value(delta.record.settings["prefixes"].clone()).unwrap()
}

/// `expected` and `found` are equal, relative to the larger.
fn check(name: &str, found: &Mat<f64>, expected: &Mat<f64>, tolerance: f64) {
    let error = (found - expected).norm_l2() / expected.norm_l2();
    assert!(error < tolerance, "{name}: {error:e}");
}

/// What the published formula of one block gives, from the offsets that a delta implies: `Δ k` is
/// what was written at the key, so the formula is checked for the same values.
#[test]
fn rome_is_the_published_rank_one_update() {
    let model = model("llama");
    let fact = &two()[..1];
    for (settings, name) in [
        (json!({"blocks": "0"}), "same keys"),
        (
            json!({"blocks": "0", "start": "bare", "present": "bare", "through": "bare"}),
            "published",
        ),
        (json!({"blocks": "0", "metric": "identity"}), "identity"),
    ] {
        let delta = edit(&model, "rome", fact, &settings, 3).unwrap();
        let texts = texts(&model, &fact[0], &prefixes(&delta));
        let site = Site::Block(0, Spot::MlpKey);
        let key = columns(&[mean_at(&model, &texts, site, 0.5)]);
        let metric = match name {
            "identity" => Mat::identity(key.nrows(), key.nrows()),
            _ => inverse(&moment(&model, 0)),
        };
        let through = match name {
            "published" => columns(&[at(&model, &texts[0].0, site, texts[0].1)]),
            _ => key.clone(),
        };
        // u = C⁻¹ k* / ‖C⁻¹ k*‖, as the code has it.
        let u = &metric * &key;
        let u = faer::Scale(1.0 / u.norm_l2()) * u;
        let found = change(&delta, 0);
        let written = &found * &through;
        let denominator = (through.transpose() * &u)[(0, 0)];
        let expected = written * u.transpose() * faer::Scale(1.0 / denominator);
        // `f32` factors of an `f64` solution.
        check(name, &found, &expected, 1e-5);
    }
}

/// The offset that the search finds does not depend on how it is applied.
#[test]
fn rome_writes_what_was_searched() {
    let model = model("llama");
    let fact = &two()[..1];
    let delta = edit(&model, "rome", fact, &json!({"blocks": "0"}), 3).unwrap();
    let edited = model.with(&Arc::new(delta.clone())).unwrap();
    let texts = texts(&model, &fact[0], &prefixes(&delta));
    let site = Site::Block(0, Spot::MlpOut);
    let before = columns(&[mean_at(&model, &texts, site, 0.5)]);
    let after = columns(&[mean_at(&edited, &texts, site, 0.5)]);
    let x0 = columns(&[at(&model, &texts[0].0, site, texts[0].1)]).norm_l2();
    let moved = (after - before).norm_l2();
    assert!(moved > 0.1 * x0 && moved <= 4.0 * x0 * (1.0 + 1e-4), "{moved} of {x0}");
}

#[test]
fn memit_is_the_published_ridge_regression_block_by_block() {
    let model = model("llama");
    let facts = two();
    let delta = edit(&model, "memit", &facts, &json!({"blocks": "0,1", "mu": 2.0}), 3).unwrap();
    let n_blocks = 2;
    let words = prefixes(&delta);
    let texts: Vec<_> = facts.iter().map(|fact| texts(&model, fact, &words)).collect();
    // z, from what the whole edit was to reach: the states of the unedited model and the offsets, of
    // which the first block's change tells half.
    let state = Site::Block(1, Spot::Out);
    let bare = |model: &Model| {
        columns(&texts.iter().map(|t| at(model, &t[0].0, state, t[0].1)).collect::<Vec<_>>())
    };
    let keys = |model: &Model, block| {
        let site = Site::Block(block, Spot::MlpKey);
        columns(&texts.iter().map(|t| mean_at(model, t, site, 0.5)).collect::<Vec<_>>())
    };
    let ridge = |model: &Model, block: usize| {
        let k = keys(model, block);
        let c = moment(model, block);
        let sum = faer::Scale(2.0) * c + &k * k.transpose();
        (k.transpose() * inverse(&sum)).to_owned()
    };
    let first = ridge(&model, 0);
    let found = change(&delta, 0);
    // Δ = R S: R by least squares, then the second block must follow from it.
    let r = &found * first.transpose() * inverse(&(&first * first.transpose()));
    check("the first block", &found, &(&r * &first), 1e-5);
    let z = bare(&model) + faer::Scale(n_blocks as f64) * &r;
    let update = BTreeMap::from([(down(0), delta.updates[&down(0)].clone())]);
    let half = model.with_updates(&update).unwrap();
    let second = (z - bare(&half)) * ridge(&half, 1);
    check("the second block", &change(&delta, 1), &second, 1e-4);
}

#[test]
fn alphaedit_is_the_published_projected_solve_and_remembers_its_keys() {
    let model = model("llama");
    let all = two();
    let settings = json!({"blocks": "0", "mu": 0.5});
    let first = edit(&model, "alphaedit", &all[..1], &settings, 3).unwrap();
    let edited = model.with(&Arc::new(first.clone())).unwrap();
    let second = edit(&edited, "alphaedit", &all[1..], &settings, 3).unwrap();
    let words = prefixes(&second);
    let site = Site::Block(0, Spot::MlpKey);
    let key =
        |model: &Model, fact| columns(&[mean_at(model, &texts(model, fact, &words), site, 0.5)]);
    let (k, past) = (key(&edited, &all[1]), key(&edited, &all[0]));
    let stored = to_mat(&first.state["blocks.0.mlp.key.past"]).unwrap();
    check("the key that is handed on", &stored.transpose().to_owned(), &past, 1e-5);
    let c = moment(&model, 0);
    let eigen = c.self_adjoint_eigen(faer::Side::Lower).unwrap();
    let width = c.nrows();
    let small = (0..width).filter(|&i| eigen.S().column_vector()[i] < 0.2).count();
    let u = eigen.U().get(.., ..small);
    let p = u * u.transpose();
    // Δᵀ = (P (K Kᵀ + S) + L2 I)⁻¹ P K Rᵀ
    let sum = &p * (&k * k.transpose() + &past * past.transpose())
        + faer::Scale(0.5) * Mat::<f64>::identity(width, width);
    let right = (inverse(&sum) * &p * &k).transpose().to_owned();
    let found = change(&second, 0);
    let r = &found * right.transpose() * faer::Scale(1.0 / (&right * right.transpose())[(0, 0)]);
    check("alphaedit", &found, &(r * right), 1e-5);
    // Nothing but the null space is written to.
    let outside = &found - &found * &p;
    assert!(outside.norm_l2() < 1e-5 * found.norm_l2());
}

/// methods.md 1.7, consequence 3: recursive least squares.
#[test]
fn memit_with_past_keys_is_joint_ridge_regression_in_any_order() {
    let model = model("llama");
    let all = two();
    let settings = json!({"blocks": "0", "mu": 2.0, "past": true, "site": "mlp", "steps": 4});
    // Values that don't depend on the order: those of the model that has not been edited.
    let sequence = |order: [usize; 2]| {
        let mut current = model.clone();
        let mut total = Mat::<f64>::zeros(model.spec().d_model, model.spec().d_mlp);
        for i in order {
            let delta = edit(&current, "memit", &all[i..=i], &settings, 3).unwrap();
            total += change(&delta, 0);
            current = current.with(&Arc::new(delta)).unwrap();
        }
        total
    };
    // In block 0 keys don't change with its own down-projection, so `W_t` is the solution of all
    // edits so far: at each key what was written there stays, up to the softness of the constraint.
    let total = sequence([0, 1]);
    let words = vec!["The king was in".to_owned(), "Because".to_owned()];
    let site = Site::Block(0, Spot::MlpKey);
    let keys: Vec<_> =
        all.iter().map(|fact| mean_at(&model, &texts(&model, fact, &words), site, 0.5)).collect();
    let k = columns(&keys);
    let sum = faer::Scale(2.0) * moment(&model, 0) + &k * k.transpose();
    let right = k.transpose() * inverse(&sum);
    let r = &total * right.transpose() * inverse(&(&right * right.transpose()));
    check("joint ridge regression", &total, &(r * right), 1e-4);
}

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
            let edited = model.with(&Arc::new(delta.clone())).unwrap();
            assert_ne!(logits(&edited), before, "{} {name}", method.name);
            assert_eq!(logits(&edited.base()), before, "{} {name}", method.name);
            // Only down-projections move, and by no more than a direction a subject.
            if is_closed_form(method) {
                for (id, update) in &delta.updates {
                    assert_eq!(id.part, Part::Down, "{}", method.name);
                    if let Update::LowRank { left, .. } = update {
                        assert!(left.dim(1).unwrap() <= facts.len());
                    }
                }
            }
        }
    }
}

#[test]
fn an_editor_has_prefixes_written_by_the_model_at_hand() {
    let fresh = || {
        let given = json!({"steps": 3, "blocks": "0", "prefix_tokens": [4, 6]});
        (Method::find("rome").unwrap().editor)(given.as_object().unwrap().clone()).unwrap()
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
fn the_order_of_facts_does_not_matter_where_they_are_solved_together() {
    let model = model("llama");
    let mut facts = two();
    let forth = edit(&model, "memit", &facts, &json!({"blocks": "0,1"}), 3).unwrap();
    facts.reverse();
    let back = edit(&model, "memit", &facts, &json!({"blocks": "0,1"}), 3).unwrap();
    for block in [0, 1] {
        // Sums in another order.
        check("order", &change(&back, block), &change(&forth, block), 1e-3);
    }
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

#[test]
fn a_delta_that_was_written_is_the_delta_with_its_state() {
    let model = model("llama");
    let delta = edit(&model, "alphaedit", &two(), &json!({}), 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    retcon::model::delta::file::write(&delta, &path).unwrap();
    let read = retcon::model::delta::file::read(&path).unwrap();
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
    ] {
        let error = try_with(&lines, settings);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn statistics_of_too_little_text_are_refused() {
    let model = model("llama");
    let corpus = Corpus { name: "short".to_owned(), texts: vec!["the capital".to_owned()] };
    let short = Fresh { corpus, plan: Plan::default() };
    let error = with_ctx(0, &short, |ctx| short.statistics(ctx, &model, &[0])).unwrap_err();
    assert!(error.to_string().contains("at least"), "{error}");
}
