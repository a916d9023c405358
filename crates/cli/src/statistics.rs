//! Where the command line gets statistics: a file, or a cache that fills itself from a text.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use retcon::data::Corpus;
use retcon::stats::{self, Given, Kept, Once, Source};

use crate::cache;
use crate::job::{Statistics, Text};

impl Statistics {
    /// What gives them to an editor.
    pub(crate) fn source(&self) -> Result<Box<dyn Source>> {
        Ok(match self {
            Self::File(path) => {
                Box::new(Given { path: path.clone(), statistics: stats::read(path)?.into() })
            }
            Self::Text(text) => Box::new(Once::new(text.kept()?)),
        })
    }
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
        let folder: PathBuf = cache::folder()?.join("statistics");
        Ok(Kept { folder, corpus, plan: self.plan.clone() })
    }

    /// Whether it is the small text that comes with the program.
    pub(crate) fn is_own(&self) -> bool {
        self.corpus == "own"
    }
}
