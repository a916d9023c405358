//! A Hugging Face folder: `config.json` and safetensors, in one file or in shards with an index.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use retcon_kernels::stored::Stored;
use serde_json::{Map, Value};

use super::file::TensorFile;
use super::{Config, kinds, safetensors};
use crate::atomic;
use crate::error::{Error, Result};

const CONFIG: &str = "config.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Weights in other formats, which hold the model as it was before an edit.
const OTHER_WEIGHTS: [&str; 5] = ["bin", "h5", "msgpack", "onnx", "pt"];

/// Opens the settings and the tensor files of `folder`.
///
/// # Errors
/// [`Error::NoConfig`]; [`Error::UnknownContainer`] where the weights are in no format that can be
/// read; [`Error::MissingPart`] and [`Error::MissingTensor`] where the index promises too much;
/// [`Error::Adapter`], [`Error::Quantized`] and [`Error::Classifier`] where it is no model to edit.
pub(super) fn open(folder: &Path) -> Result<(Config, Vec<TensorFile>)> {
    let config = folder.join(CONFIG);
    if !config.is_file() {
        kinds::check_folder(folder)?;
        return Err(Error::NoConfig { folder: folder.to_owned() });
    }
    let config = Config::read(&config)?;
    kinds::check_settings(&config)?;
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    let files = if single.is_file() {
        vec![safetensors::open(&single)?.file]
    } else if index.is_file() {
        open_shards(&index)?
    } else {
        kinds::check_folder(folder)?;
        return Err(no_weights(folder));
    };
    let names = files.iter().flat_map(TensorFile::tensors).map(|(name, _)| name);
    kinds::check_tensors(folder, names)?;
    Ok((config, files))
}

fn no_weights(folder: &Path) -> Error {
    let files = atomic::files_under(folder).unwrap_or_default();
    let other = files.iter().find(|file| is_other_weights(file));
    let what = match other {
        Some(file) => format!(
            "its weights are in {}, which has to be converted to safetensors first",
            file.display()
        ),
        None => format!("it has neither {SINGLE} nor {INDEX}"),
    };
    Error::UnknownContainer { path: folder.to_owned(), what }
}

fn is_other_weights(file: &Path) -> bool {
    ends_in(file, &OTHER_WEIGHTS)
}

fn ends_in(file: &Path, ends: &[&str]) -> bool {
    file.extension().and_then(OsStr::to_str).is_some_and(|end| ends.contains(&end))
}

/// Whether the file `name` of the folder `source` has weights and is none of `files`, which the model
/// is read from: they stay as they were before an edit.
fn is_stale(name: &Path, source: &Path, files: &[TensorFile]) -> bool {
    let is_read = || files.iter().any(|file| file.path() == source.join(name));
    is_other_weights(name)
        || ends_in(name, &["gguf", "pth", "ckpt"])
        || ends_in(name, &["safetensors"]) && !is_read()
}

fn is_in_hidden_folder(file: &Path) -> bool {
    let mut folders = file.parent().into_iter().flat_map(Path::components);
    folders.any(|folder| folder.as_os_str().as_encoded_bytes().starts_with(b"."))
}

/// Opens the shards that the index names, and makes sure that they hold what it says.
fn open_shards(index: &Path) -> Result<Vec<TensorFile>> {
    let map: Map<String, Value> = Config::read(index)?.get("weight_map")?;
    let mut shards = BTreeMap::new();
    for (tensor, shard) in &map {
        let shard = shard_path(index, shard)?;
        if !shards.contains_key(&shard) {
            shards.insert(shard.clone(), open_shard(index, &shard)?);
        }
        let found = &shards[&shard];
        if found.file.get(tensor).is_none() && !found.skipped.contains(tensor) {
            return Err(Error::MissingTensor { path: shard, name: tensor.clone() });
        }
    }
    Ok(shards.into_values().map(|shard| shard.file).collect())
}

/// The path of a shard, which has to lie beside its index.
fn shard_path(index: &Path, shard: &Value) -> Result<PathBuf> {
    let plain = shard.as_str().filter(|name| {
        let mut parts = Path::new(name).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    });
    plain.map(|name| index.with_file_name(name)).ok_or_else(|| Error::BadConfig {
        path: index.to_owned(),
        key: "weight_map".into(),
        expected: "names of files".into(),
        found: shard.to_string(),
    })
}

fn open_shard(index: &Path, shard: &Path) -> Result<safetensors::Safetensors> {
    if !shard.is_file() {
        return Err(Error::MissingPart { path: shard.into(), named_by: index.into() });
    }
    safetensors::open(shard)
}

/// Writes the folder `source` again at `out` with the tensors of `replacements`; all files that
/// hold none of them are carried along byte for byte. Hidden folders, such as the history of a
/// clone, stay behind.
///
/// # Errors
/// [`Error::Exists`] and [`Error::Io`]; nothing is left behind then.
pub(super) fn export(
    source: &Path,
    files: &[TensorFile],
    out: &Path,
    replacements: &BTreeMap<String, Stored>,
) -> Result<()> {
    copy(source, files, out, |name, to| {
        let from = source.join(name);
        match files.iter().find(|file| file.path() == from) {
            Some(file) => atomic::write(to, |to| file.write_with(replacements, to)),
            None => fs::copy(&from, to).map(drop).map_err(Error::io(&out.join(name))),
        }
    })
}

/// Writes the folder `source` again at `out` with `tensors`, those of a model with a head, in the
/// place of its own, and the name of that model's architecture.
///
/// # Errors
/// As [`export`].
pub(super) fn export_with_head(
    source: &Path,
    files: &[TensorFile],
    out: &Path,
    tensors: &BTreeMap<String, Stored>,
    architecture: Option<&str>,
) -> Result<()> {
    copy(source, files, out, |name, to| {
        let from = source.join(name);
        let is_first = files.first().is_some_and(|file| file.path() == from);
        if is_first {
            let format = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
            return safetensors::write(&to.with_file_name(SINGLE), tensors, &format);
        }
        if files.iter().any(|file| file.path() == from) || name == Path::new(INDEX) {
            return Ok(());
        }
        if name == Path::new(CONFIG) {
            let text = fs::read(&from).map_err(Error::io(&from))?;
            let text = of_architecture(&text, &from, architecture)?;
            return atomic::write(to, |to| to.write_all(text.as_bytes()));
        }
        fs::copy(&from, to).map(drop).map_err(Error::io(&out.join(name)))
    })
}

/// The settings in `json`, those of the file at `path`, with another architecture.
fn of_architecture(json: &[u8], path: &Path, architecture: Option<&str>) -> Result<String> {
    let mut config: Map<String, Value> =
        serde_json::from_slice(json).map_err(Error::header(path))?;
    if let Some(name) = architecture {
        config.insert("architectures".to_owned(), [name].as_slice().into());
    }
    Ok(serde_json::to_string_pretty(&config).expect("settings have string keys") + "\n")
}

/// Makes the folder `out`, whole or not at all, of the files of `source`, each as `write` writes
/// it (its name within the folder, and where it goes). The model is read from `files`.
fn copy(
    source: &Path,
    files: &[TensorFile],
    out: &Path,
    mut write: impl FnMut(&Path, &Path) -> Result<()>,
) -> Result<()> {
    // Listed before `out` is made, which may lie inside of `source`.
    let mut names = atomic::files_under(source).map_err(Error::io(source))?;
    names.retain(|name| !is_in_hidden_folder(name));
    atomic::folder(out, |temp| {
        for name in &names {
            let to = temp.join(name);
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(Error::io(out))?;
            }
            if is_stale(name, source, files) {
                tracing::warn!(file = %name.display(), "carried along without the edit");
            }
            write(name, &to)?;
        }
        Ok(())
    })
}
