//! The real sets of facts, where `RETCON_DATA` names the folder of the public data.

use retcon::data::knowledge::{Choice, FactSet, Modified, Wording};

use super::real;

#[test]
fn real_trex_is_read() {
    let Some(path) = real("trex") else { return };
    let mut set = FactSet::read(&path).unwrap();
    assert_eq!((set.triples.len(), set.relations.len()), (30_732, 36));
    let n_evidences: usize = set.triples.iter().map(|triple| triple.evidences.len()).sum();
    assert_eq!(n_evidences, 44_966);
    assert!(set.relations.iter().filter(|relation| relation.questions.len() == 1).count() == 24);

    set.unique_subjects();
    // As a script of a few lines counts them.
    assert_eq!(set.triples.len(), 24_281);
    // Every wording of every fact is a prompt, and those up to the object are those that end in it.
    let mut n_marked = 0;
    for (fact, triple) in set.triples.iter().enumerate() {
        let relation = &set.relations[triple.relation];
        for n in 0..relation.templates.len() {
            let wording = Wording::Template(n);
            assert!(set.example(fact, &triple.object, wording).unwrap().is_some());
            let before = set.example_before(fact, &triple.object, wording).unwrap();
            assert_eq!(before.is_some(), relation.object_last(n), "{}", relation.templates[n]);
        }
        for n in 0..triple.evidences.len() {
            let example = set.example(fact, &triple.object, Wording::Evidence(n)).unwrap().unwrap();
            n_marked += usize::from(example.prompt.subject().is_some());
            assert_eq!(example.object, triple.evidences[n].object);
        }
    }
    assert!(n_marked > 20_000, "{n_marked}");

    let chosen = set.choose(&Choice::Count(2_000), 0).unwrap();
    let modified = set.modify(&chosen, 0).unwrap();
    for Modified { fact, object } in &modified {
        assert!(!set.triples[*fact].is_true(object));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modified.jsonl");
    std::fs::write(&path, set.modified_to_jsonl(&modified).unwrap()).unwrap();
    assert_eq!(set.read_modified(&path).unwrap(), modified);
}

#[test]
fn real_zsre_is_read() {
    let Some(path) = real("zsre/zsre.jsonl") else { return };
    let set = FactSet::read(&path).unwrap();
    assert_eq!(set.triples.len(), 499);
    let modified = set.read_modified(&path).unwrap();
    assert_eq!(modified.len(), 499);
    for Modified { fact, object } in &modified {
        for n in 0..2 {
            let example = set.example_before(*fact, object, Wording::Question(n)).unwrap().unwrap();
            assert_eq!(example.prompt.subject_text(), Some(&*set.triples[*fact].subject));
        }
    }
}
