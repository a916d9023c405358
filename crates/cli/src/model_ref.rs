//! What a command takes for a model, and how it becomes one: path, stack file, hub id or `demo`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use retcon::model::error::Error;
use retcon::{Delta, Model};

use crate::failure::advised;
use crate::fetch;
use crate::shell::Shell;
use crate::stack::Stack;

/// A model as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelRef {
    /// A folder or a GGUF file.
    Path(PathBuf),
    /// A stack file: a model with deltas.
    Stack(PathBuf),
    /// A model of the hub: `owner/name`, or `owner/name:file.gguf`.
    Hub {
        /// `owner/name`.
        id: String,
        /// The file, where the model is a single one.
        file: Option<String>,
    },
    /// The model of `retcon demo`.
    Demo,
}

impl ModelRef {
    /// Reads what the user typed. What exists on disk is a path, whatever it looks like.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.exists() {
            let is_stack = path.is_file() && is_named_as_stack(path);
            let path = path.to_owned();
            return Ok(if is_stack { Self::Stack(path) } else { Self::Path(path) });
        }
        if text == "demo" {
            return Ok(Self::Demo);
        }
        hub_id(text).ok_or_else(|| {
            advised(
                format!("there is no model at {text}"),
                "a model is a folder, a .gguf file, a stack file, a hub id such as `owner/name`, \
                 or `demo`",
            )
        })
    }

    /// A name for files that belong to the model.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Path(path) | Self::Stack(path) => {
                // `.`, for one, has a name only in full.
                let path = if path.file_name().is_some() { path.clone() } else { canonical(path) };
                let is_gguf = path.extension().is_some_and(|end| end == "gguf");
                let name = if is_gguf { path.file_stem() } else { path.file_name() };
                name.unwrap_or_default().to_string_lossy().into_owned()
            }
            Self::Hub { id, file } => {
                let name = file.as_deref().unwrap_or(id);
                let name = name.rsplit('/').next().unwrap_or(name);
                name.strip_suffix(".gguf").unwrap_or(name).to_owned()
            }
            Self::Demo => "demo".to_owned(),
        }
    }

    /// The folder or GGUF file of the model, downloaded where it has to be.
    fn checkpoint(&self, shell: &Shell) -> Result<PathBuf> {
        match self {
            Self::Path(path) | Self::Stack(path) => Ok(path.clone()),
            Self::Hub { id, file: Some(file) } => fetch::hub::file(shell, id, file),
            Self::Hub { id, file: None } => fetch::hub::folder(shell, id),
            Self::Demo => fetch::demo::model(shell),
        }
    }

    /// Opens the model with the deltas of its stack, where it is one, and `deltas` on top.
    pub(crate) fn open(&self, shell: &Shell, deltas: &[PathBuf]) -> Result<Model> {
        let mut model = match self {
            Self::Stack(path) => {
                let stack = Stack::read(path)?;
                let base = stack
                    .model
                    .open(shell, &[])
                    .with_context(|| format!("cannot open the model of {}", path.display()))?;
                stack.lay_on(&base)?
            }
            _ => Model::open(&self.checkpoint(shell)?, &shell.options)?,
        };
        tracing::info!(
            "opened {self}: {} with {} deltas",
            model.spec().family,
            model.deltas().len()
        );
        for path in deltas {
            model = lay_on(&model, path, &Arc::new(read_delta(path)?))?;
        }
        Ok(model)
    }
}

/// Whether a file of that name is taken for a stack.
pub(crate) fn is_named_as_stack(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json")
}

/// Where `path` leads in the end, as far as it leads anywhere.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The delta in the file `path`.
pub(crate) fn read_delta(path: &Path) -> Result<Delta> {
    Delta::load(path).map_err(|error| match error {
        Error::BadHeader { .. } => advised(
            format!("no delta, or a damaged one: {error}"),
            "deltas are files that `retcon edit` has written; facts and texts have flags of their own",
        ),
        other => other.into(),
    })
}

/// `model` with the delta in the file `path`.
pub(crate) fn lay_on(model: &Model, path: &Path, delta: &Arc<Delta>) -> Result<Model> {
    model.with(delta.clone()).with_context(|| format!("{} does not fit the model", path.display()))
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Stack(path) => path.display().fmt(f),
            Self::Hub { id, file: Some(file) } => write!(f, "{id}:{file}"),
            Self::Hub { id, file: None } => f.write_str(id),
            Self::Demo => f.write_str("demo"),
        }
    }
}

/// Reads `owner/name` or `owner/name:file.gguf`; `None` where it rather is a path.
fn hub_id(text: &str) -> Option<ModelRef> {
    let (id, file) = match text.split_once(':') {
        Some((id, file)) => (id, Some(file)),
        None => (text, None),
    };
    let (owner, name) = id.split_once('/')?;
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let is_file_name =
        |name: &str| [".gguf", ".json", ".safetensors"].iter().any(|e| name.ends_with(e));
    if !is_word(owner) || !is_word(name) || is_file_name(name) {
        return None;
    }
    if file.is_some_and(|file| !file.ends_with(".gguf") || file.contains("..")) {
        return None;
    }
    Some(ModelRef::Hub { id: id.to_owned(), file: file.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_are_told_from_paths() {
        let hub = |id: &str, file: Option<&str>| {
            Some(ModelRef::Hub { id: id.to_owned(), file: file.map(str::to_owned) })
        };
        assert_eq!(hub_id("openai-community/gpt2"), hub("openai-community/gpt2", None));
        assert_eq!(hub_id("a/b:c-Q4_1.gguf"), hub("a/b", Some("c-Q4_1.gguf")));
        for path in ["gpt2", "./a/b", "/a/b", "../b", "a/b/c", "a/b.gguf", "a/b:c", "a/", "~/b"] {
            assert_eq!(hub_id(path), None, "{path}");
        }
    }

    #[test]
    fn files_are_named_after_the_model() {
        let name = |text: &str| ModelRef::parse(text).unwrap().name();
        assert_eq!(name("openai-community/gpt2"), "gpt2");
        assert_eq!(name("a/b:sub/c.gguf"), "c");
        assert_eq!(name("demo"), "demo");
        assert_eq!(ModelRef::Path("x/model.gguf".into()).name(), "model");
        assert_eq!(ModelRef::Path("x/v1.5/".into()).name(), "v1.5");
    }
}
