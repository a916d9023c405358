//! What several traces come to: effects by kind of token and block, after the paper's figures.

use serde::Serialize;

use super::causal::{Kind, Trace};
use super::question::Role;
use crate::interval::mean_and_interval;

/// A mean over prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half of its 95% interval, where there are several prompts.
    pub half: Option<f64>,
}

/// What traces of one kind come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Average {
    /// What was restored.
    pub kind: Kind,
    /// How many prompts there are.
    pub n: usize,
    /// The answer's probability with the subject hidden.
    pub low: Mean,
    /// That without noise.
    pub high: Mean,
    /// The average total effect: what the noise takes.
    pub total: Mean,
    /// The average indirect effects, by kind of token.
    pub lines: Vec<Line>,
}

/// What restoring the tokens of a kind brings back, block by block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The tokens.
    pub role: Role,
    /// How many prompts have such a token. Each counts as the mean of those that it has.
    pub n: usize,
    /// For each block, the mean of score minus low.
    pub effects: Vec<Mean>,
}

impl Mean {
    fn of(numbers: &[f64]) -> Self {
        let (mean, half) = mean_and_interval(numbers);
        Self { mean, half }
    }
}

impl Average {
    /// Where it is highest: the kind of token, the block, and the effect.
    #[must_use]
    pub fn peak(&self) -> Option<(Role, usize, Mean)> {
        let cells = self.lines.iter().flat_map(|line| {
            line.effects.iter().enumerate().map(|(block, &mean)| (line.role, block, mean))
        });
        cells.max_by(|a, b| a.2.mean.total_cmp(&b.2.mean))
    }
}

/// The averages of `traces`, one for each kind that all of them have; none of no trace.
#[must_use]
pub fn averages(traces: &[Trace]) -> Vec<Average> {
    let kinds = traces.first().map(|trace| &trace.maps).into_iter().flatten();
    let average = |(idx, kind): (usize, Kind)| {
        let mean = |f: fn(&Trace) -> f64| Mean::of(&traces.iter().map(f).collect::<Vec<_>>());
        Average {
            kind,
            n: traces.len(),
            low: mean(|trace| trace.low),
            high: mean(|trace| trace.high),
            total: mean(Trace::total_effect),
            lines: Role::ALL.iter().filter_map(|&role| line(traces, idx, role)).collect(),
        }
    };
    kinds.map(|map| map.kind).enumerate().map(average).collect()
}

/// The effects of tokens of `role` in the maps `idx`; `None` where no trace has such tokens.
fn line(traces: &[Trace], idx: usize, role: Role) -> Option<Line> {
    let mut of_prompts: Vec<Vec<f64>> = Vec::new();
    for trace in traces {
        let rows = trace.tokens.iter().zip(&trace.maps[idx].scores);
        let rows: Vec<&Vec<f64>> =
            rows.filter(|(token, _)| token.role == role).map(|(_, scores)| scores).collect();
        let Some(first) = rows.first() else { continue };
        let mean = |block: usize| {
            // Differences first: those of what changes nothing are zero, whatever is averaged.
            rows.iter().map(|row| row[block] - trace.low).sum::<f64>() / rows.len() as f64
        };
        of_prompts.push((0..first.len()).map(mean).collect());
    }
    let n_blocks = of_prompts.first()?.len();
    let mean = |block: usize| {
        Mean::of(&of_prompts.iter().map(|effects| effects[block]).collect::<Vec<_>>())
    };
    Some(Line { role, n: of_prompts.len(), effects: (0..n_blocks).map(mean).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::causal::Map;
    use super::super::question::Token;
    use super::*;

    fn trace(roles: &[Role], scores: &[f64], low: f64) -> Trace {
        let token = |&role: &Role| Token { text: String::new(), role };
        Trace {
            prompt: String::new(),
            object: String::new(),
            says: String::new(),
            leads: true,
            tokens: roles.iter().map(token).collect(),
            low,
            high: 0.9,
            maps: vec![Map {
                kind: Kind::Hidden,
                scores: scores.iter().map(|&score| vec![score]).collect(),
            }],
        }
    }

    #[test]
    fn every_prompt_counts_once_for_each_kind_of_token() {
        use Role::{Answer, Further, SubjectLast};
        let traces = [
            trace(&[SubjectLast, Further, Further, Answer], &[0.5, 0.2, 0.4, 0.3], 0.1),
            trace(&[SubjectLast, Answer], &[0.3, 0.2], 0.2),
        ];
        let average = averages(&traces).remove(0);
        assert_eq!((average.n, average.lines.len()), (2, 3));
        assert!((average.total.mean - 0.75).abs() < 1e-12);
        let line = |role| average.lines.iter().find(|line| line.role == role).unwrap();
        assert!((line(SubjectLast).effects[0].mean - 0.25).abs() < 1e-12);
        let further = line(Further);
        assert!(further.n == 1 && (further.effects[0].mean - 0.2).abs() < 1e-12);
        assert_eq!(further.effects[0].half, None);
        assert_eq!(average.peak().unwrap().0, SubjectLast);
        assert!(averages(&[]).is_empty());
    }
}
