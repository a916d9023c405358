//! Data sets of edits: one reader a source format, strict, with the line of every error.
//!
//! Each reader makes [`Case`]s of a file. A record that is not as its format has it is an error; a
//! case that is, and can't be asked (its prompt does not name its subject, for one), is left out,
//! and [`Cases::left_out`] says which and why.
//!
//! ```
//! use retcon::data::datasets::{Beside, read_cases};
//!
//! let world = read_cases("world".as_ref(), None, &Beside::default())?;
//! let case = &world.cases[0];
//! assert_eq!(case.group.as_deref(), Some("capital"));
//! assert_eq!(case.questions[0].prompt, case.edits[0].prompt);
//! # Ok::<(), retcon::data::Error>(())
//! ```

mod asked;
mod axes;
mod cases;
mod collect;
mod counterfact;
mod counterfact_flat;
mod detect;
mod facts;
mod knowedit;
mod mquake;
mod patterns;
mod qaedit;
mod ripple;
mod ripple_edit;
#[cfg(test)]
mod sample;
mod sets;
#[cfg(test)]
mod tests;
mod write;
mod zsre;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::case::Case;
use super::error::{Error, Origin, Result};
use super::seed::SplitMix;
use super::text_file::TextFile;

pub use cases::{of_line, to_line};
pub use detect::detect;
pub use write::Written;

/// All data sets, by their formats; a file is of the first that its first record has the keys of.
pub const DATASETS: &[Dataset] = &[
    cases::DATASET,
    mquake::DATASET,
    counterfact::DATASET,
    counterfact_flat::DATASET,
    zsre::ZSRE,
    zsre::ZSRE_ROME,
    ripple::DATASET,
    knowedit::DATASET,
    qaedit::DATASET,
    sets::TREX,
    sets::OWN,
    facts::DATASET,
];

/// A format of cases.
#[derive(Debug)]
pub struct Dataset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Its keys, each with what it becomes here.
    pub keys: &'static [(&'static str, &'static str)],
    /// The keys that tell it: all of one of these lists are in its first record.
    marks: &'static [&'static [&'static str]],
    read: Reader,
    write: Option<write::Writer>,
}

/// How a data set is read.
#[derive(Debug)]
enum Reader {
    /// From a file of records.
    File(fn(&TextFile, &Beside) -> Result<Cases>),
    /// From a set of facts, in whatever form that is.
    Set(fn(&Path, &Beside) -> Result<Cases>),
}

/// The cases of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cases {
    /// Those that can be asked, in the order of the file.
    pub cases: Vec<Case>,
    /// Those that can't: where each stands, and why.
    pub left_out: Vec<(Origin, String)>,
}

/// What there is beside the file of the cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// ParaRel's patterns, of which paraphrases are made where a case's relation is known.
    pub patterns: Option<PathBuf>,
    /// Of everything drawn, such as new objects where a data set has none.
    pub seed: u64,
}

impl Dataset {
    /// The data set of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<&'static Self> {
        let found = DATASETS.iter().find(|dataset| dataset.name == name);
        found
            .ok_or_else(|| Error::UnknownDataset { found: name.to_owned(), known: names(|_| true) })
    }

    /// Reads the cases of a file or folder.
    ///
    /// # Errors
    /// If a file can't be read, a record is not as the format has it, two have the same id, there is no
    /// case that can be asked, or patterns of relations were given and no case has one.
    pub fn read(&self, path: &Path, beside: &Beside) -> Result<Cases> {
        let cases = match self.read {
            Reader::File(read) => read(&TextFile::open(path)?, beside),
            Reader::Set(read) => read(path, beside),
        }?;
        if beside.patterns.is_some() && cases.cases.iter().all(|case| case.group.is_none()) {
            return Err(Error::NoRelations { path: path.to_owned() });
        }
        Ok(cases)
    }
}

impl Cases {
    /// Keeps so many of them at most, drawn by the seed, in their order.
    pub fn draw(&mut self, n: usize, seed: u64) {
        let all = (0..self.cases.len()).collect();
        let kept = BTreeSet::from_iter(SplitMix::new(seed, "cases").pick(all, n));
        let mut idx = 0..;
        self.cases.retain(|_| idx.next().is_some_and(|idx: usize| kept.contains(&idx)));
    }
}

/// Reads cases in the format that a name says, or otherwise the first record.
///
/// The path may be a folder, and `world` where there is no such file: the facts that come with the
/// library.
///
/// # Errors
/// As [`Dataset::find`], [`detect`] and [`Dataset::read`].
pub fn read_cases(path: &Path, name: Option<&str>, beside: &Beside) -> Result<Cases> {
    name.map_or_else(|| detect(path), Dataset::find)?.read(path, beside)
}

/// The names of data sets, for people.
fn names(wanted: impl Fn(&Dataset) -> bool) -> String {
    let names = DATASETS.iter().filter(|dataset| wanted(dataset)).map(|dataset| dataset.name);
    names.collect::<Vec<_>>().join(", ")
}
