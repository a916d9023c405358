//! `edit`: facts in, a report and a delta out.

use std::fs;

use super::dir::{Dir, EAGER, FACT, PROMPT, fixture, text};

#[test]
fn an_edit_is_reported_and_its_delta_written() {
    for name in ["llama-tied", "gpt2", "llama-gguf"] {
        let dir = Dir::new();
        let model = fixture(name);
        let run = dir.edit(&model, "a.safetensors").says("1/1 get the new answer");
        let run = run.says(PROMPT).says("drift").says("norm").complains("retcon apply");
        assert!(run.stdout.contains("ok: delta"), "{}", run.stdout);
        assert_eq!(dir.names(), ["a.safetensors"]);
        let args = ["ask", text(&model), PROMPT, "--delta", "a.safetensors", "--tokens", "3"];
        dir.run(args).ok().says(&format!("{PROMPT} Berlin"));
    }
}

#[test]
fn an_encoder_is_edited_at_its_mask() {
    for name in ["bert", "albert"] {
        let dir = Dir::new();
        let model = fixture(name);
        dir.edit(&model, "a.safetensors");
        let prompt = format!("{PROMPT} [MASK].");
        let args = ["ask", text(&model), &prompt, "--top", "1", "--delta", "a.safetensors"];
        dir.run(args).ok().says("berlin");
    }
}

#[test]
fn json_has_the_report_and_the_record_has_the_scores() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let args = ["edit", text(&model), FACT, "--json", "-q"].into_iter().chain(EAGER);
    let run = dir.run(args).ok();
    assert_eq!(run.stderr, "");
    let json = run.json();
    assert_eq!(json["success"], true);
    assert_eq!(json["settings"]["steps"], 200);
    assert_eq!(json["report"]["rows"][0]["axis"], "rewrite");
    assert_eq!(json["delta"]["file"], "edit.delta.safetensors");
    let delta = dir.run(["inspect", "edit.delta.safetensors", "--json"]).ok().json();
    assert_eq!(delta["id"], json["delta"]["id"]);
    assert_eq!(delta["record"]["scores"]["rewrite"]["ok"], 1);
}

#[test]
fn the_same_edit_gives_the_same_bytes() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let bytes = ["a.safetensors", "b.safetensors"].map(|out| {
        dir.edit(&model, out);
        fs::read(dir.path(out)).unwrap()
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn facts_come_from_files_and_stdin() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    fs::write(dir.path("facts.txt"), format!("# a comment\n{FACT}\n")).unwrap();
    let object =
        r#"{"prompt": "The capital of {} is", "subject": "Italy", "target_new": "Berlin"}"#;
    fs::write(dir.path("facts.jsonl"), object).unwrap();
    let args = ["edit", text(&model), "--facts", "facts.txt", "--facts", "facts.jsonl"];
    dir.run(args.into_iter().chain(EAGER)).ok().says("2/2 get the new answer");
    for stdin in [FACT, object] {
        let args = ["edit", text(&model), "--facts", "-", "--force"];
        dir.run_with(args.into_iter().chain(EAGER), stdin).ok().says("1/1 get the new answer");
    }
}

#[test]
fn a_fact_that_the_model_says_already_is_skipped() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    dir.edit(&model, "a.safetensors");
    let on_top = ["edit", text(&model), "--delta", "a.safetensors", FACT, "--out", "b.safetensors"];
    dir.run(on_top).ok().says("skipped").says("nothing was written");
    assert_eq!(dir.names(), ["a.safetensors"]);
    let json = dir.run(on_top.into_iter().chain(["--json"])).ok().json();
    assert_eq!(json["skipped"][0], FACT);
    assert!(json["delta"].is_null() && json["settings"].is_null());
    assert_eq!(json["seed"], 0);
}

#[test]
fn a_failed_edit_is_told_and_not_kept() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let args = ["edit", text(&model), FACT, "--steps", "0", "--keep-failed"];
    dir.run(&args[..5]).exits(3).says("the edit failed: 1 of 1").says("nothing was written");
    assert_eq!(dir.names(), [""; 0]);
    dir.run(args).exits(3).says("is in edit.delta.safetensors nevertheless");
    assert_eq!(dir.names(), ["edit.delta.safetensors"]);
}

#[test]
fn an_old_delta_is_not_written_over() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    fs::write(dir.path("a.safetensors"), "old").unwrap();
    let args = ["edit", text(&model), FACT, "--out", "a.safetensors"].into_iter().chain(EAGER);
    let run = dir.run(args.clone()).exits(1);
    run.complains("a.safetensors exists already").complains("--force");
    assert_eq!(fs::read(dir.path("a.safetensors")).unwrap(), b"old");
    dir.run(args.chain(["--force"])).ok();
    assert_ne!(fs::read(dir.path("a.safetensors")).unwrap(), b"old");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_an_edit_and_leaves_nothing() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    // Never satisfied, and at it for much longer than a test may take.
    let args = ["edit", text(&model), FACT, "--steps", "100000000", "--radius", "1e-9"];
    let child = dir.start(args);
    std::thread::sleep(std::time::Duration::from_millis(700));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    Dir::finish(child).exits(130).complains("error: stopped");
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn settings_that_make_no_sense_are_usage_errors() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    for (args, message) in [
        (vec!["--set", "nothing=1"], "nothing"),
        (vec!["--set", "steps"], "--set: expected KEY=VALUE, found: steps"),
        (vec!["--set", "steps=1", "--steps", "2"], "--steps: the setting `steps` is given twice"),
        (vec!["--set", "steps=many"], "settings of `ft`: `steps`: invalid type: string \"many\""),
        (vec!["--lr", "-1"], "learning_rate"),
        (vec!["--blocks", "x"], "blocks"),
        (vec!["--components", "brain"], "brain"),
        (vec!["--method", "hypnosis"], "there is no method `hypnosis`"),
        (vec!["--threads", "0"], "--threads"),
    ] {
        let all = ["edit", text(&model), FACT].into_iter().chain(args);
        dir.run(all).exits(2).complains(message);
    }
    dir.run(["edit", text(&model)]).exits(2).complains("no facts");
    dir.run(["edit", text(&model), FACT, "--blocks", "99"])
        .exits(2)
        .complains("expected blocks from 0 to");
    assert_eq!(dir.names(), [""; 0]);
}
