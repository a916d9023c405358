//! What holds for all data sets: no input makes a reader panic, and what they read can be written.

use proptest::prelude::*;

use super::sample::{again, placeless};
use super::*;

/// Words of which records are made that are almost right.
const KEYS: &[&str] = &[
    "case_id",
    "prompt",
    "subject",
    "target_new",
    "target_true",
    "ground_truth",
    "rephrase_prompt",
    "locality_prompt",
    "locality_ground_truth",
    "requested_rewrite",
    "paraphrase_prompts",
    "str",
    "questions",
    "new_answer",
    "new_single_hops",
    "edit",
    "edits",
    "src",
    "alt",
    "answers",
    "loc",
    "relation",
    "relation_id",
    "portability",
    "locality",
    "Reasoning",
    "target_id",
    "subject_id",
    "test_queries",
    "value",
    "id",
    "axis",
    "templates",
    "object",
    "tests",
    "cloze",
    "answer",
];

fn some_value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop::sample::select(vec![
        "a",
        "a is",
        "{} is",
        "{a}",
        "",
        "é[MASK]",
        "[X] is [Y].",
        "all",
    ]);
    let leaf = prop_oneof![
        4 => text.prop_map(serde_json::Value::from),
        1 => (0..3).prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 60, 12, |inner| {
        let key = prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
        let map = prop::collection::btree_map(key, inner.clone(), 0..12);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(serde_json::Value::from),
            map.prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn read_all(text: &str) {
    for dataset in DATASETS {
        if let Reader::File(read) = dataset.read {
            let file = TextFile { path: "f".into(), text: text.to_owned() };
            if let Ok(found) = read(&file, &Beside::default()) {
                let cases = placeless(found.cases);
                assert_eq!(again("cases", &cases), cases, "{}", dataset.name);
            }
        }
    }
    let _ = detect::of(&TextFile { path: "f".into(), text: text.to_owned() });
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"(\[|\{"src":"a")?[\{\}\[\]",:abé \n]*"#) {
        read_all(&text);
    }

    #[test]
    fn no_record_panics(record in some_value()) {
        read_all(&record.to_string());
    }
}

#[test]
fn names_are_one_each_and_keys_are_told() {
    for (idx, dataset) in DATASETS.iter().enumerate() {
        assert!(DATASETS[..idx].iter().all(|other| other.name != dataset.name));
        assert!(!dataset.keys.is_empty() && !dataset.source.is_empty());
        assert_eq!(Dataset::find(dataset.name).unwrap().name, dataset.name);
    }
}

#[test]
fn a_format_that_is_read_alone_is_not_written() {
    assert_eq!(
        Dataset::find("ripple").unwrap().write(&[]).unwrap_err().to_string(),
        "a format that is read alone: write one of cases, counterfact, counterfact-flat, facts, \
         found: ripple"
    );
}

#[test]
fn what_a_format_can_t_hold_is_told() {
    let world = read_cases("world".as_ref(), None, &Beside::default()).unwrap();
    let case = world.cases.iter().find(|case| case.questions.len() > 4).unwrap();
    let written = Dataset::find("counterfact-flat").unwrap().write(std::slice::from_ref(case));
    let lost = written.unwrap().lost;
    assert!(lost.contains_key("neighbor"), "{lost:?}");
    assert!(Dataset::find("cases").unwrap().write(&world.cases).unwrap().lost.is_empty());
}

#[test]
fn so_many_are_drawn_in_their_order() {
    let world = read_cases("world".as_ref(), None, &Beside::default()).unwrap();
    let draw = |n, seed| {
        let mut some = world.clone();
        some.draw(n, seed);
        some.cases
    };
    assert_eq!(draw(9, 1), draw(9, 1));
    assert_ne!(draw(9, 1), draw(9, 2));
    let ids: Vec<usize> = draw(9, 1).iter().map(|case| case.id.parse().unwrap()).collect();
    assert!(ids.len() == 9 && ids.is_sorted());
    assert_eq!(draw(100_000, 1), world.cases);
}
