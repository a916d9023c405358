//! The real data sets of edits, where `RETCON_DATA` names the folder of the public data.

use retcon::data::Axis;
use retcon::data::datasets::{Beside, Cases, Dataset, detect, read_cases};

use super::real;

/// How many questions of an axis there are.
fn n_of(cases: &Cases, axis: Axis) -> usize {
    let questions = cases.cases.iter().flat_map(|case| &case.questions);
    questions.filter(|question| question.axis == axis).count()
}

#[test]
fn real_counterfact_is_mostly_no_paraphrases() {
    let Some(path) = real("counterfact/counterfact-edit.jsonl.gz") else { return };
    assert_eq!(detect(&path).unwrap().name, "counterfact-flat");
    let found = read_cases(&path, None, &Beside::default()).unwrap();
    assert_eq!(found.cases.len() + found.left_out.len(), 8_236);
    assert!(found.cases.iter().all(|case| case.group.is_some()));
    let n_paraphrases = n_of(&found, Axis::Paraphrase);
    assert!(n_paraphrases < n_of(&found, Axis::Generation), "{n_paraphrases}");

    let patterns = real("trex/pararel_patterns.jsonl");
    let with = read_cases(&path, None, &Beside { patterns, seed: 0 }).unwrap();
    assert_eq!(with.cases.len(), found.cases.len());
    assert!(n_of(&with, Axis::Paraphrase) > 2 * with.cases.len());
}

#[test]
fn real_zsre_is_read_with_either_target() {
    let Some(path) = real("zsre/zsre.jsonl") else { return };
    assert_eq!(detect(&path).unwrap().name, "zsre");
    let mut n = Vec::new();
    for name in ["zsre", "zsre-rome"] {
        let found = read_cases(&path, Some(name), &Beside::default()).unwrap();
        assert_eq!(found.cases.len() + found.left_out.len(), 499);
        assert_eq!(n_of(&found, Axis::Unrelated), found.cases.len());
        n.push(found.cases.len());
    }
    assert_eq!(n[0], n[1]);
}

#[test]
fn real_trex_is_modified_and_written() {
    let Some(path) = real("trex") else { return };
    let found = read_cases(&path, None, &Beside::default()).unwrap();
    assert_eq!(found.cases.len() + found.left_out.len(), 30_732);
    let format = Dataset::find("cases").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.jsonl");
    std::fs::write(&file, format.write(&found.cases).unwrap().text).unwrap();
    let again = read_cases(&file, None, &Beside::default()).unwrap();
    assert_eq!(again.cases.len(), found.cases.len());
    let same = |(a, b): (&retcon::data::Case, &retcon::data::Case)| a.questions == b.questions;
    assert!(again.cases.iter().zip(&found.cases).all(same));
}
