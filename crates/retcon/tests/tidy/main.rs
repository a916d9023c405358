//! The house rules, read off the sources: what may depend on what, and which lists agree with
//! which. A rule that fails says what to do; ARCHITECTURE.md says why it is one.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod docs;
mod floors;
mod lists;
mod source;
mod style;

/// Fails where a rule is broken, with every place and what to do about it.
#[track_caller]
fn hold(broken: Vec<String>, what_to_do: &str) {
    assert!(broken.is_empty(), "\n  {}\n\n{what_to_do}\n", broken.join("\n  "));
}
