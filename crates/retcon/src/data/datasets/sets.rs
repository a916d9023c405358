//! Sets of facts as cases: each fact gets a new object of its relation, drawn by the seed.

use std::collections::BTreeMap;
use std::path::Path;

use super::asked::fact;
use super::collect::Collected;
use super::patterns::N_PARAPHRASES;
use super::{Cases, Dataset, Reader};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::{Error, Origin, Result};
use crate::data::knowledge::{FactSet, Modified, Wording};
use crate::data::object::Line;
use crate::data::prompt::Prompt;
use crate::data::seed::SplitMix;

/// So many neighbors a case at most, as the original CounterFact has.
const N_NEIGHBORS: usize = 10;

const KEYS: &[(&str, &str)] = &[
    ("a fact", "a case: its subject, and its object as the old one; its relation is the group"),
    ("other objects of the relation", "the new object, drawn"),
    ("templates that end with the object", "the edited prompt, and up to 4 paraphrases, drawn"),
    ("other facts of the relation", "up to 10 neighbors, drawn, with their objects"),
    ("evidences, questions", "nothing"),
];

pub(super) const TREX: Dataset = Dataset {
    name: "trex",
    summary: "Facts without new objects, which are drawn: T-REx's, LAMA's, or a set of ours",
    source: "Elsahar et al. 2018, LREC; Petroni et al. 2019, arXiv:1909.01066",
    keys: KEYS,
    marks: &[&["relation", "templates"]],
    read: Reader::Set(|path, beside| cases(&FactSet::read(path)?, path, beside.seed)),
    write: None,
};

pub(super) const OWN: Dataset = Dataset {
    name: "own",
    summary: "The facts that come with the library, also under the path `world`",
    source: "docs/formats.md",
    keys: KEYS,
    marks: &[],
    read: Reader::Set(|path, beside| match path == Path::new(super::detect::WORLD) {
        true => cases(&FactSet::world(), path, beside.seed),
        false => Err(Error::NotOwn { path: path.to_owned() }),
    }),
    write: None,
};

fn cases(set: &FactSet, path: &Path, seed: u64) -> Result<Cases> {
    let modify = set.modifier(seed);
    let known = of_relations(set);
    let mut collected = Collected::of(path.to_owned());
    for idx in 0..set.triples.len() {
        let unknown = Origin { file: path.to_owned(), line: idx + 1 };
        let origin = set.triples[idx].origin.clone().unwrap_or(unknown);
        let case = modify(idx).and_then(|modified| case(set, &known, &modified, seed));
        collected.push(Line { text: "", origin: &origin }, case)?;
    }
    collected.finish()
}

/// The facts of each relation.
fn of_relations(set: &FactSet) -> BTreeMap<usize, Vec<usize>> {
    let mut known = BTreeMap::<_, Vec<usize>>::new();
    for (idx, triple) in set.triples.iter().enumerate() {
        known.entry(triple.relation).or_default().push(idx);
    }
    known
}

fn case(
    set: &FactSet,
    known: &BTreeMap<usize, Vec<usize>>,
    modified: &Modified,
    seed: u64,
) -> Result<Case> {
    let Modified { fact: idx, object } = modified;
    let (triple, relation) = set.fact(*idx)?;
    let mut prompts = prompts(set, *idx)?.into_iter();
    let lacks = || Error::ObjectNotLast { relation: relation.id.clone() };
    let prompt = prompts.next().ok_or_else(lacks)?;
    let edit = fact(prompt, object, Some(&triple.object))?;
    let mut case = Case { group: Some(relation.id.clone()), ..Case::of(idx.to_string(), edit) };
    let draw = |what: &str| SplitMix::new(seed, &format!("{what}\t{idx}"));
    for prompt in draw("paraphrases").pick(prompts.collect(), N_PARAPHRASES) {
        let question = Question::new(Axis::Paraphrase, prompt).answered(object);
        case.questions.push(question.against(Some(&triple.object)));
    }
    let is_other = |&&other: &&usize| {
        let other = &set.triples[other];
        other.subject != triple.subject && other.object != *object
    };
    let others = known.get(&triple.relation).into_iter().flatten().filter(is_other).copied();
    for other in draw("neighbors").pick(others.collect(), N_NEIGHBORS) {
        case.questions.extend(neighbor(set, other, object)?);
    }
    Ok(case)
}

/// A fact in all wordings that end with its object, each once.
fn prompts(set: &FactSet, fact: usize) -> Result<Vec<Prompt>> {
    let (triple, relation) = set.fact(fact)?;
    let mut found: Vec<Prompt> = Vec::new();
    for template in (0..relation.templates.len()).filter(|&n| relation.object_last(n)) {
        let example = set.example_before(fact, &triple.object, Wording::Template(template))?;
        let prompt = example.map(|example| example.prompt);
        found.extend(prompt.filter(|new| found.iter().all(|known| known.text() != new.text())));
    }
    Ok(found)
}

fn neighbor(set: &FactSet, fact: usize, new: &str) -> Result<Option<Question>> {
    let triple = &set.triples[fact];
    let prompt = prompts(set, fact)?.into_iter().next();
    let ask = |prompt| Question::new(Axis::Neighbor, prompt).answered(&triple.object);
    Ok(prompt.map(|prompt| ask(prompt).against(Some(new))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::sample::{left_out, questions, read};
    use super::super::{Beside, read_cases};
    use super::*;

    const SET: &str = r#"{"relation":"home","templates":["[X] lives in [Y].","The home of [X] is [Y].","[Y] is where [X] lives."]}
        {"relation":"food","templates":["[X] eats [Y]."]}
        {"relation":"home","subject":"Ann","object":"Rome"}
        {"relation":"home","subject":"Bo","object":"Oslo"}
        {"relation":"food","subject":"Ann","object":"rice"}"#;

    #[test]
    fn a_fact_gets_another_object_and_the_others_are_neighbors() {
        let found = read("trex", SET).unwrap();
        assert_eq!(
            questions(&found.cases[0]),
            [
                "rewrite: {Ann} lives in => Oslo !Rome",
                "paraphrase: The home of {Ann} is => Oslo !Rome",
            ]
        );
        assert_eq!(found.cases[0].group.as_deref(), Some("home"));
        assert_eq!(
            left_out(&found),
            "no other object to draw in the relation \"food\" for \"Ann\": leave the fact out, \
             or give it an object"
        );
        assert_eq!(found.left_out[0].0.line, 5);
    }

    #[test]
    fn the_facts_of_the_library_are_all_cases() {
        let read = |seed| {
            let beside = Beside { seed, ..Beside::default() };
            read_cases(Path::new("world"), None, &beside).unwrap()
        };
        let found = read(1);
        assert_eq!(found.cases.len() + found.left_out.len(), FactSet::world().triples.len());
        assert_eq!(found, read(1));
        assert_ne!(found, read(2));
        for case in &found.cases {
            let texts = case.questions.iter().map(|question| question.prompt.text());
            assert_eq!(texts.collect::<BTreeSet<_>>().len(), case.questions.len());
            let new = case.edits[0].target_new.as_str();
            let of_axis = |axis| case.questions.iter().filter(move |asked| asked.axis == axis);
            assert!(of_axis(Axis::Paraphrase).all(|asked| asked.answer() == Some(new)));
            assert!(of_axis(Axis::Neighbor).all(|asked| asked.answer() != Some(new)));
            assert!(of_axis(Axis::Neighbor).count() <= N_NEIGHBORS);
        }
    }
}
