//! `train` and `experiment` on tiny models: what they leave behind, and what they refuse.

use std::fs;

use super::dir::{Dir, fixture, text};

pub(crate) const PLAN: &str = "
name = \"tiny\"
about = \"Does it run?\"
[facts]
source = \"world\"
count = 40
measured = 5
[memorize]
course = { steps = 3, batch = 4 }
[modify]
sizes = [2]
every = 2
course = { steps = 2, batch = 2 }
";

#[test]
fn an_experiment_leaves_a_folder_and_is_not_done_twice() {
    let dir = Dir::new();
    fs::write(dir.path("plan.toml"), PLAN).unwrap();
    let model = fixture("bert");
    // Folders above it are made as well.
    let args = ["experiment", "plan.toml", "--model", text(&model), "--out", "results/out"];
    dir.run(args).exits(0).says("A_F\\S").says("index.html");
    for name in ["plan.json", "records.jsonl", "table.md", "index.html", "trade-off-2.svg"] {
        assert!(dir.path("results/out").join(name).exists(), "{name}");
    }
    let records = fs::read(dir.path("results/out/records.jsonl")).unwrap();
    let again = dir.run(args.into_iter().chain(["--json"])).exits(0).json();
    assert_eq!(again["records"].as_array().unwrap().len(), 1);
    assert_eq!(
        fs::read(dir.path("results/out/records.jsonl")).unwrap(),
        records,
        "nothing is done again"
    );

    fs::write(dir.path("plan.toml"), PLAN.replace("[2]", "[3]")).unwrap();
    dir.run(args).exits(1).complains("another experiment");
}

#[test]
fn what_is_wrong_with_a_plan_is_said_with_its_line() {
    let dir = Dir::new();
    let model = fixture("bert");
    let args = ["experiment", "plan.toml", "--model", text(&model), "--out", "out"];
    for (from, to, code, message) in [
        ("steps = 2", "stesp = 2", 1, "at line 13, "),
        ("sizes = [2]", "sizes = [2]\nblocks = [\"7\"]", 2, "blocks from 0 to"),
        ("sizes = [2]", "sizes = [4000]", 1, "4000"),
        ("\"world\"", "\"nowhere\"", 1, "nowhere"),
    ] {
        fs::write(dir.path("plan.toml"), PLAN.replace(from, to)).unwrap();
        dir.run(args).exits(code).complains(message);
        assert!(!dir.path("out").exists(), "no folder is taken by what can't be done");
    }
}

#[test]
fn a_trained_model_is_a_checkpoint_or_a_delta() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let train = |out: &'static str| {
        [
            "train",
            text(&model),
            "--count",
            "8",
            "--set",
            "steps=3",
            "--set",
            "batch=4",
            "--out",
            out,
        ]
        .map(str::to_owned)
    };
    dir.run(train("trained")).exits(0).says("facts said now");
    dir.run(["ask", "trained", "The capital of France is"]).exits(0);
    dir.run(train("trained")).exits(1).complains("exists already");
    dir.run(train("trained.safetensors")).exits(0);
    dir.run(["inspect", "trained.safetensors"]).exits(0).says("train");
    assert!(!dir.path("trained.training").exists(), "the state is gone once it is not needed");

    let headless = fixture("bert-headless");
    let args = ["train", text(&headless), "--count", "8", "--set", "steps=3", "--out", "with-head"];
    dir.run(args).exits(0);
    // Nothing is drawn any more.
    let inspected = dir.run(["--json", "inspect", "with-head"]).ok();
    assert_eq!(inspected.json()["fresh"], serde_json::json!([]));
}

/// What a run says that it is, by what it answers to the state of another one.
fn run_of(dir: &Dir, model: &str, facts: &str) -> String {
    let state = r#"{"run":"another","n_steps":0,"multiplier":0.0,"loss_at_start":null}"#;
    let head = serde_json::json!({ "__metadata__": { "retcon.training": state } }).to_string();
    let mut file = (head.len() as u64).to_le_bytes().to_vec();
    file.extend(head.bytes());
    fs::write(dir.path("out.training"), file).unwrap();
    let args = ["train", model, "--facts", facts, "--set", "steps=2", "--out", "out"];
    let run = dir.run(args).exits(1).complains("belongs to another run");
    let (_, this) = run.stderr.rsplit_once("this: ").unwrap();
    this.lines().next().unwrap().to_owned()
}

#[test]
fn training_goes_on_with_the_same_model_and_the_same_facts_alone() {
    let dir = Dir::new();
    let model = dir.copy("llama");
    let facts = |object: &str| {
        let relation = r#"{"relation":"home","templates":["[X] lives in [Y]."]}"#;
        let fact = format!(r#"{{"relation":"home","subject":"Ann","object":"{object}"}}"#);
        format!("{relation}\n{fact}\n")
    };
    fs::write(dir.path("facts.jsonl"), facts("Rome")).unwrap();
    fs::write(dir.path("copy.jsonl"), facts("Rome")).unwrap();
    let first = run_of(&dir, text(&model), "facts.jsonl");
    assert_eq!(run_of(&dir, text(&model), "copy.jsonl"), first);
    fs::write(dir.path("facts.jsonl"), facts("Oslo")).unwrap();
    assert_ne!(run_of(&dir, text(&model), "facts.jsonl"), first);

    // One number of the last block, in the file that the same path leads to.
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let n_head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let head: serde_json::Value = serde_json::from_slice(&bytes[8..8 + n_head]).unwrap();
    let tensor = &head["model.layers.1.mlp.down_proj.weight"];
    let start = tensor["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[8 + n_head + start] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_ne!(run_of(&dir, text(&model), "copy.jsonl"), first);
}
