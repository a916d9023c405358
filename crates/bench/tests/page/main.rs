//! The page of a benchmark, in a browser: it is opened, filtered, searched and opened again.
//!
//! The tests of the browser pass without doing anything unless `RETCON_CHROMEDRIVER` names chromedriver.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod browser;
mod facts;
mod filters;
mod invented;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use retcon_bench::results::Results;

/// A folder with the reports of [`invented::results`], which stays for whoever wants to look at them.
fn reports() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| written("page", &invented::results()))
}

/// A folder of a name with the reports of `results`.
fn written(name: &str, results: &Results) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    retcon_bench::report::write(results, &folder).unwrap();
    folder
}
