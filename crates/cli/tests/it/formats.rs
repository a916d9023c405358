//! What is written is on the page of formats, key by key.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::dir::{Dir, fixture, text};
use super::experiment::PLAN;
use super::locate::teach_capitals;

/// The section `title` of the page.
fn section(title: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let page = fs::read_to_string(page).unwrap();
    let section = page.split(&format!("\n## {title}\n")).nth(1).unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// Makes sure that the section has every key of `object`.
#[track_caller]
fn has_keys(section: &str, object: &Value) {
    for key in object.as_object().unwrap().keys() {
        assert!(section.contains(&format!("`{key}`")), "`{key}` is missing in:\n{section}");
    }
}

/// The only file in a folder of the cache that ends so.
fn file(dir: &Dir, folder: &str, ending: &str) -> PathBuf {
    let files = fs::read_dir(dir.path("cache").join(folder)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|path| text(path).ends_with(ending)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The header of a safetensors file, of whatever types.
fn header(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
    serde_json::from_slice(&rest[..length]).unwrap()
}

fn is_hex(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_hexdigit())
}

#[test]
fn tuned_settings_and_statistics_are_as_the_page_has_them() {
    let dir = Dir::new();
    teach_capitals(&dir, "llama");
    dir.run(["tune", "knowing", "--method", "rome", "--minutes", "0"]).ok();
    let path = file(&dir, "tuned", ".json");
    let name = path.file_stem().unwrap().to_str().unwrap();
    assert!(is_hex(name.strip_prefix("rome-").unwrap()), "{name}");
    let (tuned, page) = (json(&path), section("Tuned settings"));
    assert!(page.contains("`tuned/METHOD-HEX.json`"));
    has_keys(&page, &tuned);
    has_keys(&page, &tuned["alone"][0]);
    for damaged in ["{\"method\": ", "\u{0}"] {
        fs::write(&path, damaged).unwrap();
        let tune = ["tune", "knowing", "--method", "rome", "--minutes", "0"];
        dir.run(tune).ok().complains("not what a sweep has found, so it does not count");
        has_keys(&page, &json(&path));
    }

    let path = file(&dir, "statistics", ".safetensors");
    assert!(is_hex(path.file_stem().unwrap().to_str().unwrap()), "{path:?}");
    let page = section("Statistics");
    assert!(page.contains("`statistics/HEX.safetensors`"));
    let written = header(&path)["__metadata__"]["retcon_statistics"].clone();
    let written: Value = serde_json::from_str(written.as_str().unwrap()).unwrap();
    has_keys(&page, &written);
    has_keys(&page, &written["about"]);
}

#[test]
fn records_of_an_experiment_are_as_the_page_has_them() {
    let dir = Dir::new();
    fs::write(dir.path("plan.toml"), PLAN).unwrap();
    let model = fixture("bert");
    dir.run(["experiment", "plan.toml", "--model", text(&model), "--out", "out"]).ok();
    let page = section("Records of an experiment");
    has_keys(&page, &json(&dir.path("out/plan.json")));
    let records = fs::read_to_string(dir.path("out/records.jsonl")).unwrap();
    for record in records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        has_keys(&page, &record);
        has_keys(&page, &record["cell"]);
        has_keys(&page, &record["points"][0]);
    }
}
