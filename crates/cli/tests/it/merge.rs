//! `merge`: checkpoints with the edit in them.

use std::fs;
use std::path::Path;

use super::dir::{Dir, PROMPT, fixture, text};

#[test]
fn a_merged_folder_is_a_folder_that_says_the_new_fact() {
    for name in ["llama-tied", "gpt2"] {
        let dir = Dir::new();
        let model = fixture(name);
        dir.edit(&model, "a.safetensors");
        let run = dir.run(["merge", text(&model), "a.safetensors", "--out", "merged"]).ok();
        run.says("1 of 1 edited prompts get the new answer").says("relative to the change");
        let names = |path: &std::path::Path| {
            let entries = fs::read_dir(path).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&dir.path("merged")), names(&model));
        dir.run(["ask", "merged", PROMPT, "--tokens", "3"]).ok().says(&format!("{PROMPT} Berlin"));
    }
}

#[test]
fn a_merged_gguf_is_a_gguf_of_the_same_formats() {
    let dir = Dir::new();
    let model = fixture("llama-gguf");
    dir.edit(&model, "a.safetensors");
    let args = ["merge", text(&model), "a.safetensors", "--out", "merged.gguf", "--json"];
    let json = dir.run(args).ok().json();
    assert_eq!((&json["success"], &json["n_held"]), (&true.into(), &1.into()));
    assert!(json["tensors"][0]["error"].as_f64().unwrap() < 0.5, "{json}");
    let formats = |path: &str| dir.run(["inspect", path, "--json"]).ok().json()["formats"].clone();
    assert_eq!(formats("merged.gguf"), formats(text(&model)));
    dir.run(["ask", "merged.gguf", PROMPT, "--tokens", "3"]).ok().says(&format!("{PROMPT} Berlin"));
}

#[test]
fn a_checkpoint_of_another_kind_is_refused_before_it_is_written() {
    let dir = Dir::new();
    for (name, out, is) in
        [("llama-gguf", "x", "is a GGUF file, found: x"), ("gpt2", "x.gguf", "is a folder, found")]
    {
        let model = fixture(name);
        let delta = format!("{name}.safetensors");
        dir.edit(&model, &delta);
        let run = dir.run(["merge", text(&model), &delta, "--out", out]).exits(1);
        run.complains(is).complains("hint: give --out a name that");
        assert!(!dir.path(out).exists());
    }
}

/// The first part has all of the model, and the second nothing.
#[test]
fn a_gguf_of_several_parts_is_merged_into_a_folder_of_them() {
    let dir = Dir::new();
    let parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
    fs::copy(fixture("llama-gguf"), dir.path(parts[0])).unwrap();
    let mut empty = [b"GGUF".as_slice(), &3u32.to_le_bytes(), &[0; 16]].concat();
    empty.resize(32, 0);
    fs::write(dir.path(parts[1]), empty).unwrap();
    dir.edit(Path::new(parts[0]), "a.safetensors");
    let run = dir.run(["merge", parts[0], "a.safetensors", "--out", "merged.gguf"]).exits(1);
    run.complains("is a folder, found: merged.gguf").complains("a name that does not end in .gguf");
    assert!(!dir.path("merged.gguf").exists());
    dir.run(["merge", parts[0], "a.safetensors", "--out", "merged"]).ok();
    assert!(parts.iter().all(|part| dir.path("merged").join(part).is_file()));
    dir.run(["ask", "merged", PROMPT, "--tokens", "3"]).ok().says(&format!("{PROMPT} Berlin"));
}

#[test]
fn weights_that_do_not_have_the_edit_are_named() {
    let dir = Dir::new();
    let model = dir.copy("gpt2");
    dir.edit(&model, "a.safetensors");
    // The fixture has what the model is compared with beside it.
    fs::remove_file(model.join("expected.safetensors")).unwrap();
    fs::create_dir(model.join("original")).unwrap();
    let stale = ["consolidated.safetensors", "original/consolidated.00.pth", "m.gguf", "tf.h5"];
    for name in stale {
        fs::write(model.join(name), "").unwrap();
    }
    let run = dir.run(["merge", text(&model), "a.safetensors", "--out", "merged"]).ok();
    let warned = run.stderr.lines().filter(|line| line.contains("carried along without the edit"));
    assert_eq!(warned.count(), stale.len(), "{}", run.stderr);
    for name in stale {
        assert!(run.stderr.contains(name), "{}", run.stderr);
    }
}

#[test]
fn a_stack_is_merged_whole() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    dir.edit(&model, "a.safetensors");
    dir.run(["apply", text(&model), "a.safetensors"]).ok();
    dir.run(["merge", "llama-tied.retcon.json", "--out", "merged"]).ok().says("with 1 delta in it");
    let run = dir.run(["merge", "llama-tied.retcon.json", "--out", "merged"]).exits(1);
    run.complains("merged exists already");
    dir.run(["merge", text(&model), "--out", "other"]).exits(2).complains("nothing to merge");
}
