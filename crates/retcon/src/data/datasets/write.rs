//! Cases in a format that holds them, or as much of them as it does, with what that leaves out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Dataset, names};
use crate::data::case::{Axis, Case};
use crate::data::error::{Error, Result};

/// As many as there are.
pub(super) const ANY: usize = usize::MAX;

/// How cases are written.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shape: Shape,
    /// How many questions a record holds of each axis; of each as many as there are, with all else
    /// that a case has, where it is none.
    pub(super) axes: Option<&'static [(Axis, usize)]>,
    /// Whether no two cases may edit one prompt.
    pub(super) distinct: bool,
    /// A case as a record, or why it can't be one.
    pub(super) record: fn(&Case) -> Result<Value, &'static str>,
}

/// What stands around records.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Nothing: one a line.
    Lines,
    /// One list, as the original files are.
    List,
}

/// Cases as text, and what the format can't hold of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// How many cases it holds.
    pub n_cases: usize,
    /// The ids of cases that it does not hold, with the reasons.
    pub left_out: Vec<(String, String)>,
    /// What it does not hold of other cases: of what, and how many.
    pub lost: BTreeMap<&'static str, usize>,
}

impl Dataset {
    /// Whether cases can be written in this format.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.write.is_some()
    }

    /// Writes cases in this format.
    ///
    /// # Errors
    /// If this format is read alone.
    pub fn write(&self, cases: &[Case]) -> Result<Written> {
        let known = || names(Dataset::is_written);
        let Some(writer) = &self.write else {
            return Err(Error::NotWritten { found: self.name.to_owned(), known: known() });
        };
        let mut written = Written::default();
        let mut records = Vec::new();
        let mut prompts = BTreeSet::new();
        for case in cases {
            let edits = case.edits.iter().map(|edit| edit.prompt.text());
            let is_new = edits.map(|text| prompts.insert(text)).fold(true, |all, new| all & new);
            let record = match is_new || !writer.distinct {
                true => (writer.record)(case),
                false => Err("an earlier case edits the same prompt"),
            };
            match record {
                Ok(record) => records.push(record.to_string()),
                Err(reason) => {
                    written.left_out.push((case.id.clone(), reason.to_owned()));
                    continue;
                }
            }
            for (what, n) in writer.axes.map_or_else(Vec::new, |axes| lost(case, axes)) {
                *written.lost.entry(what).or_default() += n;
            }
        }
        written.n_cases = records.len();
        written.text = writer.shape.around(&records);
        Ok(written)
    }
}

impl Shape {
    fn around(self, records: &[String]) -> String {
        match self {
            Self::Lines => records.iter().map(|record| format!("{record}\n")).collect(),
            Self::List => format!("[\n{}\n]\n", records.join(",\n")),
        }
    }
}

/// What records with so many questions of each axis don't hold of a case.
fn lost(case: &Case, axes: &[(Axis, usize)]) -> Vec<(&'static str, usize)> {
    let room = |axis| axes.iter().find(|(held, _)| *held == axis).map_or(0, |&(_, n)| n);
    let asked = |axis| case.questions.iter().filter(|question| question.axis == axis).count();
    let questions = Axis::ALL.into_iter();
    let questions = questions.map(|axis| (axis.name(), asked(axis).saturating_sub(room(axis))));
    let answers = case.questions.iter().flat_map(|question| &question.answers);
    let n_names = answers.map(|names| names.len().saturating_sub(1)).sum();
    let rest = [
        ("other names of answers", n_names),
        ("texts to compare with", case.references.len()),
        ("tests", case.tests.len()),
    ];
    questions.chain(rest).filter(|(_, n)| *n > 0).collect()
}
