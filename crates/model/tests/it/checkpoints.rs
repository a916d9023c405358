//! Checkpoints of every container: they open, they tokenize as the reference does, and written
//! again they differ in nothing but what was replaced.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use retcon_kernels::stored::Stored;
use retcon_model::{Checkpoint, Container, Error, Tokenizer};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every fixture with a model.
fn models() -> Vec<PathBuf> {
    let is_model =
        |path: &PathBuf| path.join("config.json").is_file() || path.join("model.gguf").is_file();
    let mut models: Vec<_> = fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).collect();
    models.retain(is_model);
    models.sort();
    assert!(models.len() > 5, "{models:?}");
    models
}

/// A tensor of `checkpoint` with every bit turned over.
fn turned(checkpoint: &Checkpoint, name: &str) -> Stored {
    let old = checkpoint.tensor(name).unwrap();
    let bytes: Vec<u8> = old.bytes().iter().map(|byte| !byte).collect();
    Stored::new(old.format(), old.shape().to_vec(), bytes.into()).unwrap()
}

/// All files at `path` and below, with their contents.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    if path.is_file() {
        return [(PathBuf::new(), fs::read(path).unwrap())].into();
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| {
            let name = PathBuf::from(entry.file_name());
            contents(&entry.path()).into_iter().map(move |(file, bytes)| {
                (if file.as_os_str().is_empty() { name.clone() } else { name.join(file) }, bytes)
            })
        })
        .collect()
}

fn copy_folder(from: &Path, to: &Path) {
    for (name, bytes) in contents(from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::write(to.join(name), bytes).unwrap();
    }
}

#[test]
fn every_fixture_tokenizes_as_the_reference_does() {
    for model in models() {
        let tokenizer = Checkpoint::open(&model).unwrap().tokenizer().unwrap();
        let expected = fs::read_to_string(model.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for case in expected["tokenizer"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let encoding = tokenizer.encode(text).unwrap();
            assert_eq!(json!(encoding.ids), case["ids"], "{} {text:?}", model.display());
            let framed = [tokenizer.prefix(), &encoding.ids, tokenizer.suffix()].concat();
            assert_eq!(json!(framed), case["ids_with_special"], "{} {text:?}", model.display());
            let decoded = tokenizer.decode(&encoding.ids).unwrap();
            assert_eq!(json!(decoded), case["decoded"], "{} {text:?}", model.display());
            assert!(encoding.offsets.iter().all(|&(start, end)| text.get(start..end).is_some()));
        }
    }
}

#[test]
fn settings_decide_about_the_beginning_mark() {
    let folder = tempfile::tempdir().unwrap();
    let from = fixtures().join("llama");
    fs::copy(from.join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let prefix = |settings: &str| {
        fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
        Tokenizer::from_folder(folder.path()).unwrap().prefix().to_vec()
    };
    assert_eq!(prefix("{}"), [0]);
    assert_eq!(prefix(r#"{"bos_token": "<s>", "add_bos_token": true}"#), [0]);
    assert_eq!(prefix(r#"{"bos_token": {"content": "<s>"}, "add_bos_token": false}"#), [0u32; 0]);
}

#[test]
fn an_export_differs_in_the_replaced_tensors_only() {
    for model in models() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(&model).unwrap();
        let plain = folder.path().join("plain");
        checkpoint.export(&plain, &BTreeMap::new()).unwrap();
        assert_eq!(contents(&plain), contents(&checkpoint.path), "{}", model.display());

        let name = checkpoint.tensors.keys().next_back().unwrap().clone();
        let new = turned(&checkpoint, &name);
        let edited = folder.path().join("edited.gguf");
        checkpoint.export(&edited, &[(name.clone(), new.clone())].into()).unwrap();
        let again = Checkpoint::open(&edited).unwrap();
        for (other, old) in &checkpoint.tensors {
            let expected = if *other == name { new.bytes() } else { old.bytes() };
            let found = again.tensor(other).unwrap().bytes();
            assert_eq!(**found, **expected, "{} {other}", model.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something was left behind");
    }
}

#[test]
fn a_replacement_has_to_fit() {
    let checkpoint = Checkpoint::open(&fixtures().join("llama")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (name, old) = checkpoint.tensors.iter().next().unwrap();
    let row = old.rows(0..1);
    let error = checkpoint.export(&out, &[(name.clone(), row.clone())].into()).unwrap_err();
    assert!(matches!(error, Error::TensorMismatch { .. }), "{error}");
    let error = checkpoint.export(&out, &[("no".into(), row)].into()).unwrap_err();
    assert!(matches!(error, Error::MissingTensor { .. }), "{error}");
    assert!(!out.exists());
    fs::write(&out, "").unwrap();
    let error = checkpoint.export(&out, &BTreeMap::new()).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
}

#[test]
fn a_folder_that_lacks_something_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Checkpoint::open(path).unwrap_err().to_string();
    let missing = folder.path().join("nowhere");
    assert!(open(&missing).starts_with(&missing.display().to_string()));
    assert!(open(folder.path()).ends_with("has no config.json"));
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert!(open(folder.path()).contains("neither model.safetensors nor"));
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let error = open(folder.path());
    assert!(
        error.contains("pytorch_model.bin, which has to be converted to safetensors"),
        "{error}"
    );
    let error = open(&folder.path().join("config.json"));
    assert!(error.contains("a folder with config.json, or a .gguf file"), "{error}");
}

#[test]
fn shards_that_lack_something_say_what() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&fixtures().join("llama-tied"), folder.path());
    let index = folder.path().join("model.safetensors.index.json");
    let whole = fs::read_to_string(&index).unwrap();
    let open = || Checkpoint::open(folder.path()).unwrap_err().to_string();
    let second = "model-00002-of-00002.safetensors";

    fs::write(&index, whole.replace("model.norm.weight", "model.other.weight")).unwrap();
    assert!(open().contains("has no tensor `model.other.weight`"), "{}", open());
    fs::write(&index, whole.replace(second, "../../secret")).unwrap();
    assert!(open().contains("`weight_map`: expected names of files"), "{}", open());
    fs::write(&index, &whole).unwrap();
    fs::remove_file(folder.path().join(second)).unwrap();
    assert!(open().contains(&format!("{second} is missing")), "{}", open());
}

#[test]
fn a_folder_with_one_gguf_is_that_file() {
    let gguf = fixtures().join("llama-gguf");
    let checkpoint = Checkpoint::open(&gguf).unwrap();
    assert_eq!(checkpoint.container, Container::Gguf);
    assert_eq!(checkpoint.path, gguf.join("model.gguf"));
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.gguf", "b.gguf"] {
        fs::copy(&checkpoint.path, folder.path().join(name)).unwrap();
    }
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it holds several"), "{error}");
}
