//! Statistics over several texts as one: what was computed apart, on one machine or many, is added.

use sha2::{Digest, Sha256};

use super::{About, Statistics};
use crate::error::{Error, Result};

impl Statistics {
    /// These and `other`, which are of another text, in one: as if both texts had been read. How far
    /// the estimate has come is not known.
    ///
    /// # Errors
    /// [`Error::Unmergeable`] where they are of another model, other blocks or another window, or a text
    /// is in both, which would count twice.
    pub fn merge(mut self, other: &Self) -> Result<Self> {
        if let Some(what) = self.differs(other) {
            return Err(Error::Unmergeable { what });
        }
        for (block, moment) in &mut self.moments {
            moment.merge(&other.moments[block])?;
        }
        let parts = [self.about.texts(), other.about.texts()].concat();
        let (mine, theirs) = (&mut self.about, &other.about);
        let mut both = Sha256::new();
        both.update(&mine.corpus_fingerprint);
        both.update(&theirs.corpus_fingerprint);
        mine.corpus_fingerprint = format!("{:x}", both.finalize());
        mine.parts = parts;
        mine.corpus = format!("{}, {}", mine.corpus, theirs.corpus);
        mine.n_tokens += theirs.n_tokens;
        mine.n_begins += theirs.n_begins;
        mine.n_windows += theirs.n_windows;
        mine.surprise.clear();
        (mine.converged, mine.ended) = (false, mine.ended && theirs.ended);
        // They are of a moment that is another now.
        self.spaces = self.spaces.emptied();
        Ok(self)
    }

    /// What keeps them from being added.
    fn differs(&self, other: &Self) -> Option<String> {
        let (About { model, n_blocks, window, .. }, theirs) = (&self.about, &other.about);
        if (model, n_blocks) != (&theirs.model, &theirs.n_blocks) {
            return Some("they are of another model, or of other blocks".to_owned());
        }
        if !self.moments.keys().eq(other.moments.keys()) {
            return Some("they are of other blocks".to_owned());
        }
        if *window != theirs.window {
            return Some(format!("they are of windows of {}, not {window}", theirs.window));
        }
        let is_mine = |text: &String| self.about.texts().contains(text);
        let is_twice = theirs.texts().iter().any(is_mine);
        is_twice.then(|| "they are of the same text, which would count twice".to_owned())
    }
}
