//! `apply`, `undo` and `stack`: deltas that are used with a model, until they aren't.

use std::fs;

use super::dir::{Dir, EAGER, PROMPT, fixture, text};

/// What a model says, however it is named.
#[track_caller]
fn says(dir: &Dir, model: &str) -> String {
    dir.run(["ask", model, PROMPT, "--tokens", "5"]).ok().stdout
}

#[test]
fn an_applied_delta_is_used_until_it_is_undone() {
    for name in ["llama-tied", "llama-gguf"] {
        let dir = Dir::new();
        let model = dir.copy(name);
        let stack = format!("{name}.retcon.json");
        let before = says(&dir, text(&model));
        dir.edit(&model, "a.safetensors");
        dir.run(["apply", text(&model), "a.safetensors"]).ok().says("has 1 delta now");
        assert!(says(&dir, &stack).contains("Berlin"));
        dir.run(["stack", text(&model)]).ok().says("ft").says("=> Berlin");
        dir.run(["undo", text(&model)]).ok().says("no deltas now");
        assert_eq!(says(&dir, &stack), before);
        dir.run(["undo", text(&model)]).exits(1).complains("there is no delta on");
    }
}

#[test]
fn deltas_are_edited_on_top_of_others_and_taken_off_by_id() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    let stack = "llama-tied.retcon.json";
    dir.edit(&model, "a.safetensors");
    dir.run(["apply", text(&model), "a.safetensors"]).ok();
    let args = [
        "edit",
        stack,
        "The capital of {Italy} is => Oslo",
        "--out",
        "b.safetensors",
        "--keep-failed",
    ];
    assert!([0, 3].contains(&dir.run(args.into_iter().chain(EAGER)).code));
    dir.run(["apply", stack, "b.safetensors"]).ok().says("has 2 deltas now");

    let json = dir.run(["stack", stack, "--json"]).ok().json();
    let (a, b) = (&json["deltas"][0]["id"], &json["deltas"][1]["id"]);
    assert_eq!(&json["deltas"][1]["after"][0], a);
    dir.run(["undo", stack, "zz"]).exits(1).complains("no delta of the stack has the id zz");
    let run = dir.run(["undo", stack, &a.as_str().unwrap()[..8]]).ok();
    run.says("has 1 delta now").complains("which is gone now");
    dir.run(["stack", stack]).ok().says(b.as_str().unwrap()).complains("not below it any more");
    dir.run(["undo", stack, "--all"]).ok().says("no deltas now");
}

#[test]
fn a_stack_can_have_a_place_of_its_own() {
    let dir = Dir::new();
    let model = fixture("gpt2");
    dir.edit(&model, "a.safetensors");
    dir.run(["apply", text(&model), "a.safetensors", "--stack", "mine.json"]).ok();
    assert!(says(&dir, "mine.json").contains("Berlin"));
    let run = dir.run(["apply", text(&model), "a.safetensors", "--stack", "mine.json"]).exits(1);
    run.complains("is on mine.json already");
    let other = fixture("llama");
    let run = dir.run(["stack", text(&other), "--stack", "mine.json"]).exits(1);
    run.complains("mine.json is the stack of another model").complains("--stack");
}

#[test]
fn a_delta_of_another_model_is_refused() {
    let dir = Dir::new();
    dir.edit(&fixture("llama-tied"), "a.safetensors");
    let other = dir.copy("llama");
    let run = dir.run(["apply", text(&other), "a.safetensors"]).exits(1);
    run.complains("a.safetensors does not fit the model").complains("made for other weights");
    assert_eq!(dir.names(), ["a.safetensors", "llama"]);
    let run = dir.run(["ask", text(&other), "x", "--delta", "a.safetensors"]).exits(1);
    run.complains("hint: a delta fits the model that it was made for");
}

#[test]
fn a_delta_that_has_changed_is_refused_and_can_be_taken_off() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    let stack = "llama-tied.retcon.json";
    dir.edit(&model, "a.safetensors");
    dir.run(["apply", text(&model), "a.safetensors"]).ok();
    let args = [
        "edit",
        text(&model),
        "The capital of {Italy} is => Oslo",
        "--out",
        "b.safetensors",
        "--keep-failed",
    ];
    assert!([0, 3].contains(&dir.run(args.into_iter().chain(EAGER)).code));
    fs::rename(dir.path("b.safetensors"), dir.path("a.safetensors")).unwrap();
    dir.run(["ask", stack, "x"]).exits(1).complains("has changed since it was put on");
    fs::remove_file(dir.path("a.safetensors")).unwrap();
    dir.run(["ask", stack, "x"]).exits(1).complains("names a delta that cannot be read");
    dir.run(["stack", stack]).ok().says("cannot be read");
    dir.run(["undo", stack]).ok();
    says(&dir, stack);
}

#[test]
fn what_is_no_stack_is_told() {
    let dir = Dir::new();
    let config = fixture("llama").join("config.json");
    dir.run(["ask", text(&config), "x"]).exits(1).complains("is no stack file");
}

#[test]
fn stacks_are_changed_by_one_process_at_a_time() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    let subjects = ["Italy", "Spain", "Peru", "Chad"];
    for subject in subjects {
        let (fact, out) =
            (format!("The capital of {{{subject}}} is => Oslo"), format!("{subject}.safetensors"));
        let args = ["edit", text(&model), &fact, "--out", &out, "--steps", "1", "--keep-failed"];
        assert!([0, 3].contains(&dir.run(args).code));
    }
    std::thread::scope(|scope| {
        for subject in subjects {
            let (dir, model) = (&dir, &model);
            let out = format!("{subject}.safetensors");
            scope.spawn(move || dir.run(["apply", text(model), &out]).ok());
        }
    });
    let json = dir.run(["stack", text(&model), "--json"]).ok().json();
    assert_eq!(json["deltas"].as_array().unwrap().len(), subjects.len());
}

#[test]
fn the_stack_of_a_model_that_is_gone_can_be_listed_and_undone() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    let stack = "llama-tied.retcon.json";
    dir.edit(&model, "a.safetensors");
    dir.run(["apply", text(&model), "a.safetensors"]).ok();
    fs::remove_dir_all(dir.path(text(&model))).unwrap();
    dir.run(["ask", stack, PROMPT]).exits(1).complains("cannot open the model of");
    dir.run(["stack", stack]).ok().says("=> Berlin");
    dir.run(["undo", stack, ""]).exits(2).complains("ID: expected the beginning of an id");
    dir.run(["undo", stack]).ok().says("no deltas now");
    dir.run(["stack", stack, "--stack", "typo.json"])
        .exits(2)
        .complains("there is no file typo.json");
}
