//! A file as text: unpacked where it is packed, and with the place of each line.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use serde::de::IgnoredAny;

use super::error::{Error, Fault, Origin, Result};
use super::read::{BOM, utf8};

/// What a gzip file begins with, by RFC 1952.
const GZIP: &[u8] = b"\x1f\x8b";

/// A file's text, unpacked.
pub(super) struct TextFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl TextFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut bytes = std::fs::read(path).map_err(io)?;
        if bytes.starts_with(GZIP) {
            let mut unpacked = Vec::new();
            let damaged = |source| Error::Gzip { path: path.to_owned(), source };
            MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map_err(damaged)?;
            bytes = unpacked;
        }
        let text = utf8(bytes.strip_prefix(BOM).unwrap_or(&bytes), path)?.to_owned();
        Ok(TextFile { path: path.to_owned(), text })
    }

    /// A file of a folder, under its name or with `.gz` behind; `None` if it isn't there.
    pub(super) fn find(folder: &Path, name: &str) -> Result<Option<Self>> {
        let mut paths =
            [name.to_owned(), format!("{name}.gz")].map(|name| folder.join(name)).into_iter();
        paths.find(|path| path.is_file()).map(|path| Self::open(&path)).transpose()
    }

    /// A file that a folder must have.
    pub(super) fn of(folder: &Path, name: &'static str) -> Result<Self> {
        let missing = || Error::NoSetFile { path: folder.to_owned(), name };
        Self::find(folder, name)?.ok_or_else(missing)
    }

    /// The lines that are not blank.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Origin, &str)> {
        let lines = (1..).zip(self.text.lines()).filter(|(_, text)| !text.trim().is_empty());
        lines.map(|(line, text)| (Origin { file: self.path.clone(), line }, text))
    }

    /// The first record, one a line or in one list.
    pub(super) fn first_record(&self) -> Result<Option<(Origin, &str)>> {
        let Some(list) = self.text.trim_start().strip_prefix('[') else {
            return Ok(self.lines().next());
        };
        let rest = list.trim_start();
        let line = 1 + self.text[..self.text.len() - rest.len()].matches('\n').count();
        let origin = Origin { file: self.path.clone(), line };
        match rest.starts_with(']') {
            true => Ok(None),
            false => item(rest, &origin).map(|(item, _)| Some((origin, item))),
        }
    }

    /// The records, one a line or in one list, as some original files have them.
    pub(super) fn records(&self) -> Result<Vec<(Origin, &str)>> {
        let Some(list) = self.text.trim_start().strip_prefix('[') else {
            return Ok(self.lines().collect());
        };
        let mut found = Vec::new();
        let mut rest = list.trim_start();
        let (mut line, mut seen) = (1, 0);
        while !rest.starts_with(']') {
            let at = self.text.len() - rest.len();
            line += self.text[seen..at].matches('\n').count();
            seen = at;
            let origin = Origin { file: self.path.clone(), line };
            let (item, after) = item(rest, &origin)?;
            rest = after;
            found.push((origin, item));
        }
        Ok(found)
    }
}

/// Cuts the first item off what is left of a list, and the comma behind it.
fn item<'a>(rest: &'a str, origin: &Origin) -> Result<(&'a str, &'a str)> {
    let broken = |message: &str| {
        let error = Error::Json { message: message.to_owned() };
        Fault::from(error).place("", Some(origin), None)
    };
    let mut items = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    match items.next() {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            let text = error.to_string();
            return Err(broken(text.split(" at line ").next().unwrap_or_default()));
        }
        None => return Err(broken("the list has no end")),
    }
    let (item, after) = rest.split_at(items.byte_offset());
    let after = after.trim_start();
    match after.strip_prefix(',') {
        Some(next) => Ok((item, next.trim_start())),
        None if after.starts_with(']') => Ok((item, after)),
        None => Err(broken("expected `,` or `]`")),
    }
}
