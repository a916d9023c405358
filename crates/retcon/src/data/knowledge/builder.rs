//! A set while it is read: what every format must keep to, with the line that does not.

use std::collections::BTreeMap;

use super::{FactSet, OBJECT, Relation, SUBJECT, Triple};
use crate::data::error::{Error, Result};
use crate::data::object::Line;
use crate::data::prompt::SLOT;

/// The relations and facts so far.
#[derive(Default)]
pub(super) struct Builder {
    set: FactSet,
    /// Each relation's index, and the line that it was read from.
    known: BTreeMap<String, (usize, usize)>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Builder { set: FactSet { name: name.to_owned(), ..FactSet::default() }, ..Self::default() }
    }

    /// Adds a relation, whose id must be new.
    pub(super) fn relation(&mut self, line: Line<'_>, relation: Relation) -> Result<()> {
        if relation.id.trim().is_empty() {
            return Err(line.error(Error::Empty { key: "relation" }));
        }
        if relation.templates.is_empty() {
            return Err(line.error(Error::NoTemplate { relation: relation.id }));
        }
        for template in &relation.templates {
            self.template(line, template)?;
        }
        for question in &relation.questions {
            self.question(line, question)?;
        }
        if let Some(&(_, line_of_first)) = self.known.get(&relation.id) {
            let (first, prompt) = (line_of_first, relation.id);
            return Err(line.error(Error::Repeats { line: first, prompt }));
        }
        self.known.insert(relation.id.clone(), (self.set.relations.len(), line.origin.line));
        self.set.relations.push(relation);
        Ok(())
    }

    /// Adds a wording to a relation, unless it has it.
    pub(super) fn paraphrase(&mut self, line: Line<'_>, id: &str, template: &str) -> Result<()> {
        self.template(line, template)?;
        let idx = self.index(line, id)?;
        add(&mut self.set.relations[idx].templates, template);
        Ok(())
    }

    /// Adds a question to a relation, unless it has it.
    pub(super) fn ask(&mut self, line: Line<'_>, id: &str, question: &str) -> Result<()> {
        self.question(line, question)?;
        let idx = self.index(line, id)?;
        add(&mut self.set.relations[idx].questions, question);
        Ok(())
    }

    /// The index of a relation that a line names.
    pub(super) fn index(&self, line: Line<'_>, id: &str) -> Result<usize> {
        match self.known.get(id) {
            Some(&(idx, _)) => Ok(idx),
            None => self.set.relation(id).map_err(|error| line.error(error)),
        }
    }

    /// Whether a relation is there.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Adds a fact.
    pub(super) fn triple(&mut self, line: Line<'_>, mut triple: Triple) -> Result<()> {
        let labels = [("subject", &mut triple.subject), ("object", &mut triple.object)];
        for (key, label) in labels {
            *label = label.trim().to_owned();
            if label.is_empty() {
                return Err(line.error(Error::Empty { key }));
            }
        }
        for evidence in &triple.evidences {
            let n_slots = evidence.text.matches(SLOT).count();
            if n_slots != 1 {
                let found = evidence.text.clone();
                return Err(line.error(Error::EvidenceSlots { n_slots, found }));
            }
            if evidence.object.trim().is_empty() {
                return Err(line.error(Error::Empty { key: "object of an evidence" }));
            }
        }
        self.set.triples.push(triple);
        Ok(())
    }

    /// The set, as far as it was read.
    pub(super) fn finish(self) -> FactSet {
        self.set
    }

    fn template(&self, line: Line<'_>, template: &str) -> Result<()> {
        let once = |mark| template.matches(mark).count() == 1;
        match once(SUBJECT) && once(OBJECT) && !template.contains(SLOT) {
            true => Ok(()),
            false => Err(line.error(Error::BadTemplate { found: template.to_owned() })),
        }
    }

    fn question(&self, line: Line<'_>, question: &str) -> Result<()> {
        let marked = question.matches(SUBJECT).count() == 1;
        match marked && !question.contains(OBJECT) && !question.contains(SLOT) {
            true => Ok(()),
            false => Err(line.error(Error::BadQuestion { found: question.to_owned() })),
        }
    }
}

fn add(wordings: &mut Vec<String>, wording: &str) {
    if !wordings.iter().any(|known| known == wording) {
        wordings.push(wording.to_owned());
    }
}
