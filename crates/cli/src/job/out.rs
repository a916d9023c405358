//! Whether a result has its place, which is found out before the work rather than after it.

use std::path::Path;

use anyhow::{Result, bail};

use crate::failure::advised;

/// Whether nothing would be written over that the user has not given up.
pub(super) fn is_free(out: &Path, force: bool) -> Result<()> {
    if out.exists() && !force {
        let what = format!("{} exists already", out.display());
        bail!(advised(what, "choose another --out, or write over it with --force"));
    }
    Ok(())
}

/// Whether there is a folder for it.
pub(super) fn has_folder(out: &Path) -> Result<()> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    if !parent.is_dir() {
        let what = format!("there is no folder {} to write to", parent.display());
        bail!(advised(what, "make it first, or choose another --out"));
    }
    Ok(())
}

/// Whether what is at `out`, if anything, is of the kind that replaces it: whoever names a model by mistake
/// would lose it.
pub(super) fn replaces(out: &Path, kind: &str, is_one: impl Fn(&Path) -> bool) -> Result<()> {
    if out.is_file() && !is_one(out) {
        let what = format!("{} exists already, and is no {kind}", out.display());
        bail!(advised(what, "choose another --out, or remove what is there"));
    }
    Ok(())
}

/// Whether `out` is none of `inputs`, nor in one that is a folder.
pub(super) fn is_no_input<'a>(
    out: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let Ok(place) = out.canonicalize() else { return Ok(()) };
    let is_within =
        |input: &&Path| input.canonicalize().is_ok_and(|input| place.starts_with(input));
    match inputs.into_iter().find(is_within) {
        Some(_) => bail!(advised(
            format!("{} is read here, and would be written over", out.display()),
            "choose another place for the result"
        )),
        None => Ok(()),
    }
}
