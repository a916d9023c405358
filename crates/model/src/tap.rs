//! Looking into a forward pass, and changing what passes.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::{scatter_add_rows, set_rows};

use crate::error::Result;
use crate::site::Site;

/// Sees every [`Site`] of a forward pass in order, and says what goes on from there.
pub trait Tap: Send {
    /// What goes on from `site`, where `x` (`[n_rows, width]`) has arrived.
    ///
    /// # Errors
    /// Whatever stands in the way; it ends the pass.
    fn at(&mut self, site: Site, x: Var) -> Result<Var>;
}

/// Lets everything pass.
impl Tap for () {
    fn at(&mut self, _: Site, x: Var) -> Result<Var> {
        Ok(x)
    }
}

/// One after the other.
impl<A: Tap, B: Tap> Tap for (A, B) {
    fn at(&mut self, site: Site, x: Var) -> Result<Var> {
        let x = self.0.at(site, x)?;
        self.1.at(site, x)
    }
}

impl<T: Tap + ?Sized> Tap for &mut T {
    fn at(&mut self, site: Site, x: Var) -> Result<Var> {
        (**self).at(site, x)
    }
}

/// Keeps what arrives at some sites, or at all.
#[derive(Debug, Default)]
pub struct Capture {
    wanted: Option<BTreeSet<Site>>,
    /// What has arrived so far.
    pub seen: BTreeMap<Site, Tensor>,
}

impl Capture {
    /// Of every site.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Of `sites` alone.
    pub fn only(sites: impl IntoIterator<Item = Site>) -> Self {
        Self { wanted: Some(sites.into_iter().collect()), seen: BTreeMap::new() }
    }
}

impl Tap for Capture {
    fn at(&mut self, site: Site, x: Var) -> Result<Var> {
        if self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&site)) {
            self.seen.insert(site, x.value().clone());
        }
        Ok(x)
    }
}

/// Puts a tensor in the place of what arrives at a site.
#[derive(Debug)]
pub struct Replace {
    /// Where.
    pub site: Site,
    /// What goes on, `[n_rows, width]`.
    pub with: Var,
}

impl Tap for Replace {
    fn at(&mut self, site: Site, x: Var) -> Result<Var> {
        Ok(if site == self.site { self.with.clone() } else { x })
    }
}

/// Adds to some rows of what arrives at a site.
#[derive(Debug)]
pub struct Offset {
    /// Where.
    pub site: Site,
    /// The rows that are changed; one that is named twice is changed twice.
    pub rows: Vec<u32>,
    /// What is added to each, `[rows, width]`.
    pub by: Var,
}

impl Tap for Offset {
    fn at(&mut self, site: Site, x: Var) -> Result<Var> {
        Ok(if site == self.site { scatter_add_rows(&x, &self.rows, &self.by)? } else { x })
    }
}

/// Sets some rows of what arrives at some sites.
#[derive(Debug, Default)]
pub struct Restore {
    /// For each site the rows that are set, each named once, and what they are set to,
    /// `[rows, width]`.
    pub at: BTreeMap<Site, (Vec<u32>, Var)>,
}

impl Tap for Restore {
    fn at(&mut self, site: Site, x: Var) -> Result<Var> {
        match self.at.get(&site) {
            Some((rows, with)) => Ok(set_rows(&x, rows, with)?),
            None => Ok(x),
        }
    }
}
