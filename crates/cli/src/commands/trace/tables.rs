//! What was found, for people.

use comfy_table::ContentArrangement;
use retcon::trace::{Attribution, Average, Map, Trace};

use super::{Bag, SHARE};
use crate::render::{bold, dim, one_line, percent, plural, right, short, table};

/// What the marks and columns of [`map`] are.
pub(super) const LEGEND: &str = "\
*: a token of the subject
p: how likely the answer is where the token's state at its best block is restored
effect: how much more likely that is than in noise, in points of a percent";

/// A prompt, its answer, and what the noise takes of it.
pub(super) fn headline(trace: &Trace) -> String {
    let object = short(&trace.object);
    format!(
        "{}\np({object}) is {}, with the subject in noise {}: a total effect of {} points",
        bold().apply_to(format!("{} → {object}", short(&trace.prompt))),
        percent(trace.high),
        percent(trace.low),
        points(trace.total_effect()),
    )
}

/// For each token where restoring it brings back most.
pub(super) fn map(trace: &Trace, map: &Map) -> String {
    let mut table = table(["token", "best block", "p", "effect"]);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (token, peak) in trace.tokens.iter().zip(map.peaks()) {
        let star = if token.role.is_subject() { "*" } else { "" };
        let effect = peak.score - trace.low;
        // Where nothing comes back, no block is the best.
        let is_nothing = effect.abs() < 5e-5;
        let block = if is_nothing { "-".to_owned() } else { peak.block.to_string() };
        let name = format!("{}{star}", short(&token.text));
        table.add_row([name, block, percent(peak.score), points(effect)]);
    }
    right(&mut table, &[1, 2, 3]);
    with_head(map.kind.name(), &table.trim_fmt())
}

/// For each kind of token where restoring it brings back most on average.
pub(super) fn average(average: &Average) -> String {
    let mut table = table(["token", "prompts", "best block", "effect"]);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for line in &average.lines {
        let best = line.effects.iter().enumerate();
        let best = best.max_by(|a, b| a.1.mean.total_cmp(&b.1.mean).then(b.0.cmp(&a.0)));
        let Some((block, mean)) = best else { continue };
        let is_nothing = mean.mean.abs() < 5e-5;
        let block = if is_nothing { "-".to_owned() } else { block.to_string() };
        let effect = with_interval(mean.mean, mean.half);
        table.add_row([line.role.name().to_owned(), line.n.to_string(), block, effect]);
    }
    right(&mut table, &[1, 2, 3]);
    let head = format!(
        "{}: average effects over {}, in points; in all {}",
        average.kind,
        plural(average.n, "prompt"),
        with_interval(average.total.mean, average.total.half)
    );
    with_head(&head, &table.trim_fmt())
}

/// The neurons of a fact: those that its prompts share, or else those of each.
pub(super) fn bag(bag: &Bag) -> String {
    if let Some(shared) = &bag.shared {
        let mut table = table(["block", "entry", "prompts", "attribution"]);
        for neuron in shared {
            table.add_row([
                neuron.block.to_string(),
                neuron.index.to_string(),
                format!("{}/{}", neuron.prompts, bag.prompts.len()),
                points(neuron.attribution),
            ]);
        }
        right(&mut table, &[0, 1, 2, 3]);
        let n = shared.len();
        let head = format!("{}: {} in common", asked(&bag.prompts[0]), plural(n, "neuron"));
        return with_head(&head, &table.trim_fmt());
    }
    bag.prompts.iter().map(neurons).collect::<Vec<_>>().join("\n\n")
}

fn neurons(prompt: &Attribution) -> String {
    const MOST: usize = 10;
    let kept = prompt.neurons(SHARE);
    let mut table = table(["block", "entry", "attribution"]);
    for neuron in kept.iter().take(MOST) {
        let (block, index) = (neuron.block.to_string(), neuron.index.to_string());
        table.add_row([block, index, points(neuron.attribution)]);
    }
    right(&mut table, &[0, 1, 2]);
    let more = kept.len().saturating_sub(MOST);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    let head = format!("{}: {}", asked(prompt), plural(kept.len(), "neuron"));
    format!("{}{more}", with_head(&head, &table.trim_fmt()))
}

fn asked(prompt: &Attribution) -> String {
    let token = short(&prompt.token);
    format!("{} → {token} ({})", one_line(&prompt.prompt, 60), percent(prompt.probability))
}

/// A bold line, the head of the table dimmed, and the rest.
fn with_head(head: &str, table: &str) -> String {
    let (names, rows) = table.split_once('\n').unwrap_or((table, ""));
    format!("{}\n{}\n{rows}", bold().apply_to(head), dim().apply_to(names))
}

/// A share in points of a percent.
fn points(p: f64) -> String {
    match 100.0 * p {
        p if p.abs() >= 0.995 => format!("{p:.1}"),
        p if p.abs() >= 0.005 => format!("{p:.2}"),
        0.0 => "0".to_owned(),
        p => format!("{p:.0e}"),
    }
}

fn with_interval(mean: f64, half: Option<f64>) -> String {
    match half {
        Some(half) => format!("{} ± {}", points(mean), points(half)),
        None => points(mean),
    }
}
