//! Cases while they are read: those that can't be asked are set aside, repeated ids are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Cases;
use crate::data::case::Case;
use crate::data::error::{Error, Result};
use crate::data::object::Line;
use crate::data::text_file::TextFile;

/// Reads each record of a file into a case; its index counts from 0.
pub(super) fn cases(
    file: &TextFile,
    read: impl Fn(Line<'_>, usize) -> Result<Case>,
) -> Result<Cases> {
    each(file, |line, idx| Ok(read(line, idx)))
}

/// Reads each record of a file of our own, of which no case is left out.
pub(super) fn strictly(
    file: &TextFile,
    read: impl Fn(Line<'_>, usize) -> Result<Case>,
) -> Result<Cases> {
    each(file, |line, idx| read(line, idx).map(Ok).map_err(|error| line.place(error)))
}

/// Reads each record; an outer error ends the reading, an inner one may leave a case out.
fn each(file: &TextFile, read: impl Fn(Line<'_>, usize) -> Result<Result<Case>>) -> Result<Cases> {
    let mut collected = Collected::of(file.path.clone());
    for (idx, (origin, text)) in file.records()?.into_iter().enumerate() {
        let line = Line { text, origin: &origin };
        collected.push(line, read(line, idx)?)?;
    }
    collected.finish()
}

/// The cases so far.
pub(super) struct Collected {
    path: PathBuf,
    found: Cases,
    /// The line of each id.
    ids: BTreeMap<String, usize>,
}

impl Collected {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, found: Cases::default(), ids: BTreeMap::new() }
    }

    /// Takes a case, or why it is none: an error of form ends the reading, one of content does not.
    pub(super) fn push(&mut self, line: Line<'_>, case: Result<Case>) -> Result<()> {
        let mut case = match case {
            Ok(case) => case,
            Err(error) if error.is_about_content() => {
                self.found.left_out.push((line.origin.clone(), error.without_line()));
                return Ok(());
            }
            Err(error) => return Err(line.place(error)),
        };
        if let Some(&first) = self.ids.get(&case.id) {
            return Err(line.error(Error::RepeatedId { line: first, id: case.id }));
        }
        self.ids.insert(case.id.clone(), line.origin.line);
        for edit in &mut case.edits {
            edit.origin = Some(line.origin.clone());
        }
        case.origin = Some(line.origin.clone());
        self.found.cases.push(case);
        Ok(())
    }

    /// All of them, of which there must be one at least.
    pub(super) fn finish(self) -> Result<Cases> {
        let Cases { cases, left_out } = &self.found;
        match (cases.first(), left_out.first()) {
            (Some(_), _) => Ok(self.found),
            (None, None) => Err(Error::NoCases { path: self.path }),
            (None, Some((_, reason))) => {
                let (n, reason) = (left_out.len(), reason.clone());
                Err(Error::AllLeftOut { path: self.path, n, reason })
            }
        }
    }
}
