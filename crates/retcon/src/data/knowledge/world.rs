//! The set that comes with the library: what everybody knows, so that even a small model may.

use super::builder::Builder;
use super::{FactSet, OBJECT, Relation, SUBJECT, Triple, own};
use crate::data::error::{Origin, Result};
use crate::data::names::{Kind, Property, table};
use crate::data::object::Line;
use crate::data::relations::RELATIONS;

use Kind as K;
use Property as P;

/// What is taken from the lists of names: the relation's id and label, of what kind, and which column.
const FROM_NAMES: &[(&str, &str, Kind, Property)] = &[
    ("capital", "capital", K::Country, P::Capital),
    ("language", "official language", K::Country, P::Language),
    ("continent", "continent", K::Country, P::Continent),
    ("currency", "currency", K::Country, P::Currency),
    ("city-country", "country of a city", K::City, P::Country),
    ("landmark-city", "city of a landmark", K::Landmark, P::City),
    ("landmark-country", "country of a landmark", K::Landmark, P::Country),
    ("occupation", "occupation", K::Person, P::Occupation),
    ("native-language", "native language", K::Person, P::Language),
    ("instrument", "instrument", K::Musician, P::Instrument),
    ("sport", "sport", K::Athlete, P::Sport),
    ("company-country", "country of a company", K::Company, P::Country),
    ("maker", "maker of a product", K::Product, P::Maker),
    ("book-language", "language of a book", K::Book, P::Language),
    ("symbol", "chemical symbol", K::Element, P::Symbol),
];

/// What those lists lack: more facts of the same relations, and relations of its own.
const MORE: &str = include_str!("world.jsonl");

impl FactSet {
    /// The set that comes with the library: a few hundred facts that everybody knows.
    ///
    /// They are those of the built-in lists of names, and of `world.jsonl` beside this code.
    /// No relation has two facts about one subject.
    #[must_use]
    pub fn world() -> Self {
        read().expect("the set that comes with the library is well formed, as a test makes sure")
    }
}

fn read() -> Result<FactSet> {
    let mut builder = Builder::new("world");
    let origin = Origin { file: "names.rs".into(), line: 0 };
    for &(id, label, kind, property) in FROM_NAMES {
        let line = Line { text: id, origin: &origin };
        builder.relation(line, relation(id, label, kind, property))?;
        let relation = builder.index(line, id)?;
        for (subject, object) in named(kind, property) {
            builder.triple(line, Triple { relation, subject, object, ..Triple::default() })?;
        }
    }
    for (idx, text) in MORE.lines().enumerate() {
        let origin = Origin { file: "world.jsonl".into(), line: idx + 1 };
        own::add_line(&mut builder, text, &origin)?;
    }
    let mut set = builder.finish();
    // They are in no file that a user could open.
    set.triples.iter_mut().for_each(|triple| triple.origin = None);
    Ok(set)
}

/// A relation with the wordings that prompts are recognized by.
fn relation(id: &str, label: &str, kind: Kind, property: Property) -> Relation {
    let known = || {
        let all = RELATIONS.iter();
        all.filter(move |known| known.kind == kind && known.property == Some(property))
    };
    let named = |wording: &str| wording.replace("{}", SUBJECT);
    let template = |wording: &&str| format!("{} {OBJECT}.", named(wording));
    // The first has the clearest sentences; as questions all of them ask for the same.
    let templates = known().take(1).flat_map(|known| known.wordings).map(template).collect();
    let questions = known().flat_map(|known| known.questions()).map(named).collect();
    Relation { id: id.to_owned(), label: label.to_owned(), templates, questions }
}

/// The names of a kind, as they stand in a sentence, and what is known of each.
fn named(kind: Kind, property: Property) -> impl Iterator<Item = (String, String)> {
    table(kind).into_iter().flat_map(move |table| {
        table.names().filter_map(move |name| {
            let subject = if table.article { format!("the {name}") } else { name.to_owned() };
            Some((subject, table.get(name, property)?.to_owned()))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::knowledge::Wording;

    #[test]
    fn every_relation_has_wordings_and_facts() {
        let set = read().unwrap();
        assert!(set.relations.len() >= 8 && (400..700).contains(&set.triples.len()));
        for (idx, relation) in set.relations.iter().enumerate() {
            let id = &relation.id;
            let distinct: BTreeSet<_> = relation.templates.iter().collect();
            assert!(distinct.len() >= 4 && distinct.len() == relation.templates.len(), "{id}");
            assert!((0..relation.templates.len()).all(|n| relation.object_last(n)), "{id}");
            assert!(!relation.questions.is_empty(), "{id}");
            let objects = set.triples.iter().filter(|triple| triple.relation == idx);
            let objects: BTreeSet<_> = objects.map(|triple| &triple.object).collect();
            assert!(objects.len() >= 5, "{id}: {objects:?}");
        }
    }

    #[test]
    fn every_fact_is_there_once_and_well_formed() {
        let set = FactSet::world();
        let mut seen = BTreeSet::new();
        for (idx, triple) in set.triples.iter().enumerate() {
            let (name, object) = (&triple.subject, &triple.object);
            assert!(seen.insert((triple.relation, name.to_lowercase())), "{name} is there twice");
            assert!(name.trim() == name && object.trim() == object && name != object);
            for n in 0..set.relations[triple.relation].templates.len() {
                let before =
                    set.example_before(idx, object, Wording::Template(n)).unwrap().unwrap();
                let subject = before.prompt.subject_text().unwrap();
                assert_eq!(subject.to_lowercase(), name.to_lowercase());
                assert!(before.prompt.text().starts_with(|c: char| !c.is_lowercase() || c == 'i'));
            }
        }
    }

    #[test]
    fn names_stand_with_their_articles() {
        let set = FactSet::world();
        let about = |subject: &str, n| {
            let fact = set.triples.iter().position(|triple| triple.subject == subject).unwrap();
            let example = set.example(fact, "Rome", Wording::Template(n)).unwrap().unwrap();
            example.prompt.marked()
        };
        assert_eq!(
            about("the Eiffel Tower", 0),
            "{The Eiffel Tower} is located in the city of [MASK]."
        );
        assert_eq!(
            about("the Eiffel Tower", 3),
            "The city where {the Eiffel Tower} stands is [MASK]."
        );
        assert_eq!(about("iPhone", 0), "{iPhone} is a product of [MASK].");
    }
}
