//! Progress on stderr: bars with an estimate, and spinners. Nothing where nobody looks.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use retcon::Progress;

use crate::shell::Shell;

const STEPS: &str = "{msg:24} {bar:30} {pos}/{len}  {prefix}  {eta} left";
const BYTES: &str = "{msg:24} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
const SPINNER: &str = "{spinner} {msg}  {elapsed}";

/// A bar of steps, whose number [`step`] tells.
pub(crate) fn steps(shell: &Shell) -> ProgressBar {
    bar(shell, STEPS, 0)
}

/// A bar of `total` bytes.
pub(crate) fn bytes(shell: &Shell, what: impl Into<Cow<'static, str>>, total: u64) -> ProgressBar {
    let bar = bar(shell, BYTES, total);
    bar.set_message(what);
    bar
}

/// Something that turns for as long as work takes that can't be measured.
pub(crate) fn spinner(shell: &Shell, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = bar(shell, SPINNER, 0);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Moves `bar` to where an editor is.
pub(crate) fn step(bar: &ProgressBar, progress: &Progress) {
    bar.set_message(progress.stage);
    bar.set_length(progress.total as u64);
    let loss = progress.loss.map(|loss| format!("loss {loss:.3}"));
    let said = progress.said.map(|said| format!("said {:.0}%", 100.0 * said));
    bar.set_prefix([loss, said].into_iter().flatten().collect::<Vec<_>>().join("  "));
    bar.set_position(progress.done as u64);
}

/// Lines in place of a bar, for long work that is told to a file: now and then one.
pub(crate) struct Lines(Mutex<Told>);

struct Told {
    /// When the first was told, and how much was done then.
    first: Option<(Instant, usize)>,
    /// Whether anybody has asked for the first.
    is_asked: bool,
    last: Instant,
}

impl Lines {
    /// Time between two of them.
    const EVERY: Duration = Duration::from_secs(60);

    pub(crate) fn new() -> Self {
        Self(Mutex::new(Told { first: None, is_asked: false, last: Instant::now() }))
    }

    /// Whether this is the first time that it is asked.
    pub(crate) fn is_first(&self) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut told.is_asked, true)
    }

    /// How far the work is, and how long it will go on as it did so far; `None` too soon after the last.
    pub(crate) fn line(&self, progress: &Progress) -> Option<String> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (start, done) = *told.first.get_or_insert((now, progress.done));
        if now - told.last < Self::EVERY || progress.done == done {
            return None;
        }
        told.last = now;
        let each = (now - start).as_secs_f64() / (progress.done - done) as f64;
        let left = each * progress.total.saturating_sub(progress.done) as f64;
        let left = HumanDuration(Duration::from_secs_f64(left));
        Some(format!("{}: {} of {}, {left} left", progress.stage, progress.done, progress.total))
    }
}

/// A bar that is hidden where stderr is no terminal, as the library has it, or is to be quiet.
fn bar(shell: &Shell, template: &'static str, total: u64) -> ProgressBar {
    let target = match shell.quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let style = ProgressStyle::with_template(template).expect("templates are constants");
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_templates() {
        for template in [STEPS, BYTES, SPINNER] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
