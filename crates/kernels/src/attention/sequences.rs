//! Where the sequences of a packed batch begin and end, and which of their positions ask.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::shape;

/// The sequences of a batch, packed one after another without padding: for each one the positions
/// of its query rows, and how many key rows it has (at positions `0, 1, ...`).
#[derive(Clone, Debug)]
pub struct Sequences {
    positions: Arc<[u32]>,
    parts: Arc<[Part]>,
}

/// The rows of one sequence.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
}

impl Sequences {
    /// Sequences of the lengths `lens`, in which every position is a query.
    #[must_use]
    pub fn full(lens: &[usize]) -> Self {
        let positions = lens.iter().flat_map(|&len| (0..len).map(|position| position as u32));
        Self { positions: positions.collect(), parts: parts(lens, lens) }
    }

    /// Sequences with `n_keys` keys each, of which only the positions `queries` are queries: the
    /// new ones, where the keys before them come from a cache, or those that are looked at. They
    /// may come in any order.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the lists differ in length or a query lies past
    /// the last key.
    pub fn new(queries: &[impl AsRef<[u32]>], n_keys: &[usize]) -> Result<Self> {
        shape::check_len("attention", "numbers of keys", queries.len(), n_keys.len())?;
        for (queries, &n_keys) in queries.iter().zip(n_keys) {
            if let Some(&past) = queries.as_ref().iter().find(|&&query| query as usize >= n_keys) {
                let expected = format!("below {n_keys}, the number of keys");
                return Err(shape::wrong("attention", "position", expected, &[past as usize]));
            }
        }
        let lens: Vec<usize> = queries.iter().map(|queries| queries.as_ref().len()).collect();
        let positions = queries.iter().flat_map(|queries| queries.as_ref().iter().copied());
        Ok(Self { positions: positions.collect(), parts: parts(&lens, n_keys) })
    }

    /// The position of each query row within its sequence.
    #[must_use]
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The number of query rows of all sequences.
    #[must_use]
    pub fn n_queries(&self) -> usize {
        self.positions.len()
    }

    /// The number of key rows of all sequences.
    #[must_use]
    pub fn n_keys(&self) -> usize {
        self.parts.last().map_or(0, |part| part.keys.end)
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

fn parts(n_queries: &[usize], n_keys: &[usize]) -> Arc<[Part]> {
    let (mut query, mut key) = (0, 0);
    let part = |(&n_queries, &n_keys): (&usize, &usize)| {
        let part = Part { queries: query..query + n_queries, keys: key..key + n_keys };
        (query, key) = (part.queries.end, part.keys.end);
        part
    };
    n_queries.iter().zip(n_keys).map(part).collect()
}
