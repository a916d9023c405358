//! What is asked for, in the words of the other side, and what our methods call it.

use std::path::{Path, PathBuf};

use retcon::data::{Fact, Prompt};
use retcon::{Editor, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::measure::Outcome;

/// A request, as `locate.py` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// A Hugging Face folder.
    pub(crate) model: PathBuf,
    pub(crate) method: Task,
    pub(crate) blocks: Vec<usize>,
    #[serde(default)]
    pub(crate) edits: Vec<Edit>,
    #[serde(default)]
    pub(crate) prefixes: Vec<String>,
    /// What statistics are of; our own text where it is left out.
    pub(crate) texts: Option<PathBuf>,
    pub(crate) n_texts: Option<usize>,
    /// Where the second moments go, for the other side too.
    pub(crate) save: Option<PathBuf>,
    /// Where the texts go, a line each, for the other side.
    pub(crate) save_texts: Option<PathBuf>,
    /// Second moments that are there already.
    pub(crate) second_moments: Option<PathBuf>,
    /// Whether an edit starts from the one before it.
    #[serde(default)]
    pub(crate) keep: bool,
    #[serde(default)]
    pub(crate) settings: Map<String, Value>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    Rome,
    Memit,
    Alphaedit,
    Statistics,
    /// How the cost of `memit` grows; on this side alone.
    Grow,
}

/// An edit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// With empty braces where the subject belongs.
    pub(crate) prompt: String,
    pub(crate) subject: String,
    pub(crate) target_new: String,
}

impl Edit {
    pub(crate) fn fact(&self) -> Outcome<Fact> {
        Ok(Fact::new(Prompt::fill(&self.prompt, &self.subject)?, &self.target_new)?)
    }
}

impl Request {
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }

    fn is_set(&self, key: &str) -> bool {
        self.settings.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Edits that are made at once, of `n`.
    pub(crate) fn batch(&self, n: usize) -> usize {
        let usual = match self.method {
            Task::Rome => 1,
            Task::Alphaedit => 10,
            Task::Memit | Task::Statistics | Task::Grow => n,
        };
        let given = self.settings.get("batch").and_then(Value::as_u64);
        given.map_or(usual, |batch| batch as usize).max(1)
    }

    /// Whether what is edited stays so.
    pub(crate) fn keeps(&self) -> bool {
        self.keep || self.method == Task::Alphaedit
    }

    /// Our method of that name, with the settings of the other side; those that are left out have
    /// our defaults, which are the same numbers but for what `benches/editors.py` always gives: MEMIT's
    /// lambda and AlphaEdit's step size.
    pub(crate) fn editor(&self) -> Outcome<Box<dyn Editor>> {
        let mut given = Map::new();
        given.insert("blocks".to_owned(), written(&self.blocks).into());
        given.insert("prefixes".to_owned(), self.prefixes.clone().into());
        for (key, value) in &self.settings {
            let ours = match key.as_str() {
                "lr" => "learning_rate",
                "weight_decay" => "decay",
                "stop" => "stop_loss",
                "covariance_weight" | "l2" => "mu",
                "steps" | "kl" | "clamp" | "threshold" => key,
                // What becomes of these is below and in `batch`.
                "no_stop" | "symmetric" | "batch" => continue,
                _ => return Err(format!("no setting `{key}`").into()),
            };
            given.insert(ours.to_owned(), value.clone());
        }
        if self.is_set("no_stop") {
            given.insert("stop_loss".to_owned(), 0.0.into());
        }
        let name = match self.method {
            Task::Rome if self.is_set("symmetric") => "r-rome",
            Task::Rome => {
                // The published code's key in the numerator isn't the one in the denominator.
                let bare = ["start", "present", "through"].map(|of| (of.to_owned(), json!("bare")));
                given.extend(bare);
                "rome"
            }
            Task::Alphaedit => "alphaedit",
            Task::Memit | Task::Statistics | Task::Grow => "memit",
        };
        if self.second_moments.is_none() {
            // As EasyEdit's presets of ROME have it; the others can't do without.
            given.insert("metric".to_owned(), "identity".into());
        }
        Ok(Method::find(name)?.editor(given)?)
    }
}

/// Blocks as our settings have them.
fn written(blocks: &[usize]) -> String {
    blocks.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}
