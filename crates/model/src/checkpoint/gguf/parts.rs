//! GGUF checkpoints that are split into files `name-00001-of-00004.gguf` and so on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// All files of the checkpoint that the file at `path` belongs to, in order; most are one file.
///
/// # Errors
/// [`Error::MissingPart`] where the name announces a file that isn't there.
pub(crate) fn parts(path: &Path) -> Result<Vec<PathBuf>> {
    let Some((stem, _, total)) = split(path) else { return Ok(vec![path.to_owned()]) };
    let part = |index| path.with_file_name(format!("{stem}-{index:05}-of-{total:05}.gguf"));
    let check = |part: PathBuf| match part.is_file() {
        true => Ok(part),
        false => Err(Error::MissingPart { path: part, named_by: path.to_owned() }),
    };
    (1..=total).map(part).map(check).collect()
}

/// The GGUF files in `folder`, of split ones only the first.
pub(crate) fn first_parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(folder)))
        .collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "gguf") && file.is_file());
    files.retain(|file| split(file).is_none_or(|(_, index, _)| index == 1));
    files.sort();
    Ok(files)
}

/// The name, number and total in the file name of a part.
fn split(path: &Path) -> Option<(&str, u32, u32)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
    let (rest, total) = name.rsplit_once("-of-")?;
    let (stem, index) = rest.rsplit_once('-')?;
    let number = |digits: &str| (digits.len() == 5).then(|| digits.parse().ok()).flatten();
    let (index, total) = (number(index)?, number(total)?);
    (1..=total).contains(&index).then_some((stem, index, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_names_are_recognized() {
        assert_eq!(split(Path::new("a/m-00002-of-00004.gguf")), Some(("m", 2, 4)));
        for name in ["m.gguf", "m-2-of-4.gguf", "m-00005-of-00004.gguf", "m-00001-of-00004.bin"] {
            assert_eq!(split(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_missing_part_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("m-00001-of-00002.gguf");
        fs::write(&first, "").unwrap();
        let error = parts(&first).unwrap_err();
        assert!(error.to_string().contains("m-00002-of-00002.gguf is missing"), "{error}");
        assert_eq!(first_parts(folder.path()).unwrap(), [first]);
    }
}
