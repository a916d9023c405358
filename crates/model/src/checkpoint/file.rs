//! A mapped file of tensors: which there are, and the same file again with some of them replaced.
//!
//! Both containers allow this: a tensor of the same type and shape takes the same bytes, so that
//! every other byte of the file (its head, its order, its padding) stays what it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use retcon_kernels::stored::{Bytes, Format, Stored};

use crate::error::{Error, Result};

/// A file of tensors, mapped into memory.
#[derive(Clone, Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Bytes,
    places: BTreeMap<String, Place>,
}

/// A tensor and where in the file its bytes start.
#[derive(Clone, Debug)]
struct Place {
    stored: Stored,
    start: usize,
}

/// Maps the file at `path` into memory.
pub(crate) fn map(path: &Path) -> Result<Bytes> {
    File::open(path).and_then(|file| Bytes::map(&file)).map_err(Error::io(path))
}

impl TensorFile {
    pub(crate) fn new(path: &Path, bytes: Bytes) -> Self {
        Self { path: path.to_owned(), bytes, places: BTreeMap::new() }
    }

    /// Notes the tensor `name` at the bytes `range` of the file.
    pub(crate) fn insert(
        &mut self,
        name: String,
        format: Format,
        shape: Vec<usize>,
        range: Range<usize>,
    ) -> Result<()> {
        let start = range.start;
        let beyond = || "reaches past the end of the file".to_owned();
        let stored = self
            .bytes
            .slice(range)
            .ok_or_else(beyond)
            .and_then(|bytes| Stored::new(format, shape, bytes).map_err(|e| e.to_string()))
            .map_err(|what| Error::header(&self.path)(format!("tensor `{name}`: {what}")))?;
        if self.places.contains_key(&name) {
            return Err(Error::DuplicateTensor { path: self.path.clone(), name });
        }
        self.places.insert(name, Place { stored, start });
        Ok(())
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor `name`, if the file has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Stored> {
        self.places.get(name).map(|place| &place.stored)
    }

    /// All tensors by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.places.iter().map(|(name, place)| (name.as_str(), &place.stored))
    }

    /// Writes the file again with the tensors of `replacements`, ignoring those it doesn't have.
    ///
    /// # Errors
    /// Where `to` fails.
    ///
    /// # Panics
    /// Where a replacement is of another size; see [`check_replacements`].
    pub(crate) fn write_with(
        &self,
        replacements: &BTreeMap<String, Stored>,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let mut patches: Vec<_> = replacements
            .iter()
            .filter_map(|(name, new)| Some((self.places.get(name)?, new.bytes())))
            .collect();
        patches.sort_by_key(|(place, _)| place.start);
        let mut done = 0;
        for (place, new) in patches {
            assert_eq!(new.len(), place.stored.bytes().len(), "the size of a replacement");
            to.write_all(&self.bytes[done..place.start])?;
            to.write_all(new)?;
            done = place.start + new.len();
        }
        to.write_all(&self.bytes[done..])
    }
}

/// All tensors of `files`, and the assurance that no name is there twice.
pub(crate) fn merge(files: &[TensorFile]) -> Result<BTreeMap<String, Stored>> {
    let mut tensors = BTreeMap::new();
    for file in files {
        for (name, stored) in file.tensors() {
            if tensors.insert(name.to_owned(), stored.clone()).is_some() {
                return Err(Error::DuplicateTensor { path: file.path.clone(), name: name.into() });
            }
        }
    }
    Ok(tensors)
}

/// Makes sure that each of `replacements` fits the place of a tensor in `tensors`, those of the
/// checkpoint at `path`.
pub(crate) fn check_replacements(
    path: &Path,
    tensors: &BTreeMap<String, Stored>,
    replacements: &BTreeMap<String, Stored>,
) -> Result<()> {
    for (name, new) in replacements {
        let missing = || Error::MissingTensor { path: path.to_owned(), name: name.clone() };
        let old = tensors.get(name).ok_or_else(missing)?;
        if (old.format(), old.shape()) != (new.format(), new.shape()) {
            let describe = |stored: &Stored| format!("{} {:?}", stored.format(), stored.shape());
            return Err(Error::TensorMismatch {
                name: name.clone(),
                expected: describe(old),
                found: describe(new),
            });
        }
    }
    Ok(())
}
