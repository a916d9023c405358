//! Small GGUF files for tests, written value by value.

use std::path::Path;

use super::{ALIGNMENT, Gguf, read};
use crate::error::Result;

/// A file in the making.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    values: Vec<u8>,
    n_values: u64,
    infos: Vec<u8>,
    n_tensors: u64,
    data: Vec<u8>,
}

impl Sample {
    /// Adds a value of the type `kind` as it stands in a file.
    pub(crate) fn raw(mut self, name: &str, kind: u32, value: &[u8]) -> Self {
        self.values.extend(text(name));
        self.values.extend(kind.to_le_bytes());
        self.values.extend(value);
        self.n_values += 1;
        self
    }

    pub(crate) fn u32(self, name: &str, value: u32) -> Self {
        self.raw(name, 4, &value.to_le_bytes())
    }

    pub(crate) fn f32(self, name: &str, value: f32) -> Self {
        self.raw(name, 6, &value.to_le_bytes())
    }

    pub(crate) fn bool(self, name: &str, value: bool) -> Self {
        self.raw(name, 7, &[value.into()])
    }

    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        self.raw(name, 8, &text(value))
    }

    pub(crate) fn texts(self, name: &str, values: &[&str]) -> Self {
        self.list(name, 8, values.iter().map(|value| text(value)))
    }

    pub(crate) fn ints(self, name: &str, values: &[i32]) -> Self {
        self.list(name, 5, values.iter().map(|value| value.to_le_bytes().to_vec()))
    }

    pub(crate) fn floats(self, name: &str, values: &[f32]) -> Self {
        self.list(name, 6, values.iter().map(|value| value.to_le_bytes().to_vec()))
    }

    fn list(self, name: &str, kind: u32, values: impl ExactSizeIterator<Item = Vec<u8>>) -> Self {
        let mut list = kind.to_le_bytes().to_vec();
        list.extend((values.len() as u64).to_le_bytes());
        list.extend(values.flatten());
        self.raw(name, 9, &list)
    }

    /// Adds a tensor with the dimensions `dims`, the innermost first as in a file.
    pub(crate) fn tensor(self, name: &str, dims: &[u64], kind: u32, bytes: &[u8]) -> Self {
        let offset = (self.data.len() as u64).next_multiple_of(ALIGNMENT);
        let mut with = self.tensor_at(name, dims, kind, offset);
        with.data.resize(offset as usize, 0);
        with.data.extend(bytes);
        with
    }

    /// Adds what a file says of a tensor, but no data.
    pub(crate) fn tensor_at(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        self.infos.extend(text(name));
        self.infos.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| self.infos.extend(dim.to_le_bytes()));
        self.infos.extend(kind.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self.n_tensors += 1;
        self
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(self.n_tensors.to_le_bytes());
        bytes.extend(self.n_values.to_le_bytes());
        bytes.extend(&self.values);
        bytes.extend(&self.infos);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        bytes.extend(&self.data);
        bytes
    }

    /// The file, opened.
    pub(crate) fn open(&self) -> Result<Gguf> {
        read(Path::new("m.gguf"), self.bytes().into())
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}
