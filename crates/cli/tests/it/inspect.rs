//! `inspect`, `methods`, `completions`, and what every command shares.

use super::dir::{Dir, FACT, fixture, text};

#[test]
fn models_of_every_kind_are_described() {
    let dir = Dir::new();
    for (name, family) in [
        ("llama-tied", "llama"),
        ("gpt2", "gpt2"),
        ("bert", "bert"),
        ("albert", "albert"),
        ("llama-gguf", "llama"),
    ] {
        let model = fixture(name);
        let run = dir.run(["inspect", text(&model)]).ok();
        run.says(family).says("blocks.B.mlp.key").says("vocabulary").says("mapped");
        let json = dir.run(["inspect", text(&model), "--json"]).ok().json();
        assert_eq!(json["family"], family);
        assert!(json["formats"][0]["bytes"].as_u64().unwrap() > 0);
    }
}

#[test]
fn choices_are_told_in_words_and_sites_with_their_width() {
    let dir = Dir::new();
    for (name, words) in [
        (
            "llama-tied",
            ["RMS, eps 1e-5, before attention and MLP", "theta 100,000, width 12, in all 3 blocks"],
        ),
        ("gpt2", ["layer, eps 1e-5, before attention and MLP", "learned, added to the embedding"]),
        ("gemma3", ["before and after attention and MLP", "in blocks "]),
    ] {
        let model = fixture(name);
        let run = dir.run(["inspect", text(&model)]).ok();
        assert!(!run.stdout.contains('{'), "{}", run.stdout);
        let run = run.says(words[0]).says(words[1]);
        assert!(
            run.stdout.contains("SiLU") || run.stdout.contains("GELU by tanh"),
            "{}",
            run.stdout
        );
        let json = dir.run(["inspect", text(&model), "--json"]).ok().json();
        for site in ["up", "gate", "key"] {
            let name = format!("blocks.B.mlp.{site}");
            let is_gated = name.contains("gate") && !run.stdout.contains("gated");
            let found = json["sites"].as_array().unwrap().iter().find(|of| of["site"] == name);
            assert_eq!(found.is_none(), is_gated, "{name}");
            assert!(found.is_none_or(|found| found["width"] == json["d_mlp"]), "{name}");
        }
    }
}

#[test]
fn weights_that_were_drawn_are_told() {
    let dir = Dir::new();
    let run = dir.run(["inspect", text(&fixture("bert-headless"))]).ok();
    run.says("drawn, not in the checkpoint").complains("a new one is drawn");
}

#[test]
fn blocks_that_share_weights_are_told() {
    let dir = Dir::new();
    let model = fixture("albert");
    let run = dir.run(["inspect", text(&model)]).ok();
    run.says("4, which share the weights of 1").says("24 in the embeddings").says("B from 0 to 3");
    let json = dir.run(["inspect", text(&model), "--json"]).ok().json();
    assert_eq!((&json["n_blocks"], &json["n_stored_blocks"]), (&4.into(), &1.into()));
    assert_eq!((&json["d_model"], &json["d_embed"]), (&32.into(), &24.into()));
    dir.edit(&model, "a.safetensors").says("4 blocks run with the changed weights of 1");
}

#[test]
fn a_delta_is_described() {
    let dir = Dir::new();
    dir.edit(&fixture("llama-tied"), "a.safetensors");
    let run = dir.run(["inspect", "a.safetensors"]).ok();
    run.says(FACT).says("mlp.down").says("rewrite = 1/1").says("no other delta");
    let other = fixture("gpt2").join("model.safetensors");
    dir.run(["inspect", text(&other)]).exits(1).complains("is no delta that can be used");
}

#[test]
fn methods_and_their_settings_are_listed() {
    let dir = Dir::new();
    dir.run(["methods"]).ok().says("ft");
    dir.run(["methods", "ft"]).ok().says("learning_rate").says("arXiv 2012.00363");
    let json = dir.run(["methods", "ft", "--json"]).ok().json();
    assert_eq!(json["settings"][0]["key"], "blocks");
    dir.run(["methods", "--json"]).ok().json();
    dir.run(["methods", "x"]).exits(2).complains("the known ones are: ft");
}

#[test]
fn shells_get_completions() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        dir.run(["completions", shell]).ok().says("retcon");
    }
    let json = dir.run(["completions", "bash", "--json"]).ok().json();
    assert!(json["script"].as_str().unwrap().contains("retcon"));
    dir.run(["completions", "cobol"]).exits(2);
}

#[test]
fn help_documents_the_exit_codes() {
    let dir = Dir::new();
    dir.run(["--help"]).ok().says("the edit failed").says("130").says("RETCON_CACHE");
    dir.run(["--version"]).ok().says("retcon ");
    // A group's heading is over its own flags alone.
    let help = dir.run(["edit", "--help"]).ok().stdout;
    assert!(help.find("--keep-failed") < help.find("Statistics:"), "{help}");
    dir.run(["frobnicate"]).exits(2).complains("frobnicate");
}

#[test]
fn errors_are_objects_where_asked() {
    let dir = Dir::new();
    let run =
        dir.run(["inspect", "nowhere", "--json"]).exits(1).complains("error: there is no model");
    let json = run.json();
    assert_eq!(json["error"], "there is no model at nowhere");
    assert!(json["hint"].as_str().unwrap().contains("hub id"));
    // What can't be read is an error too.
    let json = dir.run(["inspect", "--json", "--frobnicate", "x"]).exits(2).json();
    assert_eq!(json["error"], "unexpected argument '--frobnicate' found");
    assert!(json["hint"].as_str().unwrap().contains("--help"));
    assert_eq!(dir.run(["inspect", "--frobnicate"]).exits(2).stdout, "");
}

#[test]
fn logs_say_more_where_asked_and_nothing_where_not() {
    let dir = Dir::new();
    let model = fixture("bert-headless");
    dir.run(["inspect", text(&model), "-v"]).ok().complains("opened");
    assert_eq!(dir.run(["inspect", text(&model), "-q"]).ok().stderr, "");
}
