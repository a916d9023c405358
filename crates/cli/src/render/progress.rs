//! Progress on stderr: bars with an estimate, and spinners. Nothing where nobody looks.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use retcon::{Ctx, Progress};

use crate::shell::Shell;

const STEPS: &str = "{msg:24} {bar:30} {pos}/{len}  {prefix}  {eta} left";
const BYTES: &str = "{msg:24} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
const SPINNER: &str = "{spinner} {msg}  {elapsed}";

/// What `work` gives, with a bar that tells how far it is, until the user stops it.
pub(crate) fn watched<T>(shell: &Shell, ctx: Ctx<'_>, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
    let bar = steps(shell);
    let report = |progress: &Progress| {
        (ctx.progress)(progress);
        step(&bar, progress);
    };
    let done = work(&ctx.with_progress(&report).with_cancel(shell.cancel));
    bar.finish_and_clear();
    done
}

/// A bar of steps, whose number [`step`] tells.
fn steps(shell: &Shell) -> ProgressBar {
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
fn step(bar: &ProgressBar, progress: &Progress) {
    bar.set_message(progress.stage);
    bar.set_length(progress.total as u64);
    let loss = progress.loss.map(|loss| format!("loss {loss:.3}"));
    let said = progress.said.map(|said| format!("said {:.0}%", 100.0 * said));
    bar.set_prefix([loss, said].into_iter().flatten().collect::<Vec<_>>().join("  "));
    bar.set_position(progress.done as u64);
}

/// Long work that goes on from what earlier runs have done: a bar, or now and then a line where that is
/// hidden, as in a file.
pub(crate) struct Long<'a> {
    shell: &'a Shell,
    bar: ProgressBar,
    /// When the first was told, how much was done then, and when the last line was.
    told: Mutex<Option<(Instant, usize, Instant)>>,
}

impl<'a> Long<'a> {
    /// Time between two lines.
    const EVERY: Duration = Duration::from_secs(60);

    pub(crate) fn new(shell: &'a Shell) -> Self {
        Self { shell, bar: steps(shell), told: Mutex::new(None) }
    }

    /// Tells how far the work is.
    pub(crate) fn tell(&self, progress: &Progress) {
        step(&self.bar, progress);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Some((start, done, last)) = told.as_mut() else {
            // What was done before took no time now.
            self.bar.reset_eta();
            *told = Some((now, progress.done, now));
            return;
        };
        if !self.bar.is_hidden() || now - *last < Self::EVERY || progress.done == *done {
            return;
        }
        *last = now;
        let each = (now - *start).as_secs_f64() / (progress.done - *done) as f64;
        let left = each * progress.total.saturating_sub(progress.done) as f64;
        let left = HumanDuration(Duration::from_secs_f64(left));
        let Progress { stage, done, total, .. } = progress;
        // Where it can't be told, the work goes on.
        let _ = self.shell.note(format!("{stage}: {done} of {total}, {left} left"));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
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
