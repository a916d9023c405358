//! Progress on stderr: bars with an estimate, and spinners. Nothing where nobody looks.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
