//! The columns of reports: the metrics of cases, and what is measured of a whole model.

use crate::results::{Better, MetricInfo, Unit};
use retcon::eval::{METRICS, Measure};

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) also: &'static str,
    pub(super) summary: &'static str,
    pub(super) source: &'static str,
    pub(super) unit: Unit,
    pub(super) better: Better,
    pub(super) headline: bool,
    /// Whether its mean is shown as its exponential.
    pub(super) exponential: bool,
}

/// The metrics that tables show unless asked for all.
const HEADLINE: &[&str] = &[
    "rewrite.prefer",
    "rewrite.tf.sequence",
    "rewrite.free.exact",
    "rewrite.free.begins",
    "paraphrase.prefer",
    "paraphrase.tf.sequence",
    "paraphrase.free.begins",
    "portability.tf.token",
    "portability.free.contains",
    "multi-hop.free.contains",
    "neighbor.prefer",
    "neighbor.same.token",
    "neighbor.same.free",
    "same-subject.same.token",
    "unrelated.same.token",
    "unrelated.same.free",
];

/// What is not a metric of cases: a name, what publications call it, what it is, its source, unit and
/// direction, and whether tables show it.
type Other = (&'static str, &'static str, &'static str, &'static str, Unit, Better, bool);

const OURS: &str = "ours";
const ROME: &str = "Meng et al. 2022, arXiv 2202.05262, section 3.4";
const MEMIT: &str = "Meng et al. 2023, arXiv 2210.07229, section 5.2.1, for zsRE";
const ZHU: &str = "Zhu et al. 2020, arXiv 2012.00363, section 3";
const LIFELONG: &str = "Hartvigsen et al. 2023, arXiv 2211.11031, as edit retention";

const OTHERS: &[Other] = &[
    (
        "score",
        "S",
        "harmonic mean of rewrite.prefer, paraphrase.prefer and neighbor.prefer",
        ROME,
        Unit::Share,
        Better::Higher,
        true,
    ),
    (
        "score.tf.token",
        "S",
        "harmonic mean of rewrite.tf.token, paraphrase.tf.token and unrelated.tf.token",
        MEMIT,
        Unit::Share,
        Better::Higher,
        false,
    ),
    (
        "kept.tf.sequence",
        "A_{F\\S}",
        "old objects of facts that are not edited lead, of those that the unedited model says",
        ZHU,
        Unit::Share,
        Better::Higher,
        true,
    ),
    (
        "text.kl",
        "",
        "KL(before ‖ after) of the next token, the mean over the positions of texts that belong to no \
         edit, in nats",
        OURS,
        Unit::Number,
        Better::Lower,
        true,
    ),
    (
        "text.top1",
        "",
        "share of their positions whose most likely token is as before",
        OURS,
        Unit::Share,
        Better::Higher,
        true,
    ),
    (
        "text.perplexity",
        "PPL",
        "the exponential of the mean of -log p over the tokens of these texts",
        OURS,
        Unit::Number,
        Better::Lower,
        false,
    ),
    (
        "general.tf.sequence",
        "",
        "answers of common knowledge lead, fed their tokens",
        OURS,
        Unit::Share,
        Better::Higher,
        false,
    ),
    (
        "arithmetic.tf.sequence",
        "",
        "results of small sums lead, fed their tokens",
        OURS,
        Unit::Share,
        Better::Higher,
        false,
    ),
    (
        "online.rewrite.tf.sequence",
        "",
        "rewrite.tf.sequence of each case right after its own edit",
        LIFELONG,
        Unit::Share,
        Better::Higher,
        true,
    ),
    (
        "online.rewrite.free.exact",
        "",
        "rewrite.free.exact of each case right after its own edit",
        LIFELONG,
        Unit::Share,
        Better::Higher,
        false,
    ),
    (
        "online.paraphrase.tf.sequence",
        "",
        "paraphrase.tf.sequence of each case right after its own edit",
        LIFELONG,
        Unit::Share,
        Better::Higher,
        false,
    ),
    (
        "forgetting",
        "",
        "online.rewrite.tf.sequence minus rewrite.tf.sequence at the end",
        OURS,
        Unit::Share,
        Better::Lower,
        true,
    ),
    (
        "horizon",
        "CP@60",
        "edits up to the last check at which rewrite.tf.sequence is 60% or more",
        OURS,
        Unit::Number,
        Better::Higher,
        true,
    ),
    ("time.edit", "", "seconds of editing, an edit", OURS, Unit::Seconds, Better::Lower, true),
    ("time.all", "", "seconds with measuring, an edit", OURS, Unit::Seconds, Better::Lower, false),
];

/// All columns, in the order of tables.
pub(super) fn columns() -> Vec<Column> {
    let metrics = METRICS.iter().map(|metric| {
        let is_number = matches!(metric.measure, Measure::Entropy);
        Column {
            name: metric.name,
            also: metric.also,
            summary: metric.measure.summary(),
            source: metric.source,
            unit: if is_number { Unit::Number } else { Unit::Share },
            better: Better::Higher,
            headline: HEADLINE.contains(&metric.name),
            exponential: false,
        }
    });
    let other = |&(name, also, summary, source, unit, better, headline): &Other| {
        let exponential = name == "text.perplexity";
        Column { name, also, summary, source, unit, better, headline, exponential }
    };
    metrics.chain(OTHERS.iter().map(other)).collect()
}

/// All metrics of reports, in the order of tables: those of cases, and those of a whole model.
#[must_use]
pub fn metrics() -> Vec<MetricInfo> {
    columns().iter().map(Column::info).collect()
}

impl Column {
    /// Whether methods are compared by it: what tables show, but for seconds, which differ from run to
    /// run by what else the machine does.
    pub(super) fn is_compared(&self) -> bool {
        self.headline && self.unit != Unit::Seconds
    }

    /// What is shown of a mean.
    pub(super) fn shown(&self, mean: f64) -> f64 {
        if self.exponential { mean.exp() } else { mean }
    }

    pub(super) fn info(&self) -> MetricInfo {
        MetricInfo {
            name: self.name.to_owned(),
            also: self.also.to_owned(),
            summary: self.summary.to_owned(),
            source: self.source.to_owned(),
            unit: self.unit,
            better: self.better,
            headline: self.headline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_headline_is_a_column() {
        let columns = columns();
        for name in HEADLINE {
            assert!(columns.iter().any(|column| column.name == *name), "{name}");
        }
        for (i, column) in columns.iter().enumerate() {
            assert!(columns[..i].iter().all(|other| other.name != column.name));
        }
    }
}
