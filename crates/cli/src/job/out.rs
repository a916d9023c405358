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
