//! Where what can be made again is kept.

use std::path::PathBuf;

use anyhow::{Context, Result};

pub(crate) fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("RETCON_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let user = dirs::cache_dir();
    user.map(|folder| folder.join("retcon")).context("no cache folder: set RETCON_CACHE to one")
}
