//! Which part may know of which. Crate lines enforce half of it; these rules are the rest.

use std::fs;

use crate::hold;
use crate::source::{self, root};

/// The crates, and which others of the workspace each depends on.
const CRATES: &[(&str, &[&str])] = &[
    ("kernels", &[]),
    ("model", &["retcon-kernels"]),
    ("retcon", &["retcon-kernels", "retcon-model"]),
    ("bench", &["retcon"]),
    ("cli", &["retcon", "retcon-bench"]),
];

/// The crates that are no program.
const LIBRARIES: &[&str] = &["kernels", "model", "retcon", "bench"];

/// What is for programs, or cuts gradients.
const NOT_IN_A_LIBRARY: &[&str] = &[
    "anyhow",
    "candle-nn",
    "clap",
    "comfy-table",
    "console",
    "ctrlc",
    "dirs",
    "hf-hub",
    "indicatif",
    "reqwest",
    "tokio",
    "tracing-subscriber",
    "ureq",
];

/// The names of the dependencies of the crate at `crates/NAME`.
fn dependencies(name: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn crates_depend_only_on_lower_ones() {
    let mut broken = Vec::new();
    for &(name, allowed) in CRATES {
        let found = dependencies(name).into_iter().filter(|name| name.starts_with("retcon"));
        let found: Vec<_> = found.collect();
        if found != allowed {
            broken.push(format!("crates/{name}: allowed {allowed:?}, found {found:?}"));
        }
    }
    let named = |folder: &str| CRATES.iter().any(|(name, _)| *name == folder);
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().file_name().into_string().unwrap();
        if !named(&folder) {
            broken.push(format!("crates/{folder} is not in the list of crates"));
        }
    }
    hold(
        broken,
        "An edge between crates is a decision: take it out, or argue for it in a commit \
        of its own that changes CRATES here and the picture in ARCHITECTURE.md.",
    );
}

#[test]
fn libraries_depend_on_nothing_for_programs() {
    let mut broken = Vec::new();
    for name in LIBRARIES {
        let found = dependencies(name);
        let found = found.iter().filter(|found| NOT_IN_A_LIBRARY.contains(&found.as_str()));
        broken.extend(found.map(|found| format!("crates/{name}: {found}")));
    }
    hold(
        broken,
        "Terminals, networks, command lines and opaque errors belong into crates/cli; \
        layers that cut gradients nowhere.",
    );
}

#[test]
fn libraries_touch_no_terminal_environment_or_network() {
    let words = [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "std::env",
        "env::var",
        "env::var_os",
        "std::process",
        "std::net",
        "stdout",
        "stderr",
        "stdin",
        "static mut",
    ];
    let broken = LIBRARIES.iter().flat_map(|name| source::sources(name));
    let broken = broken.flat_map(|file| file.mentions(&words)).collect();
    hold(
        broken,
        "Log through `tracing`, report through `Ctx`, and let crates/cli pass what it \
        finds in the environment.",
    );
}

/// Fails where the code below `folder` has one of `words`, except in files that end in `except`.
#[track_caller]
fn never(folder: &str, except: &[&str], words: &[&str], what_to_do: &str) {
    let files = source::files(folder, ".rs").into_iter();
    let files = files.filter(|file| !except.iter().any(|end| file.path.ends_with(end)));
    hold(files.flat_map(|file| file.mentions(words)).collect(), what_to_do);
}

#[test]
fn the_model_knows_nothing_of_editing() {
    let words = [
        "Fact", "Facts", "Prompt", "Probe", "Edit", "Editor", "Method", "METHODS", "Metric",
        "Question", "Belief", "Report", "Dataset",
    ];
    let what_to_do = "What is about facts, methods or measures belongs into crates/retcon; the \
        model offers weights, sites and deltas.";
    never("crates/model/src", &[], &words, what_to_do);
}

#[test]
fn kernels_know_nothing_of_models() {
    let words = ["Model", "Spec", "WeightId", "Site", "Tap", "Delta", "Tokenizer", "serde_json"];
    never(
        "crates/kernels/src",
        &[],
        &words,
        "An operation takes tensors and settings; what is \
        about layers, weights by name or files of models belongs into crates/model.",
    );
}

#[test]
fn tokens_know_nothing_of_what_is_done_with_them() {
    let words = ["crate::edit", "crate::eval", "crate::train", "crate::trace", "crate::stats"];
    never(
        "crates/retcon/src/tokens",
        &[],
        &words,
        "What a prompt is in tokens doesn't depend on who asks.",
    );
}

#[test]
fn data_is_plain_text() {
    let words = [
        "candle_core",
        "retcon_model",
        "retcon_kernels",
        "tokenizers",
        "faer",
        "crate::edit",
        "crate::eval",
        "crate::error",
        "crate::Error",
        "crate::Result",
    ];
    never(
        "crates/retcon/src/data",
        &[],
        &words,
        "The text floor has no tensor, tokenizer or \
        model; text meets tokens in tokens/lookup.rs.",
    );
}

#[test]
fn editing_knows_nothing_of_measuring() {
    let words = ["crate::eval", "eval::"];
    never(
        "crates/retcon/src/edit",
        &[],
        &words,
        "An editor that needs a measure takes it from a \
        stage of its own; whoever calls it evaluates.",
    );
}

#[test]
fn training_knows_nothing_of_measuring_or_experiments() {
    let words = ["crate::eval", "eval::", "crate::experiment", "crate::data"];
    never(
        "crates/retcon/src/train",
        &[],
        &words,
        "Training takes steps over texts in tokens; what they say, and whether it was \
        learned, is asked by whoever trains.",
    );
}

#[test]
fn tracing_knows_nothing_of_methods_or_measures() {
    let words = ["crate::edit", "crate::eval", "crate::train", "eval::", "train::"];
    never("crates/retcon/src/trace", &[], &words, "A trace looks at one model as it is.");
}

#[test]
fn nothing_knows_of_experiments() {
    for folder in ["data", "draw", "edit", "eval", "trace", "train"] {
        never(
            &format!("crates/retcon/src/{folder}"),
            &[],
            &["crate::experiment", "experiment::"],
            "Experiments stand on everything else.",
        );
    }
}

#[test]
fn drawing_knows_nothing_of_what_is_drawn() {
    let words = [
        "retcon_model",
        "retcon_kernels",
        "candle_core",
        "crate::data",
        "crate::edit",
        "crate::eval",
        "crate::train",
    ];
    never(
        "crates/retcon/src/draw",
        &[],
        &words,
        "A picture takes names and numbers; whoever draws one says what they are.",
    );
}

#[test]
fn reports_of_a_benchmark_know_its_results_alone() {
    let words =
        ["candle_core", "Model", "Editor", "crate::data", "crate::edit", "crate::train", "METRICS"];
    never(
        "crates/bench/src/report",
        &[],
        &words,
        "A report is a function of results.rs: put what it lacks there.",
    );
}

#[test]
fn measuring_knows_no_method() {
    never("crates/retcon/src/eval", &[], &["edit::"], "A measure compares two models.");
}

#[test]
fn methods_share_through_stages() {
    let files = source::files("crates/retcon/src/edit", ".rs");
    let is_method = |file: &&source::File| file.text.contains(": Method = Method {");
    let names = files.iter().filter(is_method).map(|file| {
        file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap()
    });
    let names: Vec<String> = names.map(|name| format!("{name}::")).collect();
    assert!(!names.is_empty(), "no file has an entry of a method");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    never(
        "crates/retcon/src/edit",
        &["methods/mod.rs"],
        &names,
        "One method never uses another's \
        file: move what they share into a stage beside them.",
    );
}

#[test]
fn a_family_is_named_in_its_own_folder_alone() {
    let families = retcon::model::FAMILIES.iter();
    let words: Vec<&str> =
        families.flat_map(|f| f.model_types.iter().copied().chain([f.name])).collect();
    for &(name, _) in CRATES {
        let files = source::sources(name).into_iter().filter(|file| {
            // GGUF names kinds of tokenizers after the models that had them first.
            let of_tokenizers = file.path.starts_with("crates/model/src/tokenizer/");
            !of_tokenizers && !file.path.starts_with("crates/model/src/family/")
        });
        hold(
            files.flat_map(|file| file.mentions(&words)).collect(),
            "Nothing asks for a family by \
            name: put what differs into its Spec or Layout, in crates/model/src/family.",
        );
    }
}

#[test]
fn nothing_asks_which_family_a_model_is_of() {
    let broken = CRATES.iter().flat_map(|(name, _)| source::sources(name)).flat_map(|file| {
        let asks = |line: &str| ["family ==", "family !="].iter().any(|ask| line.contains(ask));
        let code = file.code().into_iter().filter(|(_, line)| asks(line));
        code.map(|(number, line)| format!("{}:{number}: {line}", file.path)).collect::<Vec<_>>()
    });
    hold(broken.collect(), "A family is data: ask the Spec for the property that matters.");
}

#[test]
fn unsafe_code_stays_in_the_kernels() {
    let words = ["unsafe", "unsafe_code"];
    for name in ["model", "retcon", "bench", "cli"] {
        never(
            &format!("crates/{name}/src"),
            &[],
            &words,
            "Unsafe code belongs into \
            crates/kernels, behind a safe function with a SAFETY comment.",
        );
    }
}
