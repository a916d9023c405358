//! A model's choices in words: its norms, its positions.

use retcon::model::Spec;
use retcon::model::spec::{Norm, NormOrder, Position, Rotary, Scaling};

use crate::render::count;

/// What normalizes, and where.
pub(super) fn norm(spec: &Spec) -> String {
    let (kind, eps) = match spec.norm {
        Norm::Rms { eps } => ("RMS", eps),
        Norm::Layer { eps } => ("layer", eps),
    };
    let order = match spec.norm_order {
        NormOrder::Pre => "before attention and MLP",
        NormOrder::Post => "after each addition",
        NormOrder::Sandwich => "before and after attention and MLP",
        NormOrder::Branch => "after attention and MLP",
    };
    format!("{kind}, eps {}, {order}", number(eps))
}

/// How a token knows where it is; blocks that do alike are told once.
pub(super) fn position(spec: &Spec) -> String {
    let blocks = match &spec.position {
        Position::Learned => return "learned, added to the embedding".to_owned(),
        Position::Rotary(blocks) => blocks,
    };
    let mut kinds: Vec<(&Rotary, Vec<usize>)> = Vec::new();
    for (block, kind) in blocks.iter().enumerate() {
        match kinds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, of)) => of.push(block),
            None => kinds.push((kind, vec![block])),
        }
    }
    let line = |(kind, of): &(&Rotary, Vec<usize>)| match of.as_slice() {
        of if of.len() == blocks.len() => format!("{}, in all {} blocks", rotary(kind), of.len()),
        [block] => format!("{}, in block {block}", rotary(kind)),
        of => format!("{}, in blocks {}", rotary(kind), ranges(of)),
    };
    kinds.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn rotary(kind: &Rotary) -> String {
    if kind.width == 0 {
        return "none".to_owned();
    }
    let scaling = match &kind.scaling {
        Scaling::None => String::new(),
        Scaling::Linear(factor) => format!(", stretched {} times", number(*factor)),
        Scaling::Llama3 { factor, original, .. } => {
            let (factor, original) = (number(*factor), number(*original));
            format!(", low frequencies stretched {factor} times from {original} positions")
        }
        Scaling::Yarn { factor, original, .. } => {
            let (factor, original) = (number(*factor), number(*original));
            format!(", stretched {factor} times from {original} positions where it hardly turns")
        }
        Scaling::Factors(_) => ", each frequency stretched by a factor of its own".to_owned(),
    };
    let times = match kind.amplitude {
        1.0 => String::new(),
        amplitude => format!(", times {}", number(amplitude)),
    };
    format!("rotary, theta {}, width {}{scaling}{times}", number(kind.theta), kind.width)
}

/// A number as its settings have it, not as 32 bits hold it.
fn number(x: f64) -> String {
    match x.fract() == 0.0 && (1.0..1e15).contains(&x) {
        true => count(x as usize),
        false if x < 1e-3 => format!("{:e}", x as f32),
        false => format!("{}", x as f32),
    }
}

/// Ascending numbers, those in a row as a range: `0-4, 6`.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let run = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_they_were_set() {
        assert_eq!(number(100_000.0), "100,000");
        assert_eq!(number(f64::from(1e-6_f32)), "1e-6");
        assert_eq!(number(1e-12), "1e-12");
        assert_eq!(number(2.5), "2.5");
    }

    #[test]
    fn runs_are_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 3, 4, 6, 7, 9]), "0-4, 6-7, 9");
        assert_eq!(ranges(&[5]), "5");
    }
}
