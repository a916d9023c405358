//! A memory of facts: what it adds to a prediction, as its formulas say it, and what it refuses.

use std::sync::Arc;

use candle_core::{D, Tensor};
use retcon_kernels::autograd::Var;
use retcon_model::{Batch, Entry, Error, FactMemory, Model, Part, WeightId};

fn memory() -> FactMemory {
    let entry =
        |subject, relation, object: &[u32]| Entry { subject, relation, object: object.to_vec() };
    FactMemory {
        subjects: vec![vec![11], vec![12, 13]],
        relations: vec![vec![20], vec![21, 22]],
        entries: vec![entry(0, 0, &[7]), entry(1, 0, &[8, 9]), entry(1, 1, &[10, 6])],
    }
}

/// `bert` with a memory, and what enters its unembedding at three rows.
fn looked_up(facts: FactMemory) -> (Model, Tensor) {
    let model = crate::model("bert").with_memory(Arc::new(facts), 3).unwrap();
    let batch = Batch::new([vec![2, 5, 4, 4, 3], vec![2, 4, 9, 3]]).unwrap();
    let x = model.run(&batch, &[2, 3, 6], &mut ()).unwrap();
    (model, x.into_value())
}

/// Two rows for an object of two tokens, and one for another object.
const PLACES: [usize; 3] = [0, 1, 0];

fn softmax(scores: &Tensor) -> Tensor {
    let exp = scores.broadcast_sub(&scores.max_keepdim(D::Minus1).unwrap()).unwrap().exp().unwrap();
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1).unwrap()).unwrap()
}

/// The rows of `x` with the memory mixed in, fact by fact.
fn by_the_formulas(model: &Model, x: &Tensor) -> Vec<Vec<f32>> {
    let weight =
        |part| model.weight(WeightId::global(part)).unwrap().to_tensor(x.device()).unwrap();
    let [subjects, relations] = [Part::MemorySubject, Part::MemoryRelation].map(weight);
    let [query, value, embed] = [Part::MemoryQuery, Part::MemoryValue, Part::Embed].map(weight);
    let facts = model.memory().unwrap();
    let row = |table: &Tensor, row: usize| table.get(row).unwrap();
    let mut rows = Vec::new();
    for (i, &place) in PLACES.iter().enumerate() {
        let x = x.get(i).unwrap().unsqueeze(0).unwrap();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for entry in facts.entries.iter().filter(|entry| entry.object.len() > place) {
            keys.push((row(&subjects, entry.subject) + row(&relations, entry.relation)).unwrap());
            values.push(row(&embed, entry.object[place] as usize));
        }
        keys.push((row(&subjects, 2) + row(&relations, 2)).unwrap());
        values.push(row(&embed, 0).zeros_like().unwrap());
        let (keys, values) = (Tensor::stack(&keys, 0).unwrap(), Tensor::stack(&values, 0).unwrap());
        let asked = x.matmul(&query.t().unwrap()).unwrap();
        let found = softmax(&asked.matmul(&keys.t().unwrap()).unwrap()).matmul(&values).unwrap();
        let mixed = (x + found.matmul(&value.t().unwrap()).unwrap()).unwrap();
        rows.push(mixed.flatten_all().unwrap().to_vec1().unwrap());
    }
    rows
}

#[test]
fn what_is_found_is_mixed_in_as_the_formulas_say() {
    let (model, x) = looked_up(memory());
    let recalled = model.recall(&Var::constant(x.clone()), &PLACES).unwrap().unwrap();
    let expected = by_the_formulas(&model, &x);
    for (found, expected) in recalled.x.value().to_vec2::<f32>().unwrap().iter().zip(&expected) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
    assert_ne!(recalled.x.value().to_vec2::<f32>().unwrap(), x.to_vec2::<f32>().unwrap());
    assert_eq!(recalled.keys.value().dims(), [4, model.spec().d_embed()]);
    assert!(crate::model("bert").recall(&Var::constant(x), &PLACES).unwrap().is_none());
}

#[test]
fn another_object_changes_only_what_asks_for_its_place() {
    let (model, x) = looked_up(memory());
    let mut facts = memory();
    facts.entries[2].object[1] = 30;
    let rewritten = model.with_facts(Arc::new(facts)).unwrap();
    let rows = |model: &Model| {
        let recalled = model.recall(&Var::constant(x.clone()), &PLACES).unwrap().unwrap();
        recalled.x.value().to_vec2::<f32>().unwrap()
    };
    let (before, after) = (rows(&model), rows(&rewritten));
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
    assert_ne!(before[1], after[1]);
}

#[test]
fn gradients_reach_all_of_it() {
    let (model, x) = looked_up(memory());
    let parts = [Part::MemorySubject, Part::MemoryRelation, Part::MemoryQuery, Part::MemoryValue];
    let ids = parts.map(WeightId::global);
    let vars = ids.map(|id| {
        let weight = model.weight(id).unwrap().to_tensor(x.device()).unwrap();
        Var::unknown(weight)
    });
    let open = model.with_unknowns(&ids.into_iter().zip(vars.clone()).collect()).unwrap();
    let recalled = open.recall(&Var::constant(x), &PLACES).unwrap().unwrap().x;
    let start = recalled.value().ones_like().unwrap();
    for gradient in recalled.gradients_from(start, &vars.iter().collect::<Vec<_>>()).unwrap() {
        let sum: f32 = gradient.abs().unwrap().sum_all().unwrap().to_scalar().unwrap();
        assert!(sum > 0.0 && sum.is_finite());
    }
}

#[test]
fn a_memory_that_does_not_hold_together_is_refused() {
    let with = |change: fn(&mut FactMemory)| {
        let mut facts = memory();
        change(&mut facts);
        let error = crate::model("bert").with_memory(Arc::new(facts), 0).unwrap_err();
        assert!(matches!(error, Error::BadMemory { .. }), "{error}");
        error.to_string()
    };
    assert!(with(|facts| facts.entries[1].subject = 2).contains("entry 1"));
    assert!(with(|facts| facts.entries[2].object.clear()).contains("entry 2"));
    assert!(with(|facts| facts.relations[0].clear()).contains("relation 0"));
    let (model, _) = looked_up(memory());
    let mut other = memory();
    other.subjects.push(vec![14]);
    assert!(model.with_facts(Arc::new(other)).is_err());
}
