//! The documents: links that lead somewhere, one sentence a line, and pages that stay short.

use std::fs;
use std::path::Path;

use crate::hold;
use crate::source::{self, File, root};

/// The lines of a document that are prose, with their numbers.
fn prose(file: &File) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let lines = (1..).zip(file.text.lines()).filter(|(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    });
    lines.collect()
}

/// What the links of a line lead to.
fn targets(line: &str) -> Vec<&str> {
    let after = line.split("](").skip(1);
    after.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchor of a heading, as hosts of Markdown make it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn leads_somewhere(from: &File, target: &str) -> bool {
    if target.contains("://") {
        return true;
    }
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let from = root().join(&from.path);
    let folder = from.parent().unwrap_or(Path::new("."));
    let file = if path.is_empty() { from.clone() } else { folder.join(path) };
    if fragment.is_empty() {
        return file.exists();
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|heading| anchor(heading) == fragment)
}

#[test]
fn links_lead_somewhere() {
    let broken = source::files("", ".md").into_iter().flat_map(|file| {
        let lines = prose(&file).into_iter().flat_map(|(number, line)| {
            let dead = targets(line).into_iter().filter(|target| !leads_somewhere(&file, target));
            dead.map(|target| format!("{}:{number}: {target}", file.path)).collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>()
    });
    hold(broken.collect(), "Correct the link, or the heading that it names.");
}

#[test]
fn a_line_is_a_sentence() {
    let broken = source::files("", ".md").into_iter().flat_map(|file| {
        let two = |line: &str| {
            let ends = [". ", "? ", "! "].into_iter().flat_map(|end| line.match_indices(end));
            let mut ends = ends.map(|(at, end)| (&line[..at], &line[at + end.len()..]));
            ends.any(|(before, after)| {
                let number = before.trim_start().chars().all(|c| c.is_ascii_digit());
                !number && after.starts_with(char::is_uppercase)
            })
        };
        let lines =
            prose(&file).into_iter().filter(|(_, line)| !line.starts_with('|') && two(line));
        lines.map(|(number, _)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
    });
    hold(
        broken.collect(),
        "Break the line after the sentence, so that a change of one is a change \
        of one line.",
    );
}

#[test]
fn the_code_map_fits_in_one_reading() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() < 200, "ARCHITECTURE.md: move what is detail into docs/");
}

#[test]
fn the_code_map_names_what_is_there() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let quoted = map.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|name| name.starts_with("crates/") || name.starts_with("docs/"));
    let gone = paths.filter(|path| !root().join(path).exists());
    hold(gone.map(str::to_owned).collect(), "The code map names a path that is gone.");
}

#[test]
fn anchors_are_made_as_hosts_make_them() {
    assert_eq!(anchor("## Facts, one a line"), "facts-one-a-line");
    assert_eq!(anchor("# `ft`: fine-tuning"), "ft-fine-tuning");
}
