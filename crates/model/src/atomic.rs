//! Files and folders that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::error::{Error, Result};

/// What temporary names begin with.
const PREFIX: &str = ".retcon-";

/// Writes a file through `fill`, replacing what was at `path` only when all of it is on disk. A link stays
/// one: what it leads to is replaced. What is no file, such as a pipe or a device, is written to as it is.
///
/// # Errors
/// [`Error::Io`] naming `path`; nothing is left behind then, and an old file stays as it was.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let write = || match fs::metadata(path) {
        Ok(there) if there.is_file() => write_beside(&path.canonicalize()?, fill),
        Ok(there) if !there.is_dir() => write_into(path, fill),
        _ => write_beside(path, fill),
    };
    write().map_err(|error| Error::io(path)(without_temporary_name(error)))
}

fn write_into(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut to = File::options().write(true).open(path)?;
    fill(&mut to)?;
    to.flush()
}

/// The same error without the name of a temporary file, which nobody has ever seen.
fn without_temporary_name(error: io::Error) -> io::Error {
    if error.to_string().contains(PREFIX) { error.kind().into() } else { error }
}

fn write_beside(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let parent = parent(path);
    let temp = builder(0o666).tempfile_in(parent)?;
    let mut writer = BufWriter::with_capacity(1 << 20, temp);
    fill(&mut writer)?;
    let temp = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    temp.as_file().sync_all()?;
    temp.persist(path)?;
    sync_folder(parent)
}

/// Makes a folder through `fill`, which gets the path of an empty folder to put files into; it
/// appears at `path` only when all of them are on disk.
///
/// # Errors
/// [`Error::Exists`] where something is at `path`; what `fill` returns; [`Error::Io`] naming
/// `path`. Nothing is left behind then.
pub fn folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let parent = parent(path);
    let temp = builder(0o777).tempdir_in(parent).map_err(Error::io(path))?;
    fill(temp.path())?;
    let publish = || {
        sync_tree(temp.path())?;
        fs::rename(temp.path(), path)?;
        sync_folder(parent)
    };
    publish().map_err(Error::io(path))?;
    // The temporary name is gone; there is nothing left to remove.
    let _renamed = temp.keep();
    Ok(())
}

/// All files under `folder`, relative to it and in order. Links count as what they lead to.
pub(crate) fn files_under(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        // A link to a folder could lead back here.
        if entry.file_type()?.is_dir() {
            files.extend(files_under(&entry.path())?.into_iter().map(|file| name.join(file)));
        } else if entry.path().is_file() {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

/// The folder of `path`, which for a bare name is the current one.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary names beside the target, with the `mode` that a plain new file or folder would have.
fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for file in files_under(folder)? {
        File::open(folder.join(file))?.sync_all()?;
    }
    sync_folder(folder)
}

/// Makes the names in `folder` last; elsewhere than on Unix a folder cannot be opened for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<PathBuf> {
        files_under(folder).unwrap()
    }

    #[test]
    fn a_written_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["old", "new"] {
            write(&path, |to| to.write_all(text.as_bytes())).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), [PathBuf::from("file")]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let full = |to: &mut dyn Write| {
            to.write_all(&[0; 4096])?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = write(&path, full).unwrap_err().to_string();
        assert!(error.contains("file: "), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), [PathBuf::from("file")]);
    }

    #[test]
    fn a_write_into_a_missing_folder_names_the_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/file"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("no/file: ") && !error.contains(PREFIX), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, |to| to.write_all(b"new")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");

        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write(&pipe, |to| to.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap(), "through");
    }

    #[test]
    fn a_folder_appears_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("model");
        folder(&path, |temp| {
            fs::create_dir(temp.join("sub")).unwrap();
            fs::write(temp.join("sub/a"), "a").unwrap();
            assert!(!path.exists());
            Ok(())
        })
        .unwrap();
        assert_eq!(names(parent.path()), [PathBuf::from("model/sub/a")]);
        let again = folder(&path, |_| Ok(())).unwrap_err();
        assert!(matches!(again, Error::Exists { .. }), "{again}");
    }

    #[test]
    fn a_failed_folder_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("model");
        let error = folder(&path, |temp| {
            fs::write(temp.join("a"), "a").unwrap();
            Err(Error::NoConfig { folder: path.clone() })
        });
        assert!(error.is_err());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_has_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, |_| Ok(())).unwrap();
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
