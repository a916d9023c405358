//! A model as it lies on disk: settings, named tensors and a tokenizer, in either container.

pub mod config;
mod file;
pub mod gguf;
mod hf;
mod kinds;
pub mod safetensors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use retcon_kernels::stored::Stored;

pub use self::config::{Config, OUTER, Setting};
pub use self::file::TensorFile;
use self::gguf::Metadata;
use crate::atomic;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// The two ways in which models are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A folder with `config.json`, safetensors and `tokenizer.json`.
    HuggingFace,
    /// A GGUF file, or several that are parts of one.
    Gguf,
}

/// An opened checkpoint. Its tensors are mapped, not read: opening costs milliseconds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The folder, or the GGUF file (the first, of several parts).
    pub path: PathBuf,
    /// Which container it is.
    pub container: Container,
    /// The settings of the model, under the names that Hugging Face gives them.
    pub config: Config,
    /// All floating-point tensors, under the names that the container gives them.
    pub tensors: BTreeMap<String, Stored>,
    files: Vec<TensorFile>,
    /// Empty for a folder.
    metadata: Metadata,
}

impl Checkpoint {
    /// Opens what is at `path`: a Hugging Face folder, a GGUF file, or a folder with one.
    ///
    /// # Errors
    /// [`Error::UnknownContainer`] where it is neither; otherwise what is wrong with a file of it.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::io(path)(std::io::ErrorKind::NotFound.into()));
        }
        if path.is_file() {
            return Self::open_file(path);
        }
        if path.join("config.json").is_file() {
            return Self::open_folder(path);
        }
        match gguf::first_parts(path)?.as_slice() {
            [] => Self::open_folder(path),
            [file] => Self::open_gguf(file),
            [first, second, ..] => Err(Error::UnknownContainer {
                path: path.to_owned(),
                what: format!(
                    "it holds several, among them {} and {}",
                    first.display(),
                    second.display()
                ),
            }),
        }
    }

    fn open_file(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|end| end == "gguf") {
            return Self::open_gguf(path);
        }
        let what = "a model is a folder with config.json, or a .gguf file".into();
        Err(Error::UnknownContainer { path: path.to_owned(), what })
    }

    fn open_folder(path: &Path) -> Result<Self> {
        let (config, files) = hf::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            container: Container::HuggingFace,
            config,
            tensors: file::merge(&files)?,
            files,
            metadata: Metadata::default(),
        })
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let parts = gguf::parts(path)?;
        let mut opened = parts.iter().map(|part| gguf::open(part)).collect::<Result<Vec<_>>>()?;
        // What later parts say of themselves is only which parts they are.
        let metadata = std::mem::take(&mut opened[0].metadata);
        kinds::check_metadata(path, &metadata)?;
        let files: Vec<_> = opened.into_iter().map(|gguf| gguf.file).collect();
        let tensors = file::merge(&files)?;
        let path = files[0].path().to_owned();
        let config = gguf::config(&path, &metadata, &tensors)?;
        Ok(Self { path, container: Container::Gguf, config, tensors, files, metadata })
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&Stored> {
        let missing = || Error::MissingTensor { path: self.path.clone(), name: name.to_owned() };
        self.tensors.get(name).ok_or_else(missing)
    }

    /// Whether it is written again as a folder, as it is where it is one, or a GGUF of several parts.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.container == Container::HuggingFace || self.files.len() > 1
    }

    /// Builds the tokenizer.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] where there is none; [`Error::Tokenizer`] where it is broken or of an
    /// unknown kind, [`Error::UnknownPreTokenizer`].
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        match self.container {
            Container::HuggingFace => Tokenizer::from_folder(&self.path),
            Container::Gguf => Tokenizer::from_gguf(&self.path, &self.metadata),
        }
    }

    /// Writes the checkpoint again at `out` with the tensors of `replacements`, each of the type
    /// and shape of the one that it replaces; everything else stays as it was, byte for byte.
    ///
    /// `out` becomes a folder where [`Checkpoint::is_folder`], otherwise a file.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] and [`Error::TensorMismatch`] for a replacement that doesn't fit;
    /// [`Error::Exists`] where something is at `out`; [`Error::Io`]. Nothing is written then.
    pub fn export(&self, out: &Path, replacements: &BTreeMap<String, Stored>) -> Result<()> {
        file::check_replacements(&self.path, &self.tensors, replacements)?;
        if out.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: out.to_owned() });
        }
        match (self.container, self.files.as_slice()) {
            (Container::HuggingFace, files) => hf::export(&self.path, files, out, replacements),
            (Container::Gguf, [file]) => atomic::write(out, |to| file.write_with(replacements, to)),
            (Container::Gguf, parts) => atomic::folder(out, |temp| {
                parts.iter().try_for_each(|part| {
                    let name = part.path().file_name().unwrap_or_default();
                    atomic::write(&temp.join(name), |to| part.write_with(replacements, to))
                })
            }),
        }
    }

    /// Writes a Hugging Face folder again at `out` with the tensors of `replacements` and the head
    /// `head`, which it lacks. The names of all other tensors get the prefix `prefix`, and its
    /// settings name the architecture `architecture`: so other programs find the head.
    ///
    /// # Errors
    /// As [`Checkpoint::export`].
    pub(crate) fn export_with_head(
        &self,
        out: &Path,
        replacements: BTreeMap<String, Stored>,
        head: BTreeMap<String, Stored>,
        (prefix, architecture): (&str, Option<&str>),
    ) -> Result<()> {
        file::check_replacements(&self.path, &self.tensors, &replacements)?;
        if out.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: out.to_owned() });
        }
        let mut tensors = self.tensors.clone();
        tensors.extend(replacements);
        let named = tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
        let tensors = named.chain(head).collect();
        hf::export_with_head(&self.path, &self.files, out, &tensors, architecture)
    }
}
