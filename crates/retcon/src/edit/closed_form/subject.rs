//! The edits of one subject, in tokens: everything that its value has to be right for.

use std::collections::BTreeMap;

use retcon_model::Model;
use serde::{Deserialize, Serialize};

use super::prefixes::situations;
use crate::data::{Fact, Prompt};
use crate::error::{Error, Result};
use crate::tokens::{Query, query};

/// Facts that share one value: those about one subject (MEMIT-Merge, arXiv 2502.07322), and those that
/// are written at the same key because their prompts are the same as far as it sees them.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// The facts, by index.
    pub facts: Vec<usize>,
    /// Each of them bare and behind every prefix.
    pub situations: Vec<Situation>,
    /// `{subject} is a`, whose next token is not to change.
    pub essence: Situation,
}

/// A text in tokens.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The text, and what it should say.
    pub query: Query,
    /// The position of the subject's last token.
    pub lookup: usize,
    /// Whether nothing stands before the prompt.
    pub bare: bool,
}

/// How situations are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// All count alike.
    All,
    /// The bare prompts count as much as all others.
    Halves,
}

impl Subject {
    /// The facts by subject and key, in the order in which these come first; each fact by itself where
    /// they are not to be merged.
    ///
    /// # Errors
    /// [`Error::SubjectNotFound`] where a prompt has no token of its subject, [`Error::Contradiction`]
    /// where a prompt is given two objects, [`Error::Repeated`] where it is given one twice; and those
    /// of [`query`].
    pub fn of(
        model: &Model,
        facts: &[Fact],
        merged: bool,
        prefixes: &[String],
    ) -> Result<Vec<Self>> {
        if facts.is_empty() {
            return Err(Error::NoFacts);
        }
        check_distinct(facts)?;
        let groups = match merged {
            true => groups(model, facts)?,
            false => (0..facts.len()).map(|fact| vec![fact]).collect(),
        };
        groups.into_iter().map(|group| Self::one(model, facts, group, prefixes)).collect()
    }

    fn one(model: &Model, facts: &[Fact], of: Vec<usize>, prefixes: &[String]) -> Result<Self> {
        let mut all = Vec::new();
        for fact in of.iter().map(|&i| &facts[i]) {
            for (i, prompt) in situations(&fact.prompt, prefixes)?.iter().enumerate() {
                all.push(Situation::new(model, prompt, &fact.target_new, i == 0)?);
            }
        }
        let first = &facts[of[0]];
        let essence = Prompt::fill("{} is a", first.subject())?;
        // What it says next doesn't matter, only where.
        let mut essence = Situation::new(model, &essence, &first.target_new, true)?;
        if model.spec().is_causal() {
            essence.query.ids.truncate(essence.lookup + 1);
            essence.query.at = vec![essence.lookup as u32];
        } else {
            essence.query.at.truncate(1);
        }
        essence.query.object.truncate(1);
        Ok(Self { name: first.subject().to_owned(), facts: of, situations: all, essence })
    }

    /// How much each situation counts; the sum is 1.
    #[must_use]
    pub fn weights(&self, average: Average) -> Vec<f64> {
        let n_bare = self.situations.iter().filter(|situation| situation.bare).count();
        let n = self.situations.len();
        let weight = |situation: &Situation| match (average, n - n_bare) {
            (Average::All, _) | (_, 0) => 1.0 / n as f64,
            (Average::Halves, _) if situation.bare => 0.5 / n_bare as f64,
            (Average::Halves, n_others) => 0.5 / n_others as f64,
        };
        self.situations.iter().map(weight).collect()
    }

    /// As [`Subject::weights`], for the bare prompts alone.
    #[must_use]
    pub fn bare_weights(&self) -> Vec<f64> {
        let n_bare = self.situations.iter().filter(|situation| situation.bare).count();
        let weight = |situation: &Situation| if situation.bare { 1.0 / n_bare as f64 } else { 0.0 };
        self.situations.iter().map(weight).collect()
    }
}

impl Situation {
    fn new(model: &Model, prompt: &Prompt, object: &str, bare: bool) -> Result<Self> {
        let query = query(model, prompt, object)?;
        let found = query.subject.clone().filter(|subject| !subject.is_empty());
        let Some(subject) = found else {
            return Err(Error::SubjectNotFound { prompt: prompt.marked() });
        };
        let (n, limit) = (query.ids.len(), model.spec().n_positions);
        if n > limit {
            return Err(Error::PromptTooLong { prompt: prompt.marked(), n, limit });
        }
        Ok(Self { lookup: subject.end - 1, query, bare })
    }

    /// All that the key at the lookup follows from.
    fn seen(&self, model: &Model) -> &[u32] {
        match model.spec().is_causal() {
            true => &self.query.ids[..=self.lookup],
            false => &self.query.ids,
        }
    }
}

/// The facts that share a value, by index.
fn groups(model: &Model, facts: &[Fact]) -> Result<Vec<Vec<usize>>> {
    // The first fact of the group of each.
    let mut first: Vec<usize> = Vec::new();
    let (mut of_subject, mut of_key) = (BTreeMap::new(), BTreeMap::new());
    for (i, fact) in facts.iter().enumerate() {
        first.push(i);
        let bare = Situation::new(model, &fact.prompt, &fact.target_new, true)?;
        let same_subject = *of_subject.entry(fact.subject()).or_insert(i);
        let same_key = *of_key.entry(bare.seen(model).to_vec()).or_insert(i);
        for same in [same_subject, same_key] {
            let (into, from) = (first[same].min(first[i]), first[same].max(first[i]));
            if into < from {
                first.iter_mut().filter(|first| **first == from).for_each(|first| *first = into);
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    first.into_iter().enumerate().for_each(|(i, first)| groups.entry(first).or_default().push(i));
    Ok(groups.into_values().collect())
}

fn check_distinct(facts: &[Fact]) -> Result<()> {
    for (i, fact) in facts.iter().enumerate() {
        let same = |other: &&Fact| other.prompt.text() == fact.prompt.text();
        let Some(other) = facts[..i].iter().find(same) else { continue };
        let prompt = fact.prompt.marked();
        if other.target_new == fact.target_new {
            return Err(Error::Repeated { prompt });
        }
        let (first, second) = (other.target_new.clone(), fact.target_new.clone());
        return Err(Error::Contradiction { prompt, first, second });
    }
    Ok(())
}
