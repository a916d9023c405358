//! How files look: opened by what they are for, short, finished, and under the same lints.

use std::fs;

use crate::hold;
use crate::source::{self, root};

/// Files that are long because they are uniform lists.
const LISTS: &[&str] = &["crates/retcon/src/data/names.rs", "crates/retcon/src/data/relations.rs"];

const MOST_LINES: usize = 450;

#[test]
fn every_module_opens_with_what_it_is_for() {
    let files = source::files("crates", ".rs").into_iter();
    let broken = files.filter(|file| !file.text.starts_with("//! ")).map(|file| file.path);
    hold(
        broken.collect(),
        "Open the file with one `//!` line: what it is for, and what it does \
        not do where that could be expected.",
    );
}

#[test]
fn no_file_is_a_plot() {
    let files = source::files("crates", ".rs").into_iter();
    let broken = files.filter(|file| file.path.contains("/src/") && !LISTS.contains(&&*file.path));
    let broken = broken.filter_map(|file| {
        let n = file.text.lines().count();
        (n > MOST_LINES).then(|| format!("{}: {n} lines", file.path))
    });
    hold(
        broken.collect(),
        "Split the file where its subject changes; only a uniform list may be \
        long, and is named in LISTS here.",
    );
}

#[test]
fn every_list_is_there() {
    let gone = LISTS.iter().filter(|path| !root().join(path).is_file());
    hold(gone.map(|path| (*path).to_owned()).collect(), "Take it out of LISTS.");
}

#[test]
fn nothing_is_left_undone() {
    // Put together here, so that this file does not break its own rule.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[ign", "ore"),
        concat!("#[should", "_panic"),
        concat!("Place", "holder"),
    ];
    let ends = [".rs", ".md", ".toml", ".yml", "justfile"];
    let files = ends.iter().flat_map(|end| source::files("", end));
    let broken = files.flat_map(|file| {
        let lines = (1..).zip(file.text.lines()).filter_map(|(number, line)| {
            let mark = marks.iter().find(|mark| line.contains(*mark))?;
            Some(format!("{}:{number}: {mark}", file.path))
        });
        lines.collect::<Vec<_>>()
    });
    hold(
        broken.collect(),
        "Finish it, take it out, or say in prose what is not there yet. A test \
        that is never run, or that passes by any panic, tells nothing: assert the error.",
    );
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let manifests = source::files("crates", "Cargo.toml").into_iter();
    let broken = manifests.filter(|file| !file.text.contains("\n[lints]\nworkspace = true\n"));
    hold(
        broken.map(|file| file.path).collect(),
        "Add `[lints] workspace = true`; what a crate \
        needs beyond them it allows where it stands, with its reason.",
    );
}

#[test]
fn nothing_is_named_after_nothing() {
    let empty = ["common", "helper", "helpers", "manager", "misc", "util", "utils"];
    let files = source::files("crates", ".rs").into_iter().map(|file| file.path);
    let broken = files.filter(|path| path.split(['/', '.']).any(|name| empty.contains(&name)));
    hold(broken.collect(), "Name the file after what is in it.");
}

#[test]
fn ci_and_people_run_the_same_checks() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let readme = read("README.md");
    let missing = ["cargo test --workspace\n", "cargo run --release -- demo"].into_iter();
    let missing =
        missing.filter(|command| !readme.contains(*command) || !read(".ci/run").contains(*command));
    hold(
        missing.map(str::to_owned).collect(),
        "README.md and .ci/run have to give the command in \
        the same words, so that what a newcomer types is what is tested.",
    );
    assert!(
        read("justfile").contains(".ci/run")
            && read(".github/workflows/ci.yml").contains(".ci/run")
    );
}
