//! Stack files: a model and the deltas that are used with it.
//!
//! A stack file is a small JSON object:
//!
//! ```json
//! {
//!   "retcon_stack": 1,
//!   "model": "model.gguf",
//!   "deltas": [{"id": "0a1b2c3d4e5f", "file": "edit.delta.safetensors"}]
//! }
//! ```
//!
//! `retcon_stack` is the version of the format. `model` is a path, a hub id or `demo`, never
//! another stack. `deltas` are laid on in their order, and `id` is what the file held when it was
//! put there; a file that holds something else now is refused. Paths are relative to the folder
//! of the stack file. Unknown keys are an error.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use retcon::model::atomic;
use retcon::{Delta, Model};
use serde::{Deserialize, Serialize};

use crate::failure::advised;
use crate::model_ref::{ModelRef, canonical, lay_on, read_delta};
use crate::shell::Shell;

const VERSION: u32 = 1;

/// What the name of a stack file ends with.
const ENDING: &str = "retcon.json";

/// A model and the deltas that are used with it.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Where its file is, or will be.
    pub(crate) path: PathBuf,
    /// The model without deltas.
    pub(crate) model: ModelRef,
    /// The deltas, the lowest first.
    pub(crate) layers: Vec<Layer>,
}

/// A delta of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its identity when it was put there.
    pub(crate) id: String,
    /// Where it is.
    pub(crate) file: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    retcon_stack: u32,
    model: String,
    deltas: Vec<LayerContents>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerContents {
    id: String,
    file: String,
}

impl Stack {
    /// Reads the stack file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| {
            advised(
                format!("{} is no stack file: {error}", path.display()),
                "stack files are written by `retcon apply`; \
                 a model is named by its folder, not by its config.json",
            )
        })?;
        let found = contents.retcon_stack;
        ensure!(
            found == VERSION,
            "{} is a stack of version {found}; this program reads version {VERSION}",
            path.display()
        );
        let folder = folder_of(path);
        let near = folder.join(&contents.model);
        let model = match near.exists() {
            true => ModelRef::Path(near),
            // Its deltas can be listed and taken off also where the model is gone.
            false => ModelRef::parse(&contents.model).unwrap_or(ModelRef::Path(near)),
        };
        let in_folder = |file: String| match folder == Path::new(".") {
            true => PathBuf::from(file),
            false => folder.join(file),
        };
        let layer = |layer: LayerContents| Layer { id: layer.id, file: in_folder(layer.file) };
        let layers = contents.deltas.into_iter().map(layer).collect();
        Ok(Self { path: path.to_owned(), model, layers })
    }

    /// The stack of `model`, which `path` overrides: read where there is one, otherwise empty.
    pub(crate) fn of(model: &ModelRef, path: Option<&Path>) -> Result<Self> {
        if let (ModelRef::Stack(path), None) = (model, path) {
            return Self::read(path);
        }
        let path = path.map_or_else(|| place(model), Path::to_owned);
        if !path.exists() {
            return Ok(Self { path, model: base(model)?, layers: Vec::new() });
        }
        let stack = Self::read(&path)?;
        let (expected, found) = (absolute(&base(model)?), absolute(&stack.model));
        if expected != found {
            return Err(advised(
                format!("{} is the stack of another model: {found}", path.display()),
                "name another file with --stack",
            ));
        }
        Ok(stack)
    }

    /// As [`Stack::of`], to be changed: nobody else changes a stack of that folder until what is given with
    /// it is dropped.
    pub(crate) fn to_change(
        shell: &Shell,
        model: &ModelRef,
        path: Option<&Path>,
    ) -> Result<(Self, Change)> {
        let stack = Self::of(model, path)?;
        let change = Change::new(shell, folder_of(&stack.path))?;
        // Who held it before may have changed it.
        Ok((Self::of(model, path)?, change))
    }

    /// Writes the file, all of it or nothing.
    pub(crate) fn write(&self) -> Result<()> {
        let folder = folder_of(&self.path);
        let model = match &self.model {
            ModelRef::Path(path) => from(folder, path),
            other => other.to_string(),
        };
        let layer =
            |layer: &Layer| LayerContents { id: layer.id.clone(), file: from(folder, &layer.file) };
        let deltas = self.layers.iter().map(layer).collect();
        let contents = Contents { retcon_stack: VERSION, model, deltas };
        let text = serde_json::to_string_pretty(&contents)? + "\n";
        Ok(atomic::write(&self.path, |to| to.write_all(text.as_bytes()))?)
    }

    /// The deltas, each as it was when it was put here.
    pub(crate) fn deltas(&self) -> Result<Vec<Arc<Delta>>> {
        self.layers.iter().map(|layer| layer.read(&self.path)).collect()
    }

    /// `model` with all deltas.
    pub(crate) fn lay_on(&self, model: &Model) -> Result<Model> {
        let mut edited = model.clone();
        for (layer, delta) in self.layers.iter().zip(self.deltas()?) {
            edited = lay_on(&edited, &layer.file, &delta)?;
        }
        Ok(edited)
    }
}

impl Layer {
    /// Reads it for the stack file `stack`.
    pub(crate) fn read(&self, stack: &Path) -> Result<Arc<Delta>> {
        let stack = stack.display();
        let delta = read_delta(&self.file)
            .with_context(|| format!("{stack} names a delta that cannot be read"))?;
        let found = delta.id()?;
        if found != self.id {
            return Err(advised(
                format!(
                    "{} has changed since it was put on {stack}: expected delta {}, found: {found}",
                    self.file.display(),
                    self.id
                ),
                format!("take it off with `retcon undo {stack} {}`, and apply it again", self.id),
            ));
        }
        Ok(Arc::new(delta))
    }
}

/// The right to change stacks in a folder.
pub(crate) struct Change(#[expect(dead_code, reason = "the lock ends with it")] Option<File>);

impl Change {
    /// Waits for it, as long as another process has it.
    fn new(shell: &Shell, folder: &Path) -> Result<Self> {
        // Elsewhere than on Unix a folder can't be opened.
        let Some(folder) = cfg!(unix).then(|| File::open(folder)).transpose()? else {
            return Ok(Self(None));
        };
        loop {
            match folder.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
                // Some file systems know no locks.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(Self(Some(folder))),
            }
            shell.check()?;
        }
    }
}

/// What a stack of `model` stands on.
fn base(model: &ModelRef) -> Result<ModelRef> {
    match model {
        ModelRef::Stack(path) => Ok(Stack::read(path)?.model),
        other => Ok(other.clone()),
    }
}

/// Where the stack file of `model` is: beside it, or here where that folder can't be written to. A link
/// is a model too: what it points to may be shared, or in a cache under a name that nobody gave.
fn place(model: &ModelRef) -> PathBuf {
    let name = format!("{}.{ENDING}", model.name());
    let here = PathBuf::from(&name);
    let ModelRef::Path(path) = model else { return here };
    let path = in_full(path);
    let beside = folder_of(&path).join(&name);
    let can_write = || tempfile::tempfile_in(folder_of(&path)).is_ok();
    if beside.exists() || (!here.exists() && can_write()) { beside } else { here }
}

/// The folder of a file, which for a bare name is the current one.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `path` as a file in `folder` names it: relative where it lies below, otherwise in full.
fn from(folder: &Path, path: &Path) -> String {
    let (folder, path) = (canonical(folder), in_full(path));
    path.strip_prefix(&folder).unwrap_or(&path).display().to_string()
}

/// `path` from the root on, itself as it is named: not where it points to, where it is a link.
fn in_full(path: &Path) -> PathBuf {
    match path.file_name() {
        Some(name) => canonical(folder_of(path)).join(name),
        None => canonical(path),
    }
}

/// A model in a way that can be compared.
fn absolute(model: &ModelRef) -> String {
    match model {
        ModelRef::Path(path) => canonical(path).display().to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_moves_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        fs::create_dir_all(old.join("model")).unwrap();
        let layer = Layer { id: "0a".into(), file: old.join("a.safetensors") };
        fs::write(&layer.file, "").unwrap();
        let model = ModelRef::Path(old.join("model"));
        let stack = Stack { layers: vec![layer], ..Stack::of(&model, None).unwrap() };
        assert_eq!(stack.path.file_name().unwrap(), "model.retcon.json");
        stack.write().unwrap();
        let new = folder.path().join("new");
        fs::rename(&old, &new).unwrap();
        let moved = Stack::read(&new.join("model.retcon.json")).unwrap();
        assert_eq!(moved.model, ModelRef::Path(new.join("model")));
        assert_eq!(moved.layers[0].file, new.join("a.safetensors"));
    }

    #[cfg(unix)]
    #[test]
    fn the_stack_of_a_link_is_beside_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let [cache, work] = ["cache", "work"].map(|name| folder.join(name));
        for folder in [&cache, &work] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(cache.join("0a1b2c"), "").unwrap();
        let link = work.join("model.gguf");
        std::os::unix::fs::symlink(cache.join("0a1b2c"), &link).unwrap();
        let stack = Stack::of(&ModelRef::Path(link.clone()), None).unwrap();
        assert_eq!(stack.path, work.join("model.retcon.json"));
        stack.write().unwrap();
        assert_eq!(Stack::read(&stack.path).unwrap().model, ModelRef::Path(link));
        assert_eq!(fs::read_dir(cache).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_stack_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        for (text, message) in [
            ("{}", "is no stack file"),
            ("[]", "is no stack file"),
            (r#"{"retcon_stack": 1, "model": "m", "deltas": [], "x": 1}"#, "is no stack file"),
            (r#"{"retcon_stack": 2, "model": "m", "deltas": []}"#, "version 2"),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", Stack::read(&path).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
    }
}
