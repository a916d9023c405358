//! Prompts whose answers an edit must leave alone, made from small lists; it asks no model.

use super::article::{Article, capital, without};
use super::fact::{Fact, Probe};
use super::general::{GENERAL, SUMS};
use super::mention::{Found, bare, find_once, mentions};
use super::names::{Table, kind_of, table};
use super::prompt::Prompt;
use super::relations::relation_of;
use super::seed::SplitMix;

/// The fact's prompt about `n` other subjects of the same kind, or as many as there are.
///
/// The choice depends on the prompt and the seed alone.
/// A probe has an answer where the relation is a known one; its answer is never the fact's new one,
/// and its subject is named neither by the prompt nor by the new answer.
/// There are none if both the relation and the subject are unknown.
#[must_use]
pub fn neighbors(fact: &Fact, n: usize, seed: u64) -> Vec<Probe> {
    let relation = relation_of(&fact.prompt);
    let kind = relation.map(|relation| relation.kind).or_else(|| kind_of(fact.subject()));
    let Some(table) = kind.and_then(table) else {
        return Vec::new();
    };
    if find_once(fact.prompt.text(), fact.subject()) == Found::Often {
        return Vec::new();
    }
    let property = relation.and_then(|relation| relation.property);
    let probes = table.names().filter(|name| is_apart(fact, name)).filter_map(|name| {
        let answer = match property {
            Some(property) => Some(table.get(name, property)?.to_owned()),
            None => None,
        };
        Some(Probe { prompt: about(&fact.prompt, name, table), answer })
    });
    let is_new = |answer: &String| bare(answer) == bare(&fact.target_new);
    let probes = probes.filter(|probe| !probe.answer.as_ref().is_some_and(is_new));
    let given = |probe: &Probe| fact.neighbors.iter().any(|other| other.prompt == probe.prompt);
    let probes = probes.filter(|probe| !given(probe)).collect();
    SplitMix::new(seed, fact.prompt.text()).pick(probes, n)
}

/// `n` prompts of general knowledge and plain text, code and sums, or as many as there are.
///
/// Those that name a subject or a new answer of `facts` are left out.
#[must_use]
pub fn unrelated(facts: &[Fact], n: usize, seed: u64) -> Vec<Probe> {
    let touched = |text: &str| {
        facts.iter().any(|fact| mentions(text, fact.subject()) || mentions(text, &fact.target_new))
    };
    let apart = GENERAL.iter().filter(|(prompt, answer)| !touched(prompt) && !touched(answer));
    let probes = apart.map(|(prompt, answer)| Probe {
        prompt: (*prompt).to_owned(),
        answer: (!answer.is_empty()).then(|| (*answer).to_owned()),
    });
    SplitMix::new(seed, "unrelated").pick(probes.collect(), n)
}

/// Sums, small ones.
#[must_use]
pub fn sums() -> Vec<Probe> {
    let probe = |(prompt, answer): &(&str, &str)| Probe {
        prompt: (*prompt).to_owned(),
        answer: Some((*answer).to_owned()),
    };
    SUMS.iter().map(probe).collect()
}

/// The answer that is commonly true, where both the relation and the subject are known ones.
#[must_use]
pub fn known_answer(prompt: &Prompt) -> Option<&'static str> {
    let relation = relation_of(prompt)?;
    table(relation.kind)?.get(prompt.subject_text()?, relation.property?)
}

/// Whether a name has nothing to do with a fact.
fn is_apart(fact: &Fact, name: &str) -> bool {
    !mentions(fact.prompt.text(), name)
        && !mentions(name, fact.subject())
        && !mentions(&fact.target_new, name)
        && !mentions(name, &fact.target_new)
}

/// The text of a prompt about another name, with an article where the new name takes one.
fn about(prompt: &Prompt, name: &str, table: &Table) -> String {
    let text = prompt.text();
    let range = prompt.subject().unwrap_or_default();
    let (before, old, after) = (&text[..range.start], &text[range.clone()], &text[range.end..]);
    let (before, name) = match (Article::of(prompt), table.article) {
        (Article::Before, false) => (without(before), name.to_owned()),
        (Article::Within, true) => (before, format!("{} {name}", &old[..3])),
        _ => (before, name.to_owned()),
    };
    let was_capital = text.starts_with(char::is_uppercase);
    match before.is_empty() && was_capital && !name.contains(char::is_uppercase) {
        true => format!("{}{after}", capital(&name)),
        false => format!("{before}{name}{after}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::paraphrases;

    fn fact(line: &str) -> Fact {
        Fact::parse(line).unwrap()
    }

    #[track_caller]
    fn check(line: &str, prompt: &str, answer: Option<&str>) {
        let expected = Probe { prompt: prompt.into(), answer: answer.map(str::to_owned) };
        let found = neighbors(&fact(line), 99, 0);
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }

    #[track_caller]
    fn lack(line: &str, words: &str) {
        let found = neighbors(&fact(line), 99, 0);
        let named = |text: &str| mentions(text, words);
        assert!(
            !found
                .iter()
                .any(|probe| named(&probe.prompt) || probe.answer.as_deref().is_some_and(named))
        );
    }

    #[test]
    fn other_subjects_come_with_their_answers() {
        check("The capital of {France} is => Berlin", "The capital of Spain is", Some("Madrid"));
        check("The capital of {Zog} is => Berlin", "The capital of Spain is", Some("Madrid"));
        check(
            "{France}'s capital is [MASK]. => Berlin",
            "Spain's capital is [MASK].",
            Some("Madrid"),
        );
        check("The {Eiffel Tower} is in => Rome", "The Kremlin is in", Some("Moscow"));
        check("{The Eiffel Tower} is in => Rome", "The Kremlin is in", Some("Moscow"));
        check("{Louvre} is in => Rome", "Kremlin is in", Some("Moscow"));
        check(
            "The capital of the {Netherlands} is => Rome",
            "The capital of Spain is",
            Some("Madrid"),
        );
        check("{Gold} has the color => blue", "Silver has the color", None);
        check("The president of {France} is => Pele", "The president of Spain is", None);
        check("My friend from {France} likes => tea", "My friend from Spain likes", None);
    }

    #[test]
    fn nothing_of_the_fact_is_asked() {
        lack("The capital of {France} is => Berlin", "France");
        lack("The capital of {France} is => Berlin", "Berlin");
        lack("The capital of {France} is => a town in Spain", "Spain");
        lack("The capital of {the United States} is => Rome", "United States");
        assert_eq!(neighbors(&fact("The color of {Zog} is => red"), 9, 0), []);
        assert_eq!(neighbors(&fact("{Rome} is Rome, in => Peru"), 9, 0), []);
    }

    #[test]
    fn the_seed_decides() {
        let fact = fact("The capital of {France} is => Berlin");
        assert_eq!(neighbors(&fact, 5, 1), neighbors(&fact, 5, 1));
        assert_ne!(neighbors(&fact, 5, 1), neighbors(&fact, 5, 2));
        assert_eq!(unrelated(&[], 9, 1), unrelated(&[], 9, 1));
        assert_eq!(unrelated(&[], 9, 1).len(), 9);
    }

    #[test]
    fn a_neighbor_that_is_given_is_not_made_again() {
        let mut fact = fact("The capital of {France} is => Berlin");
        fact.neighbors = neighbors(&fact, 5, 1);
        let made = neighbors(&fact, 99, 1);
        assert!(fact.neighbors.iter().all(|given| !made.contains(given)));
    }

    #[test]
    fn unrelated_prompts_leave_the_facts_out() {
        let facts = [fact("The color of {snow} is => green")];
        let all = unrelated(&facts, 999, 0);
        assert!(
            all.len() < GENERAL.len() && all.iter().all(|probe| !mentions(&probe.prompt, "snow"))
        );
    }

    #[test]
    fn common_answers_are_known() {
        let answer = |marked| known_answer(&Prompt::parse(marked).unwrap());
        assert_eq!(answer("The capital of {France} is"), Some("Paris"));
        assert_eq!(answer("{Paris} is located in"), Some("France"));
        assert_eq!(answer("Who wrote {Hamlet}?"), Some("William Shakespeare"));
        assert_eq!(answer("The capital of {Zog} is"), None);
    }

    proptest! {
        #[test]
        fn no_fact_panics(
            before in "(The |the |In the )?[a-zé ]{0,4}",
            subject in "(The |THE |the )?[A-Zé]{1,3}",
            after in "( is| plays|'s capital is)?( \\[MASK\\])?[?.]?",
        ) {
            let text = format!("{before}{{{subject}}}{after}");
            let fact = Fact::new(Prompt::parse(&text).unwrap(), "b").unwrap();
            for probe in neighbors(&fact, 99, 0) {
                prop_assert!(probe.prompt != fact.prompt.text());
            }
            for paraphrase in paraphrases(&fact.prompt, 99) {
                let name = paraphrase.subject_text().unwrap_or_default().to_lowercase();
                prop_assert_eq!(name, fact.subject().to_lowercase());
            }
        }
    }
}
