//! Runs in which something is restored, those of many tokens packed, each from its block on.

use std::ops::Range;

use retcon_kernels::autograd::Var;
use retcon_kernels::rows::{gather_rows, set_rows};
use retcon_model::tap::Restore;
use retcon_model::{Hidden, Site, Spot};

use super::causal::Kind;
use super::runs::Runs;
use crate::ctx::{Ctx, Progress};
use crate::error::Result;

/// For each token and block, the answer's probability with its state restored.
pub(super) fn scores(
    ctx: &Ctx<'_>,
    runs: &Runs<'_>,
    kind: Kind,
    window: usize,
) -> Result<Vec<Vec<f64>>> {
    let n_blocks = runs.model.spec().n_blocks;
    let n_tokens = runs.question.n_tokens(runs.model);
    // Restoring what the noise doesn't reach changes nothing.
    let mut scores = vec![vec![runs.low; n_blocks]; runs.from];
    let traced: Vec<usize> = (runs.from..n_tokens).collect();
    let total = traced.len() * n_blocks;
    let mut done = 0;
    for tokens in traced.chunks(most_tokens(runs)) {
        let copies = Copies::new(runs, tokens)?;
        let mut of_tokens = vec![Vec::with_capacity(n_blocks); tokens.len()];
        for block in 0..n_blocks {
            ctx.report(&Progress::new(stage(kind), done, total))?;
            let found = copies.restored(runs, kind, block, window)?;
            for (scores, found) in of_tokens.iter_mut().zip(found.chunks(runs.samples)) {
                scores.push(found.iter().sum::<f64>() / runs.samples as f64);
            }
            done += tokens.len();
        }
        scores.extend(of_tokens);
    }
    ctx.report(&Progress::new(stage(kind), done, total))?;
    Ok(scores)
}

fn stage(kind: Kind) -> &'static str {
    match kind {
        Kind::Hidden => "tracing hidden states",
        Kind::Mlp => "tracing MLPs",
        Kind::Attention => "tracing attention",
        Kind::SeveredMlp => "tracing without MLPs",
        Kind::SeveredAttention => "tracing without attention",
    }
}

/// How many tokens are patched in one batch: so many that memory holds its rows, and the keys and
/// values of the positions before them.
fn most_tokens(runs: &Runs<'_>) -> usize {
    const ROWS: usize = 2048;
    const NUMBERS: usize = 1 << 27;
    let spec = runs.model.spec();
    let length = runs.question.query.ids.len();
    let rows = runs.samples * (length - runs.from);
    let kept = runs.samples * length * 2 * spec.n_blocks * spec.n_kv_heads * spec.d_head;
    (ROWS / rows).min(NUMBERS / kept).max(1)
}

/// Copies of the run in the noise, those of one token after those of another.
struct Copies {
    /// What enters the first block; in a decoder from the token on, with what comes before it kept.
    start: Hidden,
    /// The row of the run in the noise that each row is.
    rows: Vec<u32>,
    /// The rows of the tokens that are restored, one a copy.
    tokens: Vec<u32>,
    /// Those tokens, counted from the first position that the noise reaches; one a copy.
    positions: Vec<u32>,
    /// The rows where the answer is read.
    at: Vec<u32>,
}

impl Copies {
    fn new(runs: &Runs<'_>, tokens: &[usize]) -> Result<Self> {
        let decoder = runs.model.spec().is_causal();
        let length = runs.question.query.ids.len() - runs.from;
        let all: Vec<usize> = tokens.iter().flat_map(|_| 0..runs.samples).collect();
        let mut start = runs.start.sequences(&all)?;
        let (mut rows, mut restored, mut at) = (Vec::new(), Vec::new(), Vec::new());
        let (mut positions, mut from) = (Vec::new(), Vec::new());
        for token in tokens.iter().map(|token| token - runs.from) {
            let first = if decoder { token } else { 0 };
            for sample in 0..runs.samples {
                let base = rows.len();
                restored.push((base + token - first) as u32);
                at.extend(runs.read().map(|read| (base + read as usize - first) as u32));
                rows.extend((first..length).map(|row| (sample * length + row) as u32));
                positions.push(token as u32);
                from.push(runs.from + first);
            }
        }
        if decoder {
            start = runs.model.from_positions(0..runs.model.spec().n_blocks, &start, &from)?;
        }
        Ok(Self { start, rows, tokens: restored, positions, at })
    }

    /// The answer's probability in each copy, with the state of its token at `block` restored.
    fn restored(
        &self,
        runs: &Runs<'_>,
        kind: Kind,
        block: usize,
        window: usize,
    ) -> Result<Vec<f64>> {
        let n_blocks = runs.model.spec().n_blocks;
        let (mut h, mut tap) = (self.start.clone(), Restore::default());
        let first = if kind.is_window() {
            let span = around(block, window, n_blocks);
            for block in span.clone() {
                self.restore(runs, kind, block, &mut tap)?;
            }
            if let Some(before) = span.start.checked_sub(1) {
                h.x = self.corrupted(runs, Site::Block(before, Spot::Out))?;
            }
            span.start
        } else {
            for later in block + 1..n_blocks {
                self.restore(runs, kind, later, &mut tap)?;
            }
            let site = Site::Block(block, Spot::Out);
            h.x = set_rows(
                &self.corrupted(runs, site)?,
                &self.tokens,
                &gather_rows(&Var::constant(runs.clean[&site].clone()), &self.positions)?,
            )?;
            block + 1
        };
        runs.probabilities(first, h, &self.at, &mut tap, self.tokens.len())
    }

    /// What passed at `site` in the noise, for every row.
    fn corrupted(&self, runs: &Runs<'_>, site: Site) -> Result<Var> {
        Ok(gather_rows(&Var::constant(runs.corrupted[&site].clone()), &self.rows)?)
    }

    /// Lets `tap` hold what the kind's part of `block` puts out at each copy's token: as it is
    /// without noise in a window, and as it is in the noise where the part is severed.
    fn restore(&self, runs: &Runs<'_>, kind: Kind, block: usize, tap: &mut Restore) -> Result<()> {
        let Some(spot) = kind.module() else { return Ok(()) };
        let site = Site::Block(block, spot);
        let is_last = block + 1 == runs.model.spec().n_blocks;
        let (mut rows, mut sources) = (Vec::new(), Vec::new());
        for (copy, &row) in self.tokens.iter().enumerate() {
            // The last block goes on with the rows that are read alone.
            let row = match is_last {
                true => self.at.binary_search(&row).ok().map(|row| row as u32),
                false => Some(row),
            };
            let source = match kind.is_window() {
                true => self.positions[copy],
                false => self.rows[self.tokens[copy] as usize],
            };
            rows.extend(row);
            sources.extend(row.map(|_| source));
        }
        let from = if kind.is_window() { &runs.clean } else { &runs.corrupted };
        let with = gather_rows(&Var::constant(from[&site].clone()), &sources)?;
        if !rows.is_empty() {
            tap.at.insert(site, (rows, with));
        }
        Ok(())
    }
}

/// The window of `n` blocks around `block`, as far as there are blocks: `[block - n/2, block + n/2)`.
fn around(block: usize, n: usize, n_blocks: usize) -> Range<usize> {
    block.saturating_sub(n / 2)..(block + n.div_ceil(2)).min(n_blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_clipped() {
        assert_eq!(around(10, 10, 30), 5..15);
        assert_eq!(around(2, 10, 30), 0..7);
        assert_eq!(around(29, 10, 30), 24..30);
        assert_eq!(around(4, 1, 30), 4..5);
        assert_eq!(around(4, 3, 30), 3..6);
    }
}
