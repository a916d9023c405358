//! Getting models from elsewhere. Nothing here waits forever, and no file appears half-written.

pub(crate) mod demo;
pub(crate) mod hub;
mod pip;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::shell::Shell;

/// A sign of life of work in another thread.
#[derive(Clone, Default)]
struct Pulse(Arc<AtomicU64>);

impl Pulse {
    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `work` in another thread, and gives up where it shows no sign of life for `patience` or
/// the user cancels. The thread is left to itself then: nothing can interrupt a name lookup.
fn watched<T: Send + 'static>(
    shell: &Shell,
    patience: Duration,
    work: impl FnOnce(&Pulse) -> T + Send + 'static,
) -> Result<T> {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let pulse = Pulse::default();
    let (send, receive) = mpsc::channel();
    let theirs = pulse.clone();
    thread::spawn(move || send.send(work(&theirs)));
    let (mut beats, mut since) = (0, Instant::now());
    loop {
        match receive.recv_timeout(LOOK_EVERY) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => bail!("the download broke off"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        shell.check()?;
        let now = pulse.0.load(Ordering::Relaxed);
        if now != beats {
            (beats, since) = (now, Instant::now());
        }
        if since.elapsed() > patience {
            bail!("no answer for {} seconds", patience.as_secs());
        }
    }
}
