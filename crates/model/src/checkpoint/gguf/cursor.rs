//! Reading numbers and texts off untrusted bytes: nothing is believed that the bytes can't hold.

use std::ops::Range;

/// A result of parsing; the error says what is wrong, for [`crate::Error::BadHeader`].
pub(super) type Parsed<T> = Result<T, String>;

/// A position in bytes that hold little-endian numbers.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The number of bytes read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        if n > self.remaining() {
            let (at, left) = (self.at, self.remaining());
            return Err(format!("expected {n} bytes at byte {at}, found: {left}"));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The number of `things` that follow, each of at least `size` bytes; so many must be left.
    pub(super) fn count(&mut self, things: &str, size: usize) -> Parsed<usize> {
        let at = self.at;
        let n = self.u64()?;
        let most = self.remaining() / size;
        match usize::try_from(n) {
            Ok(n) if n <= most => Ok(n),
            _ => Err(format!("{n} {things} at byte {at}, where at most {most} fit")),
        }
    }

    /// A text with its length before it.
    pub(super) fn text(&mut self) -> Parsed<&'a [u8]> {
        let n = self.count("bytes of text", 1)?;
        self.take(n)
    }

    /// A text that names something, so that it has to be proper UTF-8.
    pub(super) fn name(&mut self) -> Parsed<&'a str> {
        let at = self.at;
        std::str::from_utf8(self.text()?).map_err(|_| format!("the name at byte {at} is no UTF-8"))
    }

    /// Where the bytes are that `read` reads.
    pub(super) fn span(
        &mut self,
        read: impl FnOnce(&mut Self) -> Parsed<()>,
    ) -> Parsed<Range<usize>> {
        let start = self.at;
        read(self)?;
        Ok(start..self.at)
    }
}
