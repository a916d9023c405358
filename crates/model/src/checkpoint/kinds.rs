//! Checkpoints that hold no language model as it can be run here, refused for what they are: the first
//! tensor that they lack, or have too many, would tell nobody.

use std::path::Path;

use super::Config;
use super::gguf::Metadata;
use crate::error::{Error, Result};

/// What peft writes beside the weights of an adapter, in the place of `config.json`.
const ADAPTER: &str = "adapter_config.json";

/// How the names of tensors begin that only models with a head for classes, or for spans of a text,
/// have.
const CLASSIFIER: [&str; 3] = ["score.", "classifier.", "qa_outputs."];

/// Makes sure that the folder holds no adapter, where it lacks what a model has.
///
/// # Errors
/// [`Error::Adapter`].
pub(super) fn check_folder(folder: &Path) -> Result<()> {
    match folder.join(ADAPTER).is_file() {
        true => Err(Error::Adapter { path: folder.to_owned() }),
        false => Ok(()),
    }
}

/// Makes sure that the weights of the model with the settings `config` are numbers and not codes of
/// some library.
///
/// # Errors
/// [`Error::Quantized`], [`Error::BadConfig`].
pub(super) fn check_settings(config: &Config) -> Result<()> {
    let Some(how) = config.section("quantization_config")? else { return Ok(()) };
    let method = match how.find::<String>("quant_method")? {
        Some(method) => method,
        // Older files of bitsandbytes don't say whose they are.
        None if how.value("load_in_8bit").or(how.value("load_in_4bit")).is_some() => {
            "bitsandbytes".to_owned()
        }
        None => "an unknown method".to_owned(),
    };
    Err(Error::Quantized { path: config.path().to_owned(), method })
}

/// Makes sure that the tensors `names` of the folder are those of a model that predicts tokens.
///
/// # Errors
/// [`Error::Classifier`].
pub(super) fn check_tensors<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut names = names.into_iter();
    match names.find(|name| CLASSIFIER.iter().any(|begin| name.starts_with(begin))) {
        Some(name) => Err(Error::Classifier { path: folder.to_owned(), name: name.to_owned() }),
        None => Ok(()),
    }
}

/// Makes sure that the GGUF file at `path` holds a model, and one without experts.
///
/// # Errors
/// [`Error::Adapter`], [`Error::Experts`].
pub(super) fn check_metadata(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.text("general.type") == Some("adapter") {
        return Err(Error::Adapter { path: path.to_owned() });
    }
    // Mixtral has the architecture of Llama, and only this number tells them apart.
    let architecture = metadata.text("general.architecture").unwrap_or_default();
    match metadata.count(&format!("{architecture}.expert_count")) {
        None | Some(0) => Ok(()),
        Some(n) => Err(Error::Experts { path: path.to_owned(), n }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::checkpoint::gguf::sample::Sample;

    fn error(sample: &Sample) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        std::fs::write(&path, sample.bytes()).unwrap();
        Checkpoint::open(&path).unwrap_err()
    }

    fn llama() -> Sample {
        Sample::default().text("general.architecture", "llama")
    }

    #[test]
    fn experts_and_adapters_of_gguf_files_are_told_by_their_metadata() {
        let experts = error(&llama().u32("llama.expert_count", 8));
        assert!(matches!(experts, Error::Experts { n: 8, .. }), "{experts}");
        let adapter = error(&llama().text("general.type", "adapter"));
        assert!(matches!(adapter, Error::Adapter { .. }), "{adapter}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let dense = llama().text("general.type", "model").u32("llama.expert_count", 0);
        std::fs::write(&path, dense.bytes()).unwrap();
        Checkpoint::open(&path).unwrap();
    }
}
