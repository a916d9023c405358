//! What the name of a metric tells: which questions, by which protocol, what is compared.

use serde::Serialize;

/// How a model is asked; numbers of one protocol are never compared with those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Two given answers are scored, and the likelier one wins.
    Prefer,
    /// The wanted answer is fed token by token.
    Forced,
    /// The model speaks on its own.
    Free,
    /// The model is compared with itself before the edit.
    Same,
    /// None of these: a number of the edit or the model.
    Other,
}

impl Protocol {
    /// All, in the order of tables.
    pub const ALL: [Self; 5] = [Self::Prefer, Self::Forced, Self::Free, Self::Same, Self::Other];

    /// Its name, as tables show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::Forced => "teacher-forced",
            Self::Free => "free",
            Self::Same => "same",
            Self::Other => "measured",
        }
    }

    /// What it is, in a sentence.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Prefer => {
                "Two given answers are scored and compared; the model may say neither of them."
            }
            Self::Forced => {
                "The wanted answer is fed token by token, and each has to lead after the right \
                 ones before it; the model need not be able to say it on its own."
            }
            Self::Free => "The model speaks on its own, and what it says is read.",
            Self::Same => {
                "What the model says or prefers is compared with what it did before the edit; \
                 whether that was right does not matter."
            }
            Self::Other => "A number of the edit or of the model, not of an answer.",
        }
    }
}

/// The parts of the name of a metric, such as `rewrite.free.exact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Which questions; empty where the name tells none.
    pub axis: &'a str,
    /// How they are asked.
    pub protocol: Protocol,
    /// What is compared.
    pub measure: &'a str,
}

impl<'a> Parts<'a> {
    /// The parts of `name`.
    #[must_use]
    pub fn of(name: &'a str) -> Self {
        let (axis, rest) = name.split_once('.').unwrap_or(("", name));
        let (kind, measure) = rest.split_once('.').unwrap_or((rest, rest));
        // Those that are made of others are of the protocol of these.
        let kind = match name {
            "score" => "prefer",
            "forgetting" | "horizon" => "tf",
            _ => kind,
        };
        let protocol = match kind {
            "prefer" | "magnitude" => Protocol::Prefer,
            "tf" => Protocol::Forced,
            "free" => Protocol::Free,
            "same" => Protocol::Same,
            _ => Protocol::Other,
        };
        let measure = if protocol == Protocol::Other { rest } else { measure };
        Self { axis, protocol, measure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retcon::eval::metrics::METRICS;

    #[test]
    fn the_name_of_every_metric_tells_its_protocol() {
        for metric in METRICS {
            let parts = Parts::of(metric.name);
            let is_text = parts.axis == "generation";
            assert_eq!(parts.protocol == Protocol::Other, is_text, "{}", metric.name);
            let free = parts.protocol == Protocol::Free || metric.name.ends_with(".same.free");
            assert_eq!(free, metric.measure.is_free(), "{}", metric.name);
        }
        let parts = Parts::of("rewrite.tf.token");
        assert_eq!((parts.axis, parts.measure), ("rewrite", "token"));
        let other = Parts { axis: "drift", protocol: Protocol::Other, measure: "kl.mean" };
        assert_eq!(Parts::of("drift.kl.mean"), other);
        assert_eq!(Parts::of("seconds").axis, "");
        let score = Parts { axis: "", protocol: Protocol::Prefer, measure: "score" };
        assert_eq!(Parts::of("score"), score);
        assert_eq!(Parts::of("horizon").protocol, Protocol::Forced);
        assert_eq!(Parts::of("score.tf.token").protocol, Protocol::Forced);
    }
}
