//! What the tests of data sets share: a text as a file, in a folder with others.

use super::{Beside, Cases, Dataset, read_cases};
use crate::data::case::Case;
use crate::data::error::Result;

/// Reads a text in a format.
pub(super) fn read(name: &str, text: &str) -> Result<Cases> {
    read_beside(name, text, &[])
}

/// Reads a text in a format, with other files in its folder, of which `patterns.jsonl` is named.
pub(super) fn read_beside(name: &str, text: &str, others: &[(&str, &str)]) -> Result<Cases> {
    let folder = tempfile::tempdir().unwrap();
    for (other, text) in others {
        std::fs::write(folder.path().join(other), text).unwrap();
    }
    let path = folder.path().join("f.jsonl");
    std::fs::write(&path, text).unwrap();
    let patterns = folder.path().join("patterns.jsonl");
    let beside = Beside { patterns: patterns.is_file().then_some(patterns), seed: 1 };
    read_cases(&path, Some(name), &beside)
}

/// What a text is refused with, without the folder.
pub(super) fn refusal(name: &str, text: &str) -> String {
    let message = read(name, text).unwrap_err().to_string();
    let (_, message) = message.split_once("f.jsonl").unwrap();
    message.to_owned()
}

/// Why the only case that is left out is that.
#[track_caller]
pub(super) fn left_out(found: &Cases) -> &str {
    let [(_, reason)] = &found.left_out[..] else { panic!("{:?}", found.left_out) };
    reason
}

/// The questions of a case: axis, marked prompt, names of answers, and what competes with them.
pub(super) fn questions(case: &Case) -> Vec<String> {
    let line = |question: &crate::data::Question| {
        let answers: Vec<_> = question.answers.iter().map(|names| names.join("|")).collect();
        let other = question.other.as_deref().map_or(String::new(), |other| format!(" !{other}"));
        let part = question.part.map_or(String::new(), |part| {
            format!(" #{}{}", part.test, if part.condition { "?" } else { "" })
        });
        let (axis, prompt) = (question.axis.name(), question.prompt.marked());
        format!("{axis}: {prompt} => {}{other}{part}", answers.join(" & "))
    };
    case.questions.iter().map(line).collect()
}

/// Writes cases in a format and reads them again, without their places.
pub(super) fn again(name: &str, cases: &[Case]) -> Vec<Case> {
    let text = Dataset::find(name).unwrap().write(cases).unwrap().text;
    placeless(read(name, &text).unwrap().cases)
}

/// Cases without their places.
pub(super) fn placeless(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        case.origin = None;
        case.edits.iter_mut().for_each(|edit| edit.origin = None);
    }
    cases
}
