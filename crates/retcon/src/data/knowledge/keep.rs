//! Which facts of a set to keep; what is left out is remembered where it is true.

use std::collections::{BTreeMap, BTreeSet};

use super::{FactSet, Triple};
use crate::data::mention::bare;

impl Triple {
    /// Whether an object is true of the subject, as far as is known; capitals and articles don't count.
    #[must_use]
    pub fn is_true(&self, object: &str) -> bool {
        let object = bare(object);
        self.also.iter().chain([&self.object]).any(|known| bare(known) == object)
    }

    /// What facts of the same relation and subject share.
    pub(super) fn key(&self) -> (usize, String) {
        (self.relation, self.subject.to_lowercase())
    }

    /// Whether one label contains the other, so that the object can be guessed from the subject.
    fn tells_itself(&self) -> bool {
        let (subject, object) = (self.subject.to_lowercase(), self.object.to_lowercase());
        subject.contains(&object) || object.contains(&subject)
    }
}

impl FactSet {
    /// Keeps the facts that `keep` wants.
    ///
    /// Those that stay keep in mind the objects that go, so that no such object is drawn as a wrong one.
    pub fn retain(&mut self, keep: impl FnMut(&Triple) -> bool) {
        self.remember();
        self.triples.retain(keep);
    }

    /// Keeps one fact of each relation and subject, the first whose labels do not contain each other.
    ///
    /// The second condition is that of LAMA-UHN (Poerner et al. 2020): names that give the answer away test no memory.
    /// Capitals don't count in either.
    pub fn unique_subjects(&mut self) {
        let mut seen = BTreeSet::new();
        self.retain(|triple| !triple.tells_itself() && seen.insert(triple.key()));
    }

    /// Tells each fact the other objects of its relation and subject.
    fn remember(&mut self) {
        let truths = self.truths();
        for triple in &mut self.triples {
            for object in truths.get(&triple.key()).into_iter().flatten() {
                if !triple.is_true(object) {
                    triple.also.push(object.clone());
                }
            }
        }
    }

    /// Every object that is true of a relation and subject.
    pub(super) fn truths(&self) -> BTreeMap<(usize, String), Vec<String>> {
        let mut truths = BTreeMap::<_, Vec<String>>::new();
        for triple in &self.triples {
            let known = truths.entry(triple.key()).or_default();
            known.extend(triple.also.iter().chain([&triple.object]).cloned());
        }
        truths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(facts: &[(&str, &str)]) -> FactSet {
        let triple = |&(subject, object): &(&str, &str)| Triple {
            subject: subject.to_owned(),
            object: object.to_owned(),
            ..Triple::default()
        };
        FactSet { triples: facts.iter().map(triple).collect(), ..FactSet::default() }
    }

    fn labels(set: &FactSet) -> Vec<(&str, &str)> {
        set.triples.iter().map(|triple| (&*triple.subject, &*triple.object)).collect()
    }

    #[test]
    fn the_first_object_of_a_subject_stays() {
        let mut set = set(&[
            ("Ann", "Annaberg"),
            ("Ann", "Rome"),
            ("ann", "Oslo"),
            ("Ann", "Rome"),
            ("New York City", "york"),
            ("Bo", "Oslo"),
        ]);
        set.unique_subjects();
        assert_eq!(labels(&set), [("Ann", "Rome"), ("Bo", "Oslo")]);
        assert!(set.triples[0].is_true("the oslo") && set.triples[0].is_true("Annaberg"));
        assert!(!set.triples[1].is_true("Rome"));
    }

    #[test]
    fn what_goes_is_remembered() {
        let mut set = set(&[("Ann", "Rome"), ("Ann", "Oslo"), ("Bo", "Bonn")]);
        set.retain(|triple| triple.object != "Oslo");
        assert_eq!(labels(&set), [("Ann", "Rome"), ("Bo", "Bonn")]);
        assert_eq!(set.triples[0].also, ["Oslo"]);
        assert!(set.triples[1].also.is_empty());
    }
}
