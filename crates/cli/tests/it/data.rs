//! `data`: formats listed and described, files checked and converted.

use std::fs;

use serde_json::{Value, json};

use super::dir::Dir;

/// Three cases, the last of which does not name its subject.
const ZSRE: &str = r#"{"subject":"Ann","src":"Where does Ann live?","rephrase":"In which town is Ann?","alt":"Oslo","answers":["Rome"],"loc":"nq question: who wrote it","loc_ans":"Bo"}
{"subject":"Bo","src":"Where does Bo live?","alt":"Rome","answers":["Oslo"]}
{"subject":"Cy","src":"Where does she live?","alt":"Rome","answers":["Oslo"]}
"#;

fn dir() -> Dir {
    let dir = Dir::new();
    fs::write(dir.path("zsre.jsonl"), ZSRE).unwrap();
    dir
}

#[test]
fn formats_are_listed_and_described() {
    let dir = Dir::new();
    dir.run(["data"]).exits(0).says("counterfact-flat").says("mquake").says("own");
    let all: Value = dir.run(["data", "--json"]).exits(0).json();
    assert!(all.as_array().unwrap().iter().any(|format| format["name"] == "ripple"));
    dir.run(["data", "zsre"]).exits(0).says("loc, loc_ans").says("arXiv:2110.11309");
}

#[test]
fn a_file_is_checked() {
    let dir = dir();
    dir.run(["data", "zsre.jsonl"])
        .exits(0)
        .says("format    zsre\n")
        .says("zsre.jsonl:3: `src`: subject not found in the prompt")
        .says("Where does {Ann} live? => Oslo");
    let found = dir.run(["data", "zsre.jsonl", "--json"]).exits(0).json();
    assert_eq!((&found["cases"], &found["format"]), (&json!(2), &json!("zsre")));
    assert_eq!(found["questions"], json!({"rewrite": 2, "paraphrase": 1, "unrelated": 1}));
    assert_eq!(found["left_out"][0]["line"], 3);
    assert_eq!(found["first"]["edits"][0]["prompt"], "Where does {Ann} live?");
}

#[test]
fn the_format_is_said_or_found() {
    let dir = dir();
    let found = dir.run(["data", "zsre.jsonl", "--from", "zsre-rome", "--json"]).exits(0).json();
    assert_eq!(found["first"]["edits"][0]["target_new"], "Rome");
    let world = dir.run(["data", "world", "--count", "7", "--json"]).exits(0).json();
    assert_eq!((&world["cases"], &world["format"]), (&json!(7), &json!("own")));
}

#[test]
fn a_file_is_converted_and_read_again() {
    let dir = dir();
    let to = ["data", "zsre.jsonl", "--to", "cases", "--out", "cases.jsonl"];
    dir.run(to).exits(0).says("2 cases as zsre").says("2 cases as cases");
    let found = dir.run(["data", "cases.jsonl", "--json"]).exits(0).json();
    assert_eq!((&found["cases"], &found["format"]), (&json!(2), &json!("cases")));
    dir.run(to).exits(1).complains("cases.jsonl exists already").complains("--force");
    dir.run(to.into_iter().chain(["--force"])).exits(0);

    let facts = ["data", "cases.jsonl", "--to", "facts", "--out", "facts.jsonl", "--json"];
    let written = dir.run(facts).exits(0).json();
    assert_eq!(written["lost"], json!({"unrelated": 1}));
    assert_eq!(fs::read_to_string(dir.path("facts.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn what_can_t_be_done_is_told_and_nothing_written() {
    let dir = dir();
    dir.run(["data", "squad"]).exits(1).complains("there is no file and no format squad");
    dir.run(["data", "zsre.jsonl", "--from", "squad"])
        .exits(2)
        .complains("no such format of cases")
        .complains("hint: `retcon data` lists the formats");
    dir.run(["data", "zsre.jsonl", "--to", "ripple", "--out", "x"])
        .exits(2)
        .complains("a format that is read alone");
    dir.run(["data", "zsre.jsonl", "--to", "counterfact", "--out", "x"])
        .exits(1)
        .complains("no case can be written as counterfact: case 0: it has no group");
    dir.run(["data", "zsre.jsonl", "--from", "counterfact"])
        .exits(1)
        .complains("zsre.jsonl:1: missing key: case_id");
    dir.run(["data", "zsre.jsonl", "--to", "cases"]).exits(2);
    assert_eq!(dir.names(), ["zsre.jsonl"]);
}
