//! Statistics that are kept in a folder from one use to the next.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use retcon_model::Model;
use sha2::{Digest, Sha256};

use super::{Limits, Source, Spaces, Statistics, collect, file};
use crate::ctx::Ctx;
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::identity::keys_id;

/// Keeps statistics in a folder: a file for each model and text.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The folder, which is made where it isn't there.
    pub folder: PathBuf,
    /// The text.
    pub corpus: Corpus,
    /// How they are computed where they are not there yet.
    pub limits: Limits,
}

impl Kept {
    /// Where the statistics of `model` are.
    ///
    /// # Errors
    /// Where the model's files can't be read.
    pub fn path(&self, model: &Model) -> Result<PathBuf> {
        // The first block tells models apart, and a deeper one than before is no other model.
        let mut hash = Sha256::new();
        hash.update(keys_id(model, 1)?);
        hash.update(self.corpus.fingerprint());
        hash.update((self.limits.window as u64).to_le_bytes());
        let hash = format!("{:x}", hash.finalize());
        Ok(self.folder.join(format!("{}.safetensors", &hash[..16])))
    }

    /// Those that are there already, of `blocks` at least and of as much of the text as is planned.
    ///
    /// # Errors
    /// Where the file is broken.
    pub fn find(&self, model: &Model, blocks: &[usize]) -> Result<Option<Statistics>> {
        let is_enough =
            |found: &Statistics| has_all(found, blocks) && found.is_enough(&self.limits);
        Ok(self.there(model)?.filter(is_enough))
    }

    /// The blocks that one pass will cover where those of `blocks` are missing: these, and those that the
    /// file has already.
    ///
    /// # Errors
    /// Where the file is broken.
    pub fn planned(&self, model: &Model, blocks: &[usize]) -> Result<Vec<usize>> {
        let mut all: BTreeSet<usize> = blocks.iter().copied().collect();
        if let Some((about, there)) = readable(&self.path(model)?, file::about)?
            && about.is_of(model)?
        {
            all.extend(there);
        }
        Ok(all.into_iter().collect())
    }

    /// Those that are there already, of whatever blocks.
    fn there(&self, model: &Model) -> Result<Option<Statistics>> {
        let Some(mut found) = readable(&self.path(model)?, file::read)? else { return Ok(None) };
        found.spaces = Spaces::kept_in(&self.folder);
        Ok(if found.is_of(model)? { Some(found) } else { None })
    }
}

/// What `read` finds in the file `path`, where there is one. What is damaged can be made again.
fn readable<T>(path: &Path, read: fn(&Path) -> Result<T>) -> Result<Option<T>> {
    match path.is_file().then(|| read(path)).transpose() {
        Err(
            error @ (Error::BadStatistics { .. }
            | Error::Model(retcon_model::Error::BadHeader { .. })),
        ) => {
            tracing::warn!("{error}: it is computed again");
            Ok(None)
        }
        found => found,
    }
}

fn has_all(found: &Statistics, blocks: &[usize]) -> bool {
    blocks.iter().all(|block| found.moments.contains_key(block))
}

impl Source for Kept {
    fn statistics(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        blocks: &[usize],
    ) -> Result<Arc<Statistics>> {
        let shorter = match self.there(model)?.filter(|found| has_all(found, blocks)) {
            Some(found) if found.is_enough(&self.limits) => return Ok(Arc::new(found)),
            shorter => shorter,
        };
        let all = self.planned(model, blocks)?;
        let path = self.path(model)?;
        std::fs::create_dir_all(&self.folder).map_err(|error| crate::Error::BadFolder {
            path: self.folder.clone(),
            what: error.to_string(),
        })?;
        let partial = path.with_extension("partial");
        if let Some(shorter) = shorter.filter(|_| !partial.is_file()) {
            // It goes on from what was enough under other limits.
            file::write(&shorter, &partial)?;
        }
        let mut made = collect(ctx, model, &self.corpus, &all, &self.limits, Some(&partial))?;
        made.spaces = Spaces::kept_in(&self.folder);
        file::write(&made, &path)?;
        if partial.is_file() {
            // What it says is in the whole file now; if it stays, it is found out of date.
            let _ = std::fs::remove_file(&partial);
        }
        Ok(Arc::new(made))
    }
}
