//! Sequences of tokens, packed one after another without padding.

use std::ops::Range;

use retcon_kernels::attention::Sequences;

use crate::error::{Error, Result};

/// Token sequences that run together. Row `i` of every hidden state belongs to token `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    tokens: Vec<u32>,
    lengths: Vec<usize>,
}

impl Batch {
    /// The sequences `sequences`, in their order.
    ///
    /// # Errors
    /// [`Error::EmptySequence`] where one has no tokens.
    pub fn new<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut batch = Self::default();
        for sequence in sequences {
            let sequence = sequence.as_ref();
            if sequence.is_empty() {
                return Err(Error::EmptySequence { index: batch.lengths.len() });
            }
            batch.tokens.extend_from_slice(sequence);
            batch.lengths.push(sequence.len());
        }
        Ok(batch)
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How many tokens each sequence has.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The row of the first token of each sequence.
    #[must_use]
    pub fn starts(&self) -> Vec<usize> {
        starts(&self.lengths)
    }

    /// The row of the last token of each sequence.
    #[must_use]
    pub fn last_rows(&self) -> Vec<u32> {
        self.starts().iter().zip(&self.lengths).map(|(start, n)| (start + n - 1) as u32).collect()
    }
}

/// Pieces of given costs in runs, in their order, each as long as its cost is at most `most`; a piece that
/// costs more is a run of its own.
pub fn runs(costs: impl IntoIterator<Item = usize>, most: usize) -> Vec<Range<usize>> {
    let (mut runs, mut run, mut sum) = (Vec::new(), 0..0, 0);
    for cost in costs {
        if !run.is_empty() && sum + cost > most {
            runs.push(run.clone());
            (run, sum) = (run.end..run.end, 0);
        }
        run.end += 1;
        sum += cost;
    }
    runs.extend((!run.is_empty()).then_some(run));
    runs
}

/// Where each of some runs starts that lie one after another.
pub(crate) fn starts(lengths: &[usize]) -> Vec<usize> {
    let ends = lengths.iter().scan(0, |end, n| {
        *end += n;
        Some(*end)
    });
    ends.zip(lengths).map(|(end, n)| end - n).collect()
}

/// Which positions of which sequences the rows of a hidden state are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The positions of each sequence, ascending.
    positions: Vec<Vec<u32>>,
}

impl Rows {
    /// New tokens of sequences that have `n_earlier[i]` tokens already.
    pub(crate) fn after(n_earlier: &[usize], lengths: &[usize]) -> Self {
        let positions = n_earlier.iter().zip(lengths);
        Self { positions: positions.map(|(&p, &n)| (p as u32..(p + n) as u32).collect()).collect() }
    }

    /// All of `parts`, one after another.
    pub(crate) fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        Self { positions: parts.into_iter().flat_map(|part| part.positions).collect() }
    }

    /// The position of each row.
    pub(crate) fn flat(&self) -> Vec<u32> {
        self.positions.concat()
    }

    /// How many rows each sequence has.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.positions.iter().map(Vec::len).collect()
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.positions.iter().map(Vec::len).sum()
    }

    /// One more than the highest position.
    pub(crate) fn n_positions(&self) -> usize {
        self.positions.iter().flatten().max().map_or(0, |&p| p as usize + 1)
    }

    /// The positions of the sequences `chosen` alone.
    pub(crate) fn sequences(&self, chosen: &[usize]) -> Self {
        Self { positions: chosen.iter().map(|&i| self.positions[i].clone()).collect() }
    }

    /// The indices of the rows of the sequences `chosen`.
    pub(crate) fn rows_of(&self, chosen: &[usize]) -> Vec<u32> {
        let starts = starts(&self.lengths());
        let of_sequence = |&i: &usize| {
            let start = starts[i] as u32;
            start..start + self.positions[i].len() as u32
        };
        chosen.iter().flat_map(of_sequence).collect()
    }

    /// The rows before the position `from[i]` of each sequence `i`, and those from there on: which
    /// they are here, and what they are alone.
    pub(crate) fn split(&self, from: &[usize]) -> ((Vec<u32>, Self), (Vec<u32>, Self)) {
        let parts = || (Vec::new(), Self { positions: Vec::new() });
        let (mut before, mut after) = (parts(), parts());
        let mut row = 0;
        for (positions, &from) in self.positions.iter().zip(from) {
            let n_before = positions.iter().filter(|&&p| (p as usize) < from).count();
            let (first, second) = positions.split_at(n_before);
            for (part, positions) in [(&mut before, first), (&mut after, second)] {
                part.0.extend(row..row + positions.len() as u32);
                part.1.positions.push(positions.to_vec());
                row += positions.len() as u32;
            }
        }
        (before, after)
    }

    /// Only the rows `kept`, which ascend.
    ///
    /// # Errors
    /// [`Error::BadRows`] where they don't, or one is past the end.
    pub(crate) fn keep(&self, kept: &[u32]) -> Result<Self> {
        let ascending = kept.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || kept.last().is_some_and(|&row| row as usize >= self.len()) {
            return Err(Error::BadRows { rows: kept.to_vec(), n: self.len() });
        }
        let mut kept = kept.iter().map(|&row| row as usize).peekable();
        let mut start = 0;
        let mut of_sequence = |positions: &Vec<u32>| {
            let end = start + positions.len();
            let mut mine = Vec::new();
            while let Some(row) = kept.next_if(|&row| row < end) {
                mine.push(positions[row - start]);
            }
            start = end;
            mine
        };
        Ok(Self { positions: self.positions.iter().map(&mut of_sequence).collect() })
    }

    /// These rows as queries to sequences of `n_keys` positions.
    pub(crate) fn querying(&self, n_keys: &[usize]) -> Result<Sequences> {
        Ok(Sequences::new(&self.positions, n_keys)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_where_the_sequences_lie() {
        let batch = Batch::new([vec![5, 6, 7], vec![8], vec![9, 10]]).unwrap();
        assert_eq!(batch.starts(), [0, 3, 4]);
        assert_eq!(batch.last_rows(), [2, 3, 5]);
        assert!(Batch::new([vec![1], vec![]]).is_err());
    }

    #[test]
    fn runs_are_as_long_as_they_may_be() {
        assert_eq!(runs([3, 2, 1, 4], 5), [0..2, 2..4]);
        assert_eq!(runs([9, 1, 9, 9], 5), [0..1, 1..2, 2..3, 3..4]);
        assert!(runs([], 5).is_empty());
    }

    #[test]
    fn kept_rows_keep_their_positions() {
        let rows = Rows::after(&[0, 0, 4], &[3, 1, 2]);
        assert_eq!(rows.flat(), [0, 1, 2, 0, 4, 5]);
        let kept = rows.keep(&[1, 2, 5]).unwrap();
        assert_eq!(kept.flat(), [1, 2, 5]);
        assert_eq!(kept.lengths(), [2, 0, 1]);
        assert!(rows.keep(&[2, 1]).is_err());
        assert!(rows.keep(&[6]).is_err());
    }
}
