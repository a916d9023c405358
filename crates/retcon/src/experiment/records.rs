//! The records of a folder: a line each, appended, so that what is there stays there.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use retcon_model::atomic;

use super::cell::Record;
use crate::error::{Error, Result};

/// The records of a folder.
pub(super) struct Records {
    path: PathBuf,
    pub(super) done: BTreeMap<String, Record>,
}

impl Records {
    /// Reads what is there. A last line that was cut short is taken off: its cell is done again.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io(path, &error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut done = BTreeMap::new();
        for (number, line) in (1..).zip(text[..whole].lines()) {
            let record: Record = serde_json::from_str(line).map_err(|error| Error::BadRecord {
                path: path.to_owned(),
                line: number,
                what: error.to_string(),
            })?;
            done.insert(record.cell.key(), record);
        }
        if whole < text.len() {
            atomic::write(path, |file| file.write_all(&text.as_bytes()[..whole]))?;
        }
        Ok(Self { path: path.to_owned(), done })
    }

    /// Adds a record, so that it is there whatever comes next.
    pub(super) fn append(&mut self, record: Record) -> Result<()> {
        let line = serde_json::to_string(&record).expect("a record has string keys");
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| io(&self.path, &error))?;
        self.done.insert(record.cell.key(), record);
        Ok(())
    }
}

/// What went wrong with a file or folder of results.
pub(super) fn io(path: &Path, error: &std::io::Error) -> Error {
    Error::BadFolder { path: path.to_owned(), what: error.to_string() }
}
