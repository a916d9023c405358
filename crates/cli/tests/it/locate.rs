//! `stats`, `tune`, and edits by methods that solve in closed form.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::dir::{Dir, Run, fixture, text};

const FACT: &str = "The capital of {France} is => Rome";

#[test]
fn statistics_are_computed_once_and_kept() {
    let dir = Dir::new();
    let model = fixture("llama");
    let stats = ["stats", text(&model), "--blocks", "0,1", "--out", "own.safetensors", "--json"];
    let first = dir.run(stats).ok();
    let first = first.complains("small text").complains("statistics of 2 blocks").json();
    assert_eq!(first["blocks"].as_array().unwrap().len(), 2);
    assert!(first["about"]["n_tokens"].as_u64().unwrap() > 1000);
    let again = dir.run(["stats", text(&model), "--blocks", "1"]).ok();
    let again = again.says("from the cache");
    assert!(!again.stderr.contains("small text"), "{}", again.stderr);
    // More blocks than before take another pass; the old ones come along.
    let more = dir.run(["stats", text(&model), "--blocks", "0-1", "--json"]).ok().json();
    assert_eq!(more["about"], first["about"]);
}

#[test]
fn statistics_of_several_texts_are_added_up() {
    let dir = Dir::new();
    let model = fixture("llama");
    let line = |word: &str| format!("the capital of a city {word} is in France\n").repeat(60);
    for (name, word) in [("a", "was"), ("b", "king")] {
        std::fs::write(dir.path(&format!("{name}.txt")), line(word)).unwrap();
        let (text_file, out) = (format!("{name}.txt"), format!("{name}.safetensors"));
        let args = ["stats", text(&model), "--blocks", "0", "--corpus", &text_file, "--out", &out];
        dir.run(args).ok();
    }
    let merge = ["stats", text(&model), "--merge", "a.safetensors", "--merge"];
    let both = merge.into_iter().chain(["b.safetensors", "--out", "both.safetensors", "--json"]);
    let both = dir.run(both).ok().json();
    assert_eq!(both["about"]["corpus"], "a.txt, b.txt");
    let edit = ["edit", text(&model), FACT, "--method", "rome", "--blocks", "0", "--keep-failed"];
    let run = dir.run(edit.into_iter().chain(["--stats", "both.safetensors"]));
    assert!(run.code == 0 || run.code == 3, "{}", run.stderr);
    let twice = merge.into_iter().chain(["a.safetensors", "--out", "c.safetensors"]);
    dir.run(twice).exits(1).complains("the same text, which would count twice");
}

#[test]
fn a_closed_form_edits_and_its_record_says_with_what() {
    let dir = Dir::new();
    let model = fixture("llama");
    let edit = |out: &'static str, more: &[&'static str]| {
        let args = ["edit", text(&model), FACT, "--method", "memit", "--keep-failed", "--out", out];
        let own = ["--set", "blocks=0,1", "--set", "mu=0.1", "--json"];
        dir.run(args.iter().chain(&own).chain(more).copied()).json()
    };
    let made = edit("a.safetensors", &[]);
    assert_eq!(made["method"], "memit");
    assert_eq!(made["settings"]["blocks"], "0,1");
    assert_eq!(made["settings"]["prefixes"].as_array().unwrap().len(), 5);
    assert_eq!(made["delta"]["updates"].as_array().unwrap().len(), 2);
    assert_eq!(made["delta"]["updates"][0]["rank"], 1);
    let again = edit("b.safetensors", &[]);
    assert_eq!(made["delta"]["id"], again["delta"]["id"]);
}

/// Of the cache's own statistics and of a file with the same, whichever are the first.
#[test]
fn null_spaces_are_found_once() {
    let model = fixture("llama");
    let own: &[&str] = &[];
    let of_file = &["--stats", "own.safetensors"];
    for [first, second] in [[own, of_file], [of_file, own]] {
        let dir = Dir::new();
        dir.run(["stats", text(&model), "--blocks", "all", "--out", "own.safetensors"]).ok();
        let edit = |stats: &[&str], out| {
            let edit = ["edit", text(&model), FACT, "--method", "alphaedit", "--keep-failed"];
            // There is no direction in which keys of a model this small have little.
            let numbers = ["--no-tune", "--set", "threshold=1", "--set", "steps=3", "--out", out];
            dir.run([&edit, stats, &numbers].concat());
            fs::read(dir.path(out)).unwrap()
        };
        let kept = || -> Vec<_> {
            let files = fs::read_dir(dir.path("cache").join("statistics/null-spaces")).unwrap();
            let files = files.map(|file| file.unwrap());
            files.map(|file| (file.path(), file.metadata().unwrap().modified().unwrap())).collect()
        };
        let made = edit(first, "first");
        let spaces = kept();
        assert!(!spaces.is_empty(), "{first:?}");
        assert!(edit(second, "second") == made, "{second:?}: what was kept is something else");
        assert_eq!(kept(), spaces, "{second:?}: they were made again");
    }
}

#[test]
fn statistics_of_another_model_are_refused() {
    let dir = Dir::new();
    let (model, other) = (fixture("llama"), fixture("qwen3"));
    dir.run(["stats", text(&other), "--blocks", "0", "--out", "other.safetensors"]).ok();
    let args = ["edit", text(&model), FACT, "--method", "rome", "--blocks", "0"];
    let run = dir.run(args.into_iter().chain(["--stats", "other.safetensors"]));
    run.exits(1).complains("another model").complains("retcon stats");
    let run = dir.run(args.into_iter().chain(["--stats", "missing.safetensors"]));
    run.exits(1).complains("missing.safetensors");
}

#[test]
fn a_model_that_knows_nothing_is_edited_at_blocks_by_depth() {
    let dir = Dir::new();
    let model = fixture("llama");
    let args = ["edit", text(&model), FACT, "--method", "rome", "--keep-failed"];
    dir.run(args).complains("by depth");
    let run = dir.run(["tune", text(&model), "--method", "rome"]).exits(1);
    run.complains("the model knows");
}

/// Makes `knowing`, a model that knows four capitals.
pub(crate) fn teach_capitals(dir: &Dir, name: &str) {
    let capitals = ["France => Paris", "Germany => Berlin", "Italy => Rome", "Spain => Madrid"];
    let facts = capitals.map(|fact| {
        let (country, capital) = fact.split_once(" => ").unwrap();
        format!("The capital of {{{country}}} is => {capital}\n")
    });
    fs::write(dir.path("facts.txt"), facts.concat()).unwrap();
    let model = fixture(name);
    let ft = ["edit", text(&model), "--facts", "facts.txt", "--method", "ft", "--out", "taught"];
    let all = ["--constraint", "none", "--components", "all", "--blocks", "all", "--lr", "0.05"];
    dir.run(ft.into_iter().chain(all).chain(["--steps", "300"])).ok();
    dir.run(["merge", text(&model), "taught", "--out", "knowing"]).ok();
}

#[test]
fn settings_are_chosen_by_trials_on_facts_that_the_model_knows() {
    let dir = Dir::new();
    teach_capitals(&dir, "llama");
    let tune = ["tune", "knowing", "--method", "memit", "--again", "--json"];
    let trials = |tuned: &Value, how: &str| -> Vec<(Value, [f64; 4])> {
        let of = |trial: &Value| {
            let [n, at_once] = ["n", "at_once"].map(|key| trial[key].as_u64().unwrap());
            if how == "alone" {
                assert!((4..=6).contains(&n) && at_once == 1, "{trial}");
            } else {
                assert!(n > 1 && at_once == n, "{trial}");
            }
            let [rewrite, paraphrase, locality, kl] =
                ["rewrite", "paraphrase", "locality", "kl"].map(|k| trial[k].as_f64().unwrap());
            assert!(kl > 0.0, "{trial}");
            // What a hundred such edits leave of other texts.
            let rest = (-100.0 / at_once as f64 * kl).exp();
            (trial["settings"].clone(), [rewrite, paraphrase, locality, rest])
        };
        tuned[how].as_array().unwrap().iter().map(of).collect()
    };
    let first = dir.run(tune).ok().json()["tuned"].clone();
    let tried = trials(&first, "alone");
    assert!(tried.iter().any(|(settings, _)| settings == &json!({})), "the method's own");
    assert!(tried.iter().any(|(settings, _)| settings["mu"] != Value::Null), "numbers");
    assert!(tried.iter().any(|(settings, _)| settings["blocks"] == "0"), "blocks");
    // Harmonic, so that nothing makes up for an edit that isn't there or for the loss of the rest.
    let score = |(_, scores): &(Value, [f64; 4])| 4.0 / scores.map(f64::recip).iter().sum::<f64>();
    assert!(tried.is_sorted_by(|a, b| score(a) >= score(b)), "{tried:?}");
    assert!(score(&tried[0]) > 0.0, "{tried:?}");
    // Those that did best are tried on facts at once, which decides.
    let at_once = trials(&first, "together");
    assert!(at_once.is_sorted_by(|a, b| score(a) >= score(b)), "{at_once:?}");
    assert!(at_once.iter().all(|(of, _)| tried.iter().any(|(alone, _)| alone == of)), "{first}");
    assert!(at_once.iter().any(|(settings, _)| settings == &tried[0].0), "{first}");
    let chosen = at_once.iter().find(|(settings, _)| settings == &first["settings"]).unwrap();
    let is_chance = 0.05 / (first["together"][0]["n"].as_f64().unwrap()).sqrt();
    assert!(score(chosen) >= score(&at_once[0]) - is_chance, "{at_once:?}");
    let traced = first["traced"].as_u64().expect("these facts are in it, so tracing finds them");
    assert!(traced < 2, "{traced}");
    let again = dir.run(tune).ok().json()["tuned"].clone();
    assert_eq!(trials(&again, "alone"), tried);
    assert_eq!(trials(&again, "together"), at_once);
    dir.run(["stats", "knowing", "--blocks", "all", "--out", "own.safetensors"]).ok();
    let of_file = dir.run(tune.into_iter().chain(["--stats", "own.safetensors"])).ok().json();
    assert_eq!(trials(&of_file["tuned"], "together"), at_once);
    assert_eq!(of_file["tuned"]["statistics"]["corpus"], "own");
    let corpus = fixture("corpus.txt");
    let one = ["--corpus", text(&corpus), "--blocks", "0", "--out", "one.safetensors"];
    dir.run(["stats", "knowing"].into_iter().chain(one)).ok();
    let of_one = dir.run(tune.into_iter().chain(["--stats", "one.safetensors"])).exits(1);
    of_one
        .complains("one.safetensors")
        .complains("lack blocks: 1")
        .complains("retcon stats MODEL --blocks");
    let kept = dir.run(["tune", "knowing", "--method", "memit", "--corpus", text(&corpus)]).ok();
    kept.complains("this choice is kept, of statistics of own: --again");
    let edit = ["edit", "knowing", FACT, "--method", "memit", "--keep-failed"];
    dir.run(edit).complains("memit is tuned for this model");
    // Without time the first candidate alone is tried, and what is left out is said.
    let in_no_time = dir.run(tune.into_iter().chain(["--minutes", "0"])).ok();
    let in_no_time = in_no_time.complains("the time was over before").json()["tuned"].clone();
    assert_eq!(trials(&in_no_time, "alone").len(), 1);
    assert!(trials(&in_no_time, "together").is_empty());
    let n = in_no_time["n_left_out"].as_u64().unwrap() as usize;
    // All others, and the first on facts at once.
    assert_eq!(n, tried.len());
    dir.run(tune.into_iter().chain(["--minutes", "-1"])).exits(2).complains("--minutes: expected");
}

#[test]
fn what_was_chosen_is_used_by_a_method_that_is_not_swept_by_itself() {
    let dir = Dir::new();
    teach_capitals(&dir, "llama");
    let edit = ["edit", "knowing", FACT, "--method", "ft", "--keep-failed", "--force"];
    let is_tuned = |run: Run| run.stderr.contains("ft is tuned for this model");
    assert!(!is_tuned(dir.run(edit)));
    let tune = ["tune", "knowing", "--method", "ft", "--minutes", "0"];
    dir.run(tune).ok().says("rest: what would be left").complains("the time was over before");
    let run = dir.run(edit).complains("trials could be made: `retcon tune MODEL --method ft");
    assert!(is_tuned(run));
    assert!(!is_tuned(dir.run(edit.into_iter().chain(["--no-tune"]))));
    // What is kept is told, and of what it is.
    let again = dir.run(tune.into_iter().chain(["--seed", "1"])).ok();
    again.complains("this choice is kept, of seed 0: --again");
}

/// Length means nothing behind a norm, and one block has to reach the value alone.
#[test]
fn where_a_norm_follows_blocks_are_tried_with_short_and_firm_values() {
    let dir = Dir::new();
    teach_capitals(&dir, "gemma3");
    for method in ["memit", "rome"] {
        let found = dir.run(["tune", "knowing", "--method", method, "--again", "--json"]).ok();
        let tuned = found.json()["tuned"].clone();
        let tried: Vec<&Value> =
            tuned["alone"].as_array().unwrap().iter().map(|trial| &trial["settings"]).collect();
        assert!(tried.contains(&&json!({})), "the method's own");
        let elsewhere = tried.iter().filter(|settings| settings.get("blocks").is_some());
        assert!(elsewhere.clone().any(|settings| settings["clamp"] == 0.75), "{tried:?}");
        let is_firm = |settings: &&Value| settings.get("mu").is_some();
        assert_eq!(elsewhere.clone().any(is_firm), method == "memit", "{tried:?}");
        let distinct: BTreeSet<String> = tried.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), tried.len(), "{tried:?}");
    }
}

#[test]
fn presets_are_listed_and_taken_by_name() {
    let dir = Dir::new();
    dir.run(["methods", "memit"]).ok().says("gpt-j-6b").says("13-17");
    let model = fixture("llama");
    let args = ["edit", text(&model), FACT, "--method", "memit", "--preset", "gpt-5"];
    dir.run(args).exits(2).complains("gpt-j-6b");
    // Its blocks are not there in so small a model, which is said before anything is changed.
    let args = ["edit", text(&model), FACT, "--method", "memit", "--preset", "gpt-j-6b"];
    dir.run(args).exits(2).complains("blocks from 0 to");
}
