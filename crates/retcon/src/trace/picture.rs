//! Traces as pictures, after the paper's figures: tokens down, blocks across.

use super::average::Average;
use super::causal::{Kind, Map, Trace};
use super::neurons::Attribution;
use crate::draw::{Axes, HeatMap, Hue};
use crate::error::Result;

/// The picture of one map of `trace`, as SVG. Tokens of the subject have a star.
///
/// # Errors
/// [`crate::Error::NoPicture`].
pub fn map(trace: &Trace, map: &Map, window: usize) -> Result<String> {
    let token = |token: &super::Token| {
        let star = if token.role.is_subject() { "*" } else { "" };
        format!("{}{star}", shown(&token.text))
    };
    let highest = map.scores.iter().flatten().copied().fold(trace.low, f64::max);
    let p = format!("p({})", shortened(&trace.object));
    let subtitle = format!(
        "{p}: {} without noise, {} with noise on the subject (*)",
        percent(trace.high),
        percent(trace.low)
    );
    HeatMap {
        title: &format!("Restoring {}", restored(map.kind, window)),
        subtitle: &subtitle,
        rows: trace.tokens.iter().map(token).collect(),
        columns: numbers(map.scores.first().map_or(0, Vec::len)),
        values: map.scores.iter().map(|row| row.iter().copied().map(Some).collect()).collect(),
        range: (trace.low, highest),
        hue: hue(map.kind),
        axes: Some(Axes { rows: "token", columns: across(map.kind), values: &p }),
    }
    .svg()
}

/// The picture of what several traces come to, as SVG.
///
/// # Errors
/// [`crate::Error::NoPicture`].
pub fn average_map(average: &Average, window: usize) -> Result<String> {
    let effects = || average.lines.iter().flat_map(|line| &line.effects).map(|mean| mean.mean);
    let highest = effects().fold(0.0, f64::max);
    let plural = if average.n == 1 { "" } else { "s" };
    let half = average.total.half.map(|half| format!(" ± {}", points(half))).unwrap_or_default();
    let subtitle = format!(
        "average indirect effect over {} prompt{plural}; average total effect {}{half} points",
        average.n,
        points(average.total.mean)
    );
    let row = |line: &super::Line| match line.n == average.n {
        true => line.role.name().to_owned(),
        false => format!("{} (n = {})", line.role.name(), line.n),
    };
    HeatMap {
        title: &format!("Restoring {}", restored(average.kind, window)),
        subtitle: &subtitle,
        rows: average.lines.iter().map(row).collect(),
        columns: numbers(average.lines.first().map_or(0, |line| line.effects.len())),
        values: (average.lines.iter())
            .map(|line| line.effects.iter().map(|mean| Some(mean.mean)).collect())
            .collect(),
        range: (0.0, highest),
        hue: hue(average.kind),
        axes: Some(Axes { rows: "token", columns: across(average.kind), values: "effect" }),
    }
    .svg()
}

/// The picture of the highest attribution in each block, prompt by prompt, as SVG.
///
/// # Errors
/// [`crate::Error::NoPicture`].
pub fn neuron_map(prompts: &[Attribution]) -> Result<String> {
    let strongest: Vec<Vec<f64>> = prompts.iter().map(Attribution::strongest).collect();
    let highest = strongest.iter().flatten().copied().fold(0.0, f64::max);
    let object = prompts.first().map(|prompt| &prompt.object);
    let of = match object.filter(|object| prompts.iter().all(|prompt| prompt.object == **object)) {
        Some(object) => format!("p({})", shortened(object)),
        None => "the probability of each prompt's answer".to_owned(),
    };
    HeatMap {
        title: "Knowledge neurons: the strongest entry of each block's key",
        subtitle: &format!("integrated gradients of {of}"),
        rows: prompts.iter().map(|prompt| shortened(&prompt.prompt)).collect(),
        columns: numbers(strongest.first().map_or(0, Vec::len)),
        values: strongest.into_iter().map(|row| row.into_iter().map(Some).collect()).collect(),
        range: (0.0, highest),
        hue: Hue::Blue,
        axes: Some(Axes { rows: "prompt", columns: "block", values: "attribution" }),
    }
    .svg()
}

fn restored(kind: Kind, window: usize) -> String {
    match kind {
        Kind::Hidden => "one hidden state".to_owned(),
        Kind::Mlp => format!("the MLP outputs of {window} blocks"),
        Kind::Attention => format!("the attention outputs of {window} blocks"),
        Kind::SeveredMlp => "one hidden state, MLPs severed".to_owned(),
        Kind::SeveredAttention => "one hidden state, attention severed".to_owned(),
    }
}

fn across(kind: Kind) -> &'static str {
    match kind.is_window() {
        true => "center of the restored blocks",
        false => "block whose output is restored",
    }
}

/// The paper's colors.
fn hue(kind: Kind) -> Hue {
    match kind {
        Kind::Hidden => Hue::Purple,
        Kind::Mlp | Kind::SeveredMlp => Hue::Green,
        Kind::Attention | Kind::SeveredAttention => Hue::Red,
    }
}

fn numbers(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

/// A text on one line, its breaks visible: a picture takes no control characters.
fn shown(text: &str) -> String {
    let text = text.trim_matches(' ');
    let visible = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    if text.is_empty() { "␣".to_owned() } else { text.chars().map(visible).collect() }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 48;
    let text = shown(text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn percent(p: f64) -> String {
    match 100.0 * p {
        p if p > 0.0 && p < 0.01 => "<0.01%".to_owned(),
        p if p < 1.0 => format!("{p:.2}%"),
        p => format!("{p:.1}%"),
    }
}

fn points(p: f64) -> String {
    format!("{:.1}", 100.0 * p)
}
