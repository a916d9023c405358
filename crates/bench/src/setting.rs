//! How edits are made: one at a time and undone, many at once, or one after another.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How edits are made, and when they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Setting {
    /// Each case alone, undone after it was measured.
    Single {
        /// Cases at most.
        cases: Option<usize>,
    },
    /// So many cases at once, undone after all of them were measured.
    Batch {
        /// Cases in a batch.
        size: usize,
        /// Cases at most, over all batches.
        cases: Option<usize>,
    },
    /// All cases one after another, none undone (lifelong editing).
    Sequential {
        /// Cases in all.
        cases: usize,
        /// Cases that are edited at once.
        at_once: usize,
        /// All cases so far are measured each time that so many more have been edited.
        every: usize,
    },
}

/// Checks of a sequence, unless said otherwise.
const CHECKS: usize = 6;

impl Setting {
    /// The first cases of `n` that it uses.
    #[must_use]
    pub fn n_cases(self, n: usize) -> usize {
        match self {
            Self::Single { cases } | Self::Batch { cases, .. } => cases.unwrap_or(n).min(n),
            Self::Sequential { cases, .. } => cases.min(n),
        }
    }

    /// Makes sure that `n` cases are as many as it is of.
    ///
    /// # Errors
    /// [`Error::TooFewCases`].
    pub fn check(self, n: usize) -> Result<()> {
        let needed = match self {
            Self::Single { cases } => cases.unwrap_or(0),
            Self::Batch { size, cases } => cases.unwrap_or(size),
            Self::Sequential { cases, .. } => cases,
        };
        match needed <= n {
            true => Ok(()),
            false => Err(Error::TooFewCases { setting: self, needed, n }),
        }
    }

    /// The cases of each of its jobs, of `n`. Those of a sequence follow one another.
    #[must_use]
    pub fn parts(self, n: usize) -> Vec<Range<usize>> {
        let n = self.n_cases(n);
        let size = match self {
            Self::Single { .. } => 1,
            Self::Batch { size, .. } => size,
            Self::Sequential { every, .. } => every,
        };
        (0..n).step_by(size).map(|from| from..n.min(from + size)).collect()
    }

    /// Whether each of its jobs goes on from the one before.
    #[must_use]
    pub fn is_sequential(self) -> bool {
        matches!(self, Self::Sequential { .. })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single { cases } => {
                write!(f, "single")?;
                cases.map_or(Ok(()), |cases| write!(f, ":{cases}"))
            }
            Self::Batch { size, cases } => {
                write!(f, "batch:{size}")?;
                cases.map_or(Ok(()), |cases| write!(f, ":{cases}"))
            }
            Self::Sequential { cases, at_once, every } => {
                write!(f, "sequential:{cases}:{at_once}:{every}")
            }
        }
    }
}

impl FromStr for Setting {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::BadSetting { found: text.to_owned() };
        let mut words = text.trim().split(':');
        let name = words.next().unwrap_or_default();
        let numbers = words.map(|word| word.parse().ok().filter(|&n: &usize| n > 0));
        let numbers = numbers.collect::<Option<Vec<usize>>>().ok_or_else(bad)?;
        match (name, numbers.as_slice()) {
            ("single", []) => Ok(Self::Single { cases: None }),
            ("single", &[cases]) => Ok(Self::Single { cases: Some(cases) }),
            ("batch", &[size]) => Ok(Self::Batch { size, cases: None }),
            ("batch", &[size, cases]) => Ok(Self::Batch { size, cases: Some(cases) }),
            ("sequential", &[cases, ref rest @ ..]) if rest.len() <= 2 => {
                let at_once = rest.first().copied().unwrap_or(1);
                let checks = cases.div_ceil(CHECKS).div_ceil(at_once) * at_once;
                let every = rest.get(1).copied().unwrap_or(checks);
                // A check falls between two edits.
                (every % at_once == 0).then_some(()).ok_or_else(bad)?;
                Ok(Self::Sequential { cases, at_once, every })
            }
            _ => Err(bad()),
        }
    }
}

impl From<Setting> for String {
    fn from(setting: Setting) -> Self {
        setting.to_string()
    }
}

impl TryFrom<String> for Setting {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        for (text, written) in [
            ("single", "single"),
            ("single:5", "single:5"),
            ("batch:100", "batch:100"),
            ("batch:10:30", "batch:10:30"),
            ("sequential:300", "sequential:300:1:50"),
            ("sequential:300:20", "sequential:300:20:60"),
            ("sequential:30:1:10", "sequential:30:1:10"),
        ] {
            let setting: Setting = text.parse().unwrap();
            assert_eq!(setting.to_string(), written);
            assert_eq!(written.parse::<Setting>().unwrap(), setting);
        }
        for text in ["", "double", "single:0", "batch", "batch:x", "sequential", "sequential:9:2:3"]
        {
            let error = text.parse::<Setting>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("setting {text:?}: expected single")), "{error}");
        }
    }

    #[test]
    fn what_a_setting_says_is_what_it_is() {
        for (text, n) in [("single:5", 5), ("batch:4", 4), ("batch:4:9", 9), ("sequential:7", 7)] {
            let setting: Setting = text.parse().unwrap();
            setting.check(n).unwrap();
            let error = setting.check(n - 1).unwrap_err().to_string();
            assert!(
                error.contains(&format!("is of {n} cases, and there are {}", n - 1)),
                "{error}"
            );
        }
    }

    #[test]
    fn parts_cover_the_cases_once() {
        let parts = |text: &str| text.parse::<Setting>().unwrap().parts(25);
        assert_eq!(parts("single:3"), [0..1, 1..2, 2..3]);
        assert_eq!(parts("batch:10"), [0..10, 10..20, 20..25]);
        assert_eq!(parts("sequential:100:5:15"), [0..15, 15..25]);
    }
}
