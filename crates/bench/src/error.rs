//! What can go wrong when methods are compared.

use std::path::PathBuf;

use crate::setting::Setting;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model can't be edited or measured.
    #[error(transparent)]
    Retcon(retcon::Error),
    /// The user has stopped the work.
    #[error("stopped")]
    Stopped,
    /// A setting is written in a way that has no meaning.
    #[error(
        "setting {found:?}: expected single[:CASES], batch:EDITS[:CASES] or \
         sequential:CASES[:EDITS AT ONCE[:EDITS BETWEEN CHECKS]]"
    )]
    BadSetting {
        /// What was found.
        found: String,
    },
    /// There is nothing to do.
    #[error("no cases are left in {data}: {why}")]
    NoCases {
        /// The data.
        data: String,
        /// Where they went.
        why: String,
    },
    /// A setting needs more cases than there are.
    #[error("setting {setting} is of {needed} cases, and there are {n}")]
    TooFewCases {
        /// The setting.
        setting: Setting,
        /// The cases that it needs.
        needed: usize,
        /// The cases that there are.
        n: usize,
    },
    /// There is no metric of a name.
    #[error("there is no metric `{name}`; `retcon metrics` lists all")]
    UnknownMetric {
        /// The name.
        name: String,
    },
    /// A store can't be read or written.
    #[error("cannot use the store {}: {what}", path.display())]
    Store {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk that a store is on is full.
    #[error("no space is left for the store {}: what was measured is in it", path.display())]
    Full {
        /// Its file.
        path: PathBuf,
    },
    /// A file is no store.
    #[error("{} is no store of results: {what}", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        what: String,
    },
    /// A store holds what can't be right.
    #[error("the store {} is damaged: {what}", path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A store is of another benchmark.
    #[error("the store {} is of another benchmark: {what}", path.display())]
    OtherPlan {
        /// Its file.
        path: PathBuf,
        /// What differs: what the store has, and what was asked for.
        what: String,
    },
    /// A file beside the store can't be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<retcon::Error> for Error {
    fn from(error: retcon::Error) -> Self {
        match error {
            retcon::Error::Canceled => Self::Stopped,
            error => Self::Retcon(error),
        }
    }
}

impl From<retcon::model::Error> for Error {
    fn from(error: retcon::model::Error) -> Self {
        Self::Retcon(error.into())
    }
}

impl From<retcon::data::Error> for Error {
    fn from(error: retcon::data::Error) -> Self {
        Self::Retcon(error.into())
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
