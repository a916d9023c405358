//! Where the command line gets statistics: a file, or a cache that fills itself from a text.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use retcon::data::Corpus;
use retcon::stats::{self, About, Given, Kept, Once, Source, Spaces};
use retcon::{Ctx, Model};

use crate::cache;
use crate::job::{Statistics, Text};
use crate::render::{bytes, plural};
use crate::shell::Shell;

impl Statistics {
    /// What gives them to an editor, and tells of them.
    pub(crate) fn source<'a>(&self, shell: &'a Shell) -> Result<Box<dyn Source + 'a>> {
        Ok(match self {
            Self::File(path) => {
                let mut statistics = stats::read(path)?;
                // Not beside the file, whose folder is not ours.
                statistics.spaces = Spaces::kept_in(&folder()?);
                Box::new(Given { path: path.clone(), statistics: statistics.into() })
            }
            Self::Text(text) => {
                let told = Told { shell, kept: text.kept()?, is_own: text.is_own() };
                Box::new(Once::new(told))
            }
        })
    }

    /// Whether what is known `about` some statistics tells that they are these.
    pub(crate) fn are(&self, about: &About) -> Result<bool> {
        Ok(match self {
            Self::File(path) => stats::read(path)?.about == *about,
            Self::Text(text) => {
                let Kept { corpus, limits, .. } = text.kept()?;
                corpus.fingerprint() == about.corpus_fingerprint && limits.window == about.window
            }
        })
    }
}

/// Statistics that tell what they are of, where they have to be computed.
struct Told<'a> {
    shell: &'a Shell,
    kept: Kept,
    is_own: bool,
}

impl Source for Told<'_> {
    fn statistics(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        blocks: &[usize],
    ) -> retcon::Result<Arc<stats::Statistics>> {
        // Where nobody can be told, the work goes on.
        let note = |text: String| {
            let _ = self.shell.note(text);
        };
        let found = match self.kept.find(model, blocks)? {
            Some(found) => found.into(),
            None => {
                before(model, &self.kept, blocks, self.is_own)?.into_iter().for_each(note);
                self.kept.statistics(ctx, model, blocks)?
            }
        };
        if !found.about.converged {
            note(format!("the statistics of keys: {}", state(&found.about)));
        }
        Ok(found)
    }
}

/// What is to be known before statistics of some blocks are computed.
pub(crate) fn before(
    model: &Model,
    kept: &Kept,
    blocks: &[usize],
    is_own: bool,
) -> retcon::Result<Vec<String>> {
    let n_blocks = kept.planned(model, blocks)?.len();
    let needed = bytes(stats::peak_bytes(model, n_blocks, kept.limits.window));
    let own = is_own.then(|| {
        "statistics of keys over the small text that comes with the program: it does for small \
         models, and a text of yours (--corpus) is better"
            .to_owned()
    });
    let blocks = plural(n_blocks, "block");
    let memory = format!("{needed} for the statistics of {blocks}, beside the model");
    Ok(own.into_iter().chain([memory]).collect())
}

/// How far an estimate has come.
pub(crate) fn state(about: &stats::About) -> &'static str {
    match (about.converged, about.surprise.is_empty(), about.ended) {
        (true, ..) => "converged",
        (false, true, _) => "how far it has come is not known: no keys were held out",
        (false, false, true) => "the text ended before the estimate converged: more text is better",
        (false, false, false) => "not converged at as many tokens as were asked for",
    }
}

/// Where statistics are kept, and what is made of them.
fn folder() -> Result<PathBuf> {
    Ok(cache::folder()?.join("statistics"))
}

impl Text {
    /// The cache for this text.
    pub(crate) fn kept(&self) -> Result<Kept> {
        let corpus = match self.corpus.as_str() {
            "own" => Corpus::own(),
            "-" => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text).context("cannot read stdin")?;
                Corpus::of_lines("stdin", &text)
            }
            file => Corpus::read(Path::new(file))?,
        };
        Ok(Kept { folder: folder()?, corpus, limits: self.limits.clone() })
    }

    /// Whether it is the small text that comes with the program.
    pub(crate) fn is_own(&self) -> bool {
        self.corpus == "own"
    }
}
