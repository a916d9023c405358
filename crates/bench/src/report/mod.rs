//! What people see of [`Results`]: a page, Markdown, and every answer as CSV and Parquet.
//!
//! All of them are functions of the results alone, so a report can be made again from what was kept.

mod csv;
mod format;
mod markdown;
mod names;
mod page;
mod parquet;
mod protocol;
mod record;
#[cfg(test)]
mod sample;
mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use retcon::model::atomic;

pub use self::csv::csv;
pub use self::format::{number, p_value};
pub use self::markdown::{compact, markdown};
pub use self::page::page;
pub use self::parquet::parquet;
pub use self::protocol::{Parts, Protocol};
pub use self::table::{Cell, Column, Line, Table, Which, tables};
use crate::error::Result;
use crate::results::Results;

/// Writes `index.html`, `report.md`, `records.csv` and `records.parquet` into `folder`, which is
/// there; gives their paths in this order.
///
/// # Errors
/// Where a file can't be written; those before it are there then, and each is whole.
pub fn write(results: &Results, folder: &Path) -> Result<Vec<PathBuf>> {
    let text = |text: String| move |to: &mut dyn Write| to.write_all(text.as_bytes());
    Ok(vec![
        put(folder, "index.html", text(page(results)))?,
        put(folder, "report.md", text(markdown(results)))?,
        put(folder, "records.csv", |to| csv(results, to))?,
        put(folder, "records.parquet", |to| parquet(results, to))?,
    ])
}

fn put(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<PathBuf> {
    let path = folder.join(name);
    atomic::write(&path, fill)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_written_whatever_there_is_to_say() {
        for results in [sample::results(), sample::empty()] {
            let folder = tempfile::tempdir().unwrap();
            let paths = write(&results, folder.path()).unwrap();
            let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap()).collect();
            assert_eq!(names, ["index.html", "report.md", "records.csv", "records.parquet"]);
            assert!(paths.iter().all(|path| path.metadata().unwrap().len() > 0));
        }
    }
}
