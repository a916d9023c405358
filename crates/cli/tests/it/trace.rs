//! `trace`: tables, JSON and pictures of where a model keeps a fact, and what can't be traced.

use std::fs;

use super::dir::{Dir, fixture, text};

const MARKED: &str = "The capital of {France} is";

#[test]
fn a_trace_is_a_table_a_picture_and_json() {
    for name in ["llama-tied", "gpt2", "bert", "llama-gguf"] {
        let dir = Dir::new();
        let model = fixture(name);
        let args = ["trace", text(&model), MARKED, "--samples", "2", "--out", "map.svg"];
        let run = dir.run(args).ok().says("hidden").says("best block").says("rance*");
        let run = run.says("*: a token of the subject");
        run.complains("wrote map.svg");
        assert!(fs::read_to_string(dir.path("map.svg")).unwrap().contains("rance*"));

        let more = ["--kind", "all", "--json", "-q", "--out", "maps"];
        let args = ["trace", text(&model), MARKED, "--samples", "2"].into_iter().chain(more);
        let run = dir.run(args).ok();
        assert_eq!(run.stderr, "");
        let json = run.json();
        let trace = &json["traces"][0];
        let n_tokens = trace["tokens"].as_array().unwrap().len();
        let maps = trace["maps"].as_array().unwrap();
        assert_eq!(maps.len(), 5);
        for map in maps {
            assert_eq!(map["scores"].as_array().unwrap().len(), n_tokens);
        }
        assert!(trace["low"].is_f64() && trace["high"].is_f64());
        assert!(json["noise"]["deviation"].as_f64().unwrap() > 0.0);
        let prompt = &json["neurons"][0]["prompts"][0];
        assert!(!prompt["neurons"].as_array().unwrap().is_empty());
        assert!(json["neurons"][0]["shared"].is_null());
        for kind in ["hidden", "mlp", "attention", "severed-mlp", "severed-attention", "neurons"] {
            let png = fs::read(dir.path("maps").join(format!("{kind}.png"))).unwrap();
            assert!(png.starts_with(b"\x89PNG"), "{kind}");
        }
    }
}

#[test]
fn several_prompts_are_averaged_and_share_neurons() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let prompts = [MARKED, "{France}'s capital is", "The capital city of {France} is"];
    let more = ["--kind", "hidden,neurons", "--samples", "2", "--object", "Paris", "--out", "o"];
    let args = || ["trace", text(&model)].into_iter().chain(prompts).chain(more);
    let run =
        dir.run(args()).ok().says("average effects over 3 prompts").says("last subject token");
    run.says("in common").complains("traced nevertheless");
    let names: Vec<_> = fs::read_dir(dir.path("o")).unwrap().map(|e| e.unwrap().path()).collect();
    // Three maps, their average and the neurons, each as SVG and PNG.
    assert_eq!(names.len(), 2 * 5, "{names:?}");
    let json = dir.run(args().chain(["--json"])).ok().json();
    assert_eq!(json["averages"][0]["n"], 3);
    assert!(json["averages"][0]["lines"][0]["effects"][0]["half"].is_f64());
    assert!(json["neurons"][0]["shared"].is_array());
}

#[test]
fn facts_whose_old_answer_is_not_said_are_skipped() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let lines = [
        r#"{"prompt": "The capital of {France} is", "target_new": "Rome", "target_true": "Paris"}"#,
        r#"{"prompt": "The capital of {Spain} is", "target_new": "Rome"}"#,
    ];
    fs::write(dir.path("facts.jsonl"), lines.join("\n")).unwrap();
    let args = ["trace", text(&model), "--facts", "facts.jsonl", "--samples", "1", "--json"];
    let run = dir.run(args).ok();
    let json = run.json();
    run.complains("skipped, the model says");
    assert_eq!(json["skipped"][0]["object"], "Paris");
    assert_eq!(json["traces"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_traced_is_refused_with_advice() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let refuse = |more: &[&str], code: i32, message: &str| {
        let args = ["trace", text(&model)].iter().chain(more).copied().collect::<Vec<_>>();
        dir.run(args).exits(code).complains(message);
    };
    refuse(&["The capital of France is"], 1, "write the subject in braces");
    refuse(&["The capital of {France} is => Paris"], 1, "give the answer with --object");
    refuse(&[], 2, "no prompts");
    refuse(&[MARKED, "--kind", "heads"], 2, "--kind: expected hidden, mlp");
    refuse(&[MARKED, "--noise", "0"], 2, "--noise: expected a number above 0");
    refuse(&[MARKED, "--samples", "0"], 2, "--samples: expected at least 1");
    refuse(&[MARKED, "--kind", "all", "--out", "a.png"], 2, "6 pictures need a folder");
    refuse(&[MARKED, "--out", "no/folder"], 1, "there is no folder no to write to");
    refuse(&["{France} has [MASK] as capital"], 1, "text after it");
    assert_eq!(dir.names(), [""; 0]);
}
