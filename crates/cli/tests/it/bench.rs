//! `bench`, `report`, `metrics`, `verify` and the bound of `edit`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dir::{Dir, EAGER, FACT, fixture};

/// A benchmark that takes a second or so on a tiny model.
fn bench(store: &str) -> Vec<String> {
    let model = fixture("llama").display().to_string();
    let args = [
        "bench",
        "--model",
        &model,
        "--data",
        "world",
        "-n",
        "6",
        "--methods",
        "ft,ft-l",
        "--settings",
        "single,batch:3,sequential:6:1:2",
        "--seeds",
        "0,1",
        "--general",
        "4",
        "--kept",
        "2",
        "--free",
        "4",
        "--no-tune",
        "--store",
        store,
        "--quiet",
        "--json",
    ];
    args.map(str::to_owned).to_vec()
}

/// [`bench`] with another value of one option.
fn changed(store: &str, option: &str, value: &str) -> Vec<String> {
    let mut args = bench(store);
    let at = args.iter().position(|word| word == option).unwrap();
    args[at + 1] = value.to_owned();
    args
}

/// The results of a run without what a clock has measured.
fn timeless(stdout: &str) -> Value {
    let mut results: Value = serde_json::from_str(stdout).unwrap();
    strip(&mut results);
    results
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !key.starts_with("time."));
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => {
            items.retain(|item| {
                !item["metric"].as_str().is_some_and(|name| name.starts_with("time."))
            });
            items.iter_mut().for_each(strip);
        }
        _ => {}
    }
}

#[test]
fn a_run_that_is_killed_twenty_times_ends_with_the_same_table() {
    let dir = Dir::new();
    let start = Instant::now();
    let whole = dir.run(bench("whole.sqlite"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let took = start.elapsed();
    let mut left = 20;
    let mut random = 7u64;
    while left > 0 {
        let mut child = dir.start(bench("killed.sqlite"));
        // Anywhere from before the store is made to the end of the work.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(took.mul_f64((random >> 33) as f64 / (1u64 << 31) as f64 / 3.0));
        if child.try_wait().unwrap().is_some() {
            // It was faster: nothing is left to kill, so start over.
            for name in dir.names().iter().filter(|name| name.starts_with("killed.sqlite")) {
                let path = dir.path(name);
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
            }
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        left -= 1;
    }
    let ended = dir.run(bench("killed.sqlite"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(timeless(&ended.stdout), timeless(&whole.stdout));
}

#[test]
fn two_processes_share_the_work() {
    let dir = Dir::new();
    let whole = dir.run(bench("whole.sqlite"));
    let other = dir.start(bench("shared.sqlite"));
    thread::sleep(Duration::from_millis(100));
    let mine = dir.run(bench("shared.sqlite"));
    let other = Dir::finish(other);
    assert_eq!((mine.code, other.code), (0, 0), "{} {}", mine.stderr, other.stderr);
    assert_eq!(timeless(&mine.stdout), timeless(&whole.stdout));
    assert_eq!(timeless(&other.stdout), timeless(&whole.stdout));
}

#[test]
fn a_store_is_reported_and_another_plan_refused() {
    let dir = Dir::new();
    let run = dir.run(bench("s.sqlite"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report = dir.run(["report", "s.sqlite", "--json"]);
    assert_eq!(timeless(&report.stdout), timeless(&run.stdout));
    let text = dir.run(["report", "s.sqlite"]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    for word in
        ["single", "batch:3", "sequential:6:1:2", "unedited", "ft-l", "teacher-forced", "free"]
    {
        assert!(text.stdout.contains(word), "{word} is not in:\n{}", text.stdout);
    }
    let named = ["report", "s.sqlite", "--metrics", "text.kl,rewrite.prefer", "--markdown"];
    let table = dir.run(named);
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert!(
        table
            .stdout
            .contains("| method | cases | `text.kl`, less is better | `rewrite.prefer`, % |")
    );
    assert!(table.stdout.starts_with("### single\n\n"), "{}", table.stdout);
    let unknown = dir.run(["report", "s.sqlite", "--metrics", "rewrite.best"]);
    assert!(unknown.stderr.contains("no metric `rewrite.best`"), "{}", unknown.stderr);
    let written = dir.run(["report", "s.sqlite", "--out", "report", "--quiet"]);
    assert_eq!(written.code, 0, "{}", written.stderr);
    for name in ["index.html", "report.md", "records.csv", "records.parquet"] {
        assert!(dir.path("report").join(name).is_file(), "{name}");
    }
    let refused = dir.run(changed("s.sqlite", "--general", "2"));
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("`asking` is {"), "{}", refused.stderr);
    assert!(refused.stderr.contains("\"general\":4"), "{}", refused.stderr);
    assert!(refused.stderr.contains("\"general\":2"), "{}", refused.stderr);
    assert!(refused.stderr.contains("another file with --store"), "{}", refused.stderr);
}

#[test]
fn a_stack_whose_deltas_are_others_is_another_model() {
    let dir = Dir::new();
    let model = dir.copy("llama-tied");
    dir.edit(&model, "a.safetensors");
    let apply = ["apply", model.to_str().unwrap(), "a.safetensors"];
    dir.run(apply).ok();
    let bench = || dir.run(changed("s.sqlite", "--model", "llama-tied.retcon.json"));
    bench().ok();
    bench().ok();
    dir.run(["undo", "llama-tied.retcon.json"]).ok();
    bench().exits(1).complains("is of another benchmark").complains("`fingerprint`");
    dir.run(apply).ok();
    bench().ok();
}

#[test]
fn a_run_that_grew_ends_with_the_table_of_a_whole_one() {
    let dir = Dir::new();
    let whole = dir.run(bench("whole.sqlite"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    // The sequence is of more cases.
    let mut few = changed("grown.sqlite", "-n", "3");
    let at = few.iter().position(|word| word.starts_with("single,")).unwrap();
    few[at] = "single,batch:3".to_owned();
    let few = dir.run(few);
    assert_eq!(few.code, 0, "{}", few.stderr);
    for (option, value) in [("--methods", "ft"), ("--seeds", "0"), ("--settings", "single")] {
        let part = dir.run(changed("grown.sqlite", option, value));
        assert_eq!(part.code, 0, "{}", part.stderr);
    }
    let grown = dir.run(bench("grown.sqlite"));
    assert_eq!(grown.code, 0, "{}", grown.stderr);
    assert_eq!(timeless(&grown.stdout), timeless(&whole.stdout));
}

#[test]
fn facts_that_are_kept_are_not_edited_when_there_are_more() {
    let dir = Dir::new();
    let model = fixture("llama").display().to_string();
    let prompts: Vec<String> = (1..=20).map(|i| format!("The capital of X{i} is")).collect();
    let ask = ["ask", &model, "--tokens", "2", "--json"].into_iter();
    let said = dir.run(ask.chain(prompts.iter().map(String::as_str))).ok().json();
    // What a random model says is what it knows.
    let fact = |(i, answer): (usize, &Value)| {
        let (subject, said) = (format!("X{}", i + 1), answer["text"].as_str().unwrap());
        let old = Some(said.trim()).filter(|said| said.is_ascii() && !said.is_empty());
        let prompt = "The capital of {} is";
        json!({"prompt": prompt, "subject": subject, "target_new": "Rome", "target_true": old})
    };
    let facts = said["answers"].as_array().unwrap().iter().enumerate().map(fact);
    let lines: Vec<String> = facts.map(|fact| fact.to_string()).collect();
    fs::write(dir.path("facts.jsonl"), lines.join("\n")).unwrap();
    let bench = |n: &'static str| {
        let args =
            ["bench", "--model", &model, "--data", "facts.jsonl", "--methods", "ft", "-n", n];
        let more = ["--kept", "2", "--free", "0", "--no-tune", "--store", "s", "--json", "--quiet"];
        dir.run(args.into_iter().chain(more)).ok().json()
    };
    let few = bench("4");
    let kept = &few["rows"][1]["scores"]["kept.tf.sequence"];
    assert!(kept["n"].is_number(), "the model knows none of the others");
    let more = bench("20");
    // It knows one or two: not every text that it says is what its tokens are read as.
    let n_cases = more["cases"].as_array().unwrap().len();
    assert!((18..20).contains(&n_cases), "{n_cases}");
    assert_eq!(more["rows"][1]["n_done"], n_cases);
    assert_eq!(bench("4")["cases"], more["cases"], "fewer are all that there are");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_loaded() {
    let dir = Dir::new();
    fs::write(dir.path("notes.txt"), "not a store\n".repeat(200)).unwrap();
    fs::write(dir.path("plan.toml"), "methods = [\"ft\"]\nmehtods = 1\n").unwrap();
    for (args, code, message) in [
        (vec!["bench"], 2, "no model: name one with --model"),
        (vec!["bench", "--model", "nowhere", "--data", "world"], 2, "no methods: name some"),
        (
            vec!["bench", "--model", "m", "--data", "world", "--methods", "ft", "--seeds", "1,1"],
            2,
            "--seeds: 1 is there twice",
        ),
        (
            vec!["bench", "--model", "m", "--data", "world", "--methods", "fine"],
            2,
            "no method `fine`",
        ),
        (
            vec![
                "bench",
                "--model",
                "m",
                "--data",
                "world",
                "--methods",
                "ft",
                "--settings",
                "some",
            ],
            2,
            "setting \"some\": expected single",
        ),
        (
            vec![
                "bench",
                "--model",
                "m",
                "--data",
                "world",
                "--methods",
                "ft",
                "--set",
                "ft.stops=1",
            ],
            2,
            "stops",
        ),
        (vec!["bench", "plan.toml"], 1, "unknown field `mehtods`"),
        (vec!["report", "notes.txt"], 1, "notes.txt is no store of results"),
        (vec!["report", "nothing.sqlite"], 1, "there is no such file"),
        (vec!["metrics", "rewrite"], 2, "there is no metric `rewrite`"),
    ] {
        let run = dir.run(&args);
        assert_eq!(run.code, code, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_plan_can_be_a_file() {
    let dir = Dir::new();
    let plan = format!(
        "model = {:?}\ndata = \"world\"\nn = 2\nsettings = [\"single\"]\ngeneral = 2\nkept = 0\nfree = 2\n\
         methods = [\"ft\", {{ method = \"ft\", label = \"wide\", settings = {{ blocks = \"all\" }} }}]\n",
        fixture("llama").display().to_string()
    );
    fs::write(dir.path("plan.toml"), plan).unwrap();
    let run = dir.run(["bench", "plan.toml", "--quiet", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let results: Value = serde_json::from_str(&run.stdout).unwrap();
    let rows = results["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["unedited", "ft", "wide"]);
    assert_eq!(rows[2]["settings"], json!({"blocks": "all"}));
}

#[test]
fn metrics_are_listed_with_their_sources() {
    let dir = Dir::new();
    let list = dir.run(["metrics"]).stdout;
    assert!(list.contains("rewrite.free.exact") && list.contains("ES, efficacy score"), "{list}");
    let json = dir.run(["metrics", "neighbor.same.free", "--json"]).json();
    assert_eq!((&json["is_free"], &json["better"]), (&json!(true), &json!("higher")), "{json}");
    // What is measured of a whole model is one too.
    assert!(list.contains("text.kl") && list.contains("time.edit"), "{list}");
    let one = dir.run(["metrics", "neighbor.prefer"]).stdout;
    assert!(one.contains("arXiv 2202.05262") && one.contains("NS, specificity"), "{one}");
}

#[test]
fn verify_is_a_gate() {
    let dir = Dir::new();
    let model = fixture("llama").display().to_string();
    let edit = [&["edit", &model, FACT, "--out", "e.safetensors"][..], &EAGER].concat();
    assert_eq!(dir.run(edit).code, 0);
    let verify =
        |limits: &[&str]| dir.run([&["verify", &model, "e.safetensors"][..], limits].concat());
    let passed = verify(&["--min-efficacy", "1", "--markdown", "v.md"]);
    assert_eq!(passed.code, 0, "{}", passed.stderr);
    assert!(passed.stdout.contains("ok: 1 edit within the limits"), "{}", passed.stdout);
    let markdown = fs::read_to_string(dir.path("v.md")).unwrap();
    assert!(markdown.starts_with("# Verified\n") && markdown.contains("| ok |"), "{markdown}");
    let refused = verify(&["--max-drift", "1e-9", "--json"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let json: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(json["passed"], false);
    assert!(json["checks"][3]["value"].as_f64().unwrap() > 1e-9);
    // Without a limit the edit itself has to hold.
    assert_eq!(verify(&[]).code, 0);
    let facts = ["--facts", "f.txt"];
    fs::write(dir.path("f.txt"), "The capital of {Norway} is => Rome\n").unwrap();
    assert_eq!(verify(&facts).code, 4);
    let bad = verify(&["--min-efficacy", "90"]);
    assert_eq!(bad.code, 2);
    assert!(bad.stderr.contains("a share between 0 and 1, found: 90"), "{}", bad.stderr);
}

#[test]
fn an_edit_is_held_back_to_a_bound_on_the_drift() {
    let dir = Dir::new();
    let model = fixture("llama").display().to_string();
    let edit = |more: &[&str]| {
        let args =
            [&["edit", &model, FACT, "--force", "--keep-failed", "--json"][..], &EAGER, more];
        let run = dir.run(args.concat());
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        (run, json)
    };
    let (_, free) = edit(&[]);
    let drift = |json: &Value| json["report"]["drift"]["mean_kl"].as_f64().unwrap();
    let bound = drift(&free) / 4.0;
    let (run, held) = edit(&["--max-drift", &bound.to_string()]);
    // The report asks its own texts, which are those that the bound was measured over.
    assert!(drift(&held) <= bound * 1.001, "{} {bound}", drift(&held));
    assert!(drift(&held) > bound / 20.0, "{} {bound}", drift(&held));
    assert!(run.stderr.contains("of the change: drift"), "{}", run.stderr);
    // With another seed other texts are measured, on both sides.
    let (_, free) = edit(&["--seed", "3"]);
    let bound = drift(&free) / 4.0;
    let (_, held) = edit(&["--seed", "3", "--max-drift", &bound.to_string()]);
    assert!(drift(&held) <= bound * 1.001, "{} {bound}", drift(&held));
    // And so the gate measures the edit's, unless it is given a seed.
    let delta = held["delta"]["file"].as_str().unwrap_or_else(|| panic!("{held}"));
    let verify = |more: &[&str]| {
        let run =
            dir.run([&["verify", &model, delta, "--max-drift", "1", "--json"][..], more].concat());
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        drift(&json)
    };
    assert_eq!(verify(&[]), drift(&held));
    assert!(verify(&["--seed", "0"]) != drift(&held));
    let (none, error) = edit(&["--max-drift", "1e-30"]);
    assert_eq!(none.code, 1);
    assert!(error["error"].as_str().unwrap().contains("no change stays within"), "{error}");
}
