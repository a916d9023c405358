//! Everything that can be wrong with what a user gives, and what is said about it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use retcon::model::checkpoint::safetensors;
use serde_json::{Value, json};

use super::dir::{Dir, FACT, fixture, text};

/// Damages a model, and expects `message` and `hint` of every command that opens it.
#[track_caller]
pub(crate) fn check(name: &str, damage: impl FnOnce(&Path), message: &str, hint: &str) {
    let dir = Dir::new();
    let model = dir.copy(name);
    damage(&model);
    for args in [
        vec!["inspect", text(&model)],
        vec!["ask", text(&model), "x"],
        vec!["edit", text(&model), FACT],
    ] {
        dir.run(args).exits(1).complains("error: ").complains(message).complains(hint);
    }
    assert_eq!(dir.names().len(), 1, "nothing is written");
}

/// Sets `key` of the model's `config.json`.
pub(crate) fn configure(model: &Path, key: &str, value: Value) {
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn a_folder_without_config() {
    let damage = |model: &Path| fs::remove_file(model.join("config.json")).unwrap();
    check("llama", damage, "has no config.json", "hint: a model folder holds config.json");
}

#[test]
fn a_folder_without_weights() {
    let damage = |model: &Path| fs::remove_file(model.join("model.safetensors")).unwrap();
    check("llama", damage, "has neither model.safetensors nor", "");
}

#[test]
fn a_folder_without_a_shard() {
    let damage = |model: &Path| {
        fs::remove_file(model.join("model-00002-of-00002.safetensors")).unwrap();
    };
    check(
        "llama-tied",
        damage,
        "model-00002-of-00002.safetensors is missing",
        "hint: the checkpoint is incomplete",
    );
}

#[test]
fn a_folder_without_tokenizer() {
    let damage = |model: &Path| fs::remove_file(model.join("tokenizer.json")).unwrap();
    check("llama", damage, "llama has no tokenizer.json\n", "hint: transformers makes one");
    let damage = |model: &Path| {
        fs::remove_file(model.join("tokenizer.json")).unwrap();
        fs::write(model.join("vocab.json"), "{}").unwrap();
        fs::write(model.join("merges.txt"), "").unwrap();
    };
    let message = "llama has no tokenizer.json, only vocab.json and merges.txt";
    check("llama", damage, message, "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)");
}

#[test]
fn a_model_of_an_unknown_family() {
    let damage = |model: &Path| configure(model, "model_type", json!("mamba"));
    check(
        "llama",
        damage,
        "model type `mamba` is of no known family; the known ones are: llama",
        "hint: ",
    );
}

#[test]
fn a_setting_of_the_wrong_type() {
    let damage = |model: &Path| configure(model, "hidden_size", json!("big"));
    check("llama", damage, "`hidden_size`: expected a whole number, found: \"big\"", "");
}

/// Puts a copy of the tensor `from` at `to`, or takes away `to` where there is none.
pub(crate) fn retensor(from: Option<&'static str>, to: &'static str) -> impl FnOnce(&Path) {
    move |model| {
        let path = model.join("model.safetensors");
        let opened = safetensors::open(&path).unwrap();
        let tensors = opened.file.tensors();
        let mut tensors: BTreeMap<String, _> =
            tensors.map(|(name, stored)| (name.to_owned(), stored.clone())).collect();
        match from {
            Some(from) => tensors.insert(to.to_owned(), tensors[from].clone()),
            None => tensors.remove(to),
        };
        safetensors::write(&path, &tensors, &BTreeMap::new()).unwrap();
    }
}

const DOWN: &str = "model.layers.1.mlp.down_proj.weight";
const UP: &str = "model.layers.1.mlp.up_proj.weight";

#[test]
fn a_tensor_that_is_missing() {
    let message = format!("has no tensor `{DOWN}`");
    check("llama", retensor(None, DOWN), &message, "hint: the checkpoint is incomplete");
}

#[test]
fn a_tensor_of_another_shape() {
    let message = format!("tensor `{DOWN}`: expected shape");
    check("llama", retensor(Some(UP), DOWN), &message, "hint: settings and weights");
}

#[test]
fn a_tensor_too_many() {
    let message = "tensor `model.layers.1.mlp.extra` has no place in a model of family llama";
    let damage = retensor(Some(UP), "model.layers.1.mlp.extra");
    check("llama", damage, message, "hint: settings and weights");
}

/// Cuts a file in half.
fn halve(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn files_that_were_cut_short() {
    check("llama-gguf", halve, "reach past the end of the file", "hint: the file is damaged");
    let damage = |model: &Path| halve(&model.join("model.safetensors"));
    check("llama", damage, "bytes of tensors, found", "hint: the file is damaged");
}

#[test]
fn files_of_another_kind() {
    let damage = |model: &Path| fs::write(model, "GIF89a").unwrap();
    check("llama-gguf", damage, "this is no GGUF file", "hint: the file is damaged");
    let dir = Dir::new();
    fs::write(dir.path("model.bin"), "").unwrap();
    dir.run(["inspect", "model.bin"]).exits(1).complains("model.bin is no checkpoint");
}

/// Expects that a fact, or a line of a file, is refused with `message`.
#[track_caller]
fn refuse(fact: &str, message: &str) {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    dir.run(["edit", text(&model), fact]).exits(1).complains(message);
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn facts_that_are_none() {
    refuse("The capital of France is => Berlin", "no subject: write the subject in braces");
    refuse("The capital of {France} is Berlin", "no `=>` between prompt and new answer");
    refuse("The capital of {France} is => ", "`target_new` is empty");
    refuse("The capital of {} is => Berlin", "empty subject");
    refuse("The capital of {France is => Berlin", "unbalanced brace");
    refuse("{France}: [MASK] is its capital => Berlin", "the object at the end of a prompt");
}

#[test]
fn files_of_facts_that_are_none() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    for (line, message) in [
        (
            r#"{"prompt": "The capital is", "subject": "France", "target_new": "Berlin"}"#,
            "subject not found in the prompt",
        ),
        (r#"{"prompt": "The capital of {France} is"}"#, "missing key: target_new"),
        (r#"{"prompt": "The capital of {France} is", "target_new": ""}"#, "`target_new` is empty"),
        (r#"{"prompt""#, "not JSON"),
        ("", "no facts in facts.jsonl"),
    ] {
        fs::write(dir.path("facts.jsonl"), line).unwrap();
        let run = dir.run(["edit", text(&model), "--facts", "facts.jsonl"]).exits(1);
        run.complains("facts.jsonl").complains(message);
    }
    let run = dir.run(["edit", text(&model), "--facts", "nowhere.txt"]).exits(1);
    run.complains("nowhere.txt").complains("--facts takes facts, one a line, or - for stdin");
    let run = dir.run(["edit", text(&model), FACT, "The capital of {France} is => Rome"]).exits(1);
    run.complains("two facts contradict each other");
}

#[test]
fn deltas_that_are_none() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    fs::write(dir.path("facts.txt"), format!("{FACT}\n")).unwrap();
    for args in [
        vec!["apply", text(&model), "facts.txt"],
        vec!["ask", text(&model), "x", "--delta", "facts.txt"],
    ] {
        let run =
            dir.run(args).exits(1).complains("no delta, or a damaged one: facts.txt: no safe");
        run.complains("hint: deltas are files that `retcon edit` has written");
    }
}

/// Each error has the advice of its own command.
#[test]
fn values_that_make_no_sense_are_told_with_their_keys() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let run = dir.run(["stats", text(&model), "--blocks", "99"]).exits(2);
    run.complains("expected blocks from 0 to").complains("hint: blocks are numbered from 0");
    let train = ["train", text(&model), "--out", "trained"];
    let run = dir.run(train.into_iter().chain(["--set", "steps=abc"])).exits(2);
    run.complains("--set steps: invalid type: string \"abc\"");
    let run = dir.run(train.into_iter().chain(["--set", "batch=0"])).exits(2);
    assert!(!run.stderr.contains("hint"), "{}", run.stderr);
    let run = dir.run(train.into_iter().chain(["--set", "weight_decay=-3"])).exits(2);
    run.complains("weight_decay");
    // Nothing is watched while facts are memorized.
    let loss = r#"constraint={"kind":"loss","rise":0.1,"rate":1.0}"#;
    let run = dir.run(train.into_iter().chain(["--set", loss])).exits(2);
    let run = run.complains("none, l2 or linf");
    assert!(!run.stderr.contains("hint"), "{}", run.stderr);
    let linf = r#"constraint={"kind":"linf","radius":0.001}"#;
    let trains = train.into_iter().chain(["--set", linf, "--set", "steps=1", "--count", "4"]);
    dir.run(trains).exits(0);
    fs::remove_dir_all(dir.path("trained")).unwrap();
    let run = dir.run(train.into_iter().chain(["--texts", "evidences"])).exits(1);
    run.complains("has evidences to train on, of: world").complains("hint: `templates` are there");
    let run = dir.run(["trace", text(&model), "The capital of France is"]).exits(1);
    run.complains("as in `The capital of {France} is`, found: The capital of France is");
}

#[test]
fn an_encoder_without_a_mask() {
    let dir = Dir::new();
    let run = dir.run(["ask", text(&fixture("bert")), "The capital of France is"]).exits(1);
    run.complains("found no [MASK] in").complains("hint: write [MASK] where the missing word goes");
    let damage = |model: &Path| {
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let text = fs::read_to_string(model.join(file)).unwrap();
            fs::write(model.join(file), text.replace("[MASK]", "[GONE]")).unwrap();
        }
        let path = model.join("tokenizer_config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().remove("mask_token");
        fs::write(path, config.to_string()).unwrap();
    };
    let model = dir.copy("bert");
    damage(&model);
    let run = dir.run(["edit", text(&model), FACT]).exits(1);
    run.complains("the tokenizer has no mask token");
}

#[test]
fn models_that_are_nowhere() {
    let dir = Dir::new();
    dir.run(["ask", "./nowhere", "x"]).exits(1).complains("there is no model at ./nowhere");
}

#[test]
fn prompts_that_are_empty_or_too_long() {
    let dir = Dir::new();
    let model = fixture("gpt2");
    dir.run(["ask", text(&model), " "]).exits(2).complains("PROMPT: expected a text");
    let long = "word ".repeat(10_000);
    dir.run(["ask", text(&model), &long]).exits(1).complains("positions at most");
}

#[test]
fn places_that_cannot_be_written_to() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let run = dir.run(["edit", text(&model), FACT, "--out", "no/folder/a.safetensors"]).exits(1);
    run.complains("there is no folder no/folder to write to");
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    dir.edit(&model, "a.safetensors");
    let settings = format!("{}/config.json", text(&model));
    let kept = fs::read(dir.path(&settings)).unwrap();
    let out = ["stats", text(&model), "--blocks", "0", "--tokens", "10", "--out", &settings];
    dir.run(out).exits(1).complains("exists already, and is no statistics");
    dir.run(["demo", "--model", text(&model), "--out", &settings])
        .exits(1)
        .complains("exists already, and is no delta");
    for read in ["a.safetensors", &settings] {
        let run = dir.run(["verify", text(&model), "a.safetensors", "--markdown", read]).exits(1);
        run.complains("is read here, and would be written over");
    }
    assert_eq!(fs::read(dir.path(&settings)).unwrap(), kept);
}

#[test]
fn the_set_of_the_program_is_read_under_its_name_alone() {
    let dir = Dir::new();
    dir.run(["data", "nowhere", "--from", "own"]).exits(1).complains("expected the path `world`");
    dir.run(["data", "world", "--from", "own"]).ok();
}

#[test]
fn no_more_threads_are_started_than_can_run() {
    let dir = Dir::new();
    dir.run(["--threads", "100000", "methods"]).exits(2).complains("expected at most 1024");
}
