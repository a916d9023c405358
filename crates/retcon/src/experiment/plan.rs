//! What is to be tried: a file, strict, with settings of its own for each scale.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cell::Cell;
use super::choice::{Data, From, Lookup, Memory, Scale, Start, Texts, is_default};
use crate::edit::scope::Target;
use crate::error::{Error, Result};
use crate::train::{Constraint, Course};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// What it is to find out.
    pub about: String,
    /// Each draws other facts to modify, and other objects for them.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// The facts.
    pub facts: Facts,
    /// How they are memorized.
    pub memorize: Memorize,
    /// How some of them are modified.
    pub modify: Modify,
}

/// The facts of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// `world`, our own; a file or folder of facts; or `given`, which whoever runs it names.
    pub source: String,
    /// A file of modified facts to choose from, or `source` where the facts come with them (zsRE);
    /// otherwise new objects are drawn.
    #[serde(default)]
    pub modified: Option<String>,
    /// Only facts of these relations; all where empty.
    #[serde(default)]
    pub relations: Vec<String>,
    /// At most so many facts, drawn.
    #[serde(default)]
    pub count: Option<usize>,
    /// What is trained on.
    #[serde(default)]
    pub texts: Texts,
    /// How many templates (or questions) of a relation are trained on, where these are; the others
    /// are only measured, as paraphrases.
    #[serde(default = "one")]
    pub trained_templates: usize,
    /// At most so many of the facts that stay are measured.
    #[serde(default = "many")]
    pub measured: usize,
}

impl Facts {
    /// All facts of a source, to be trained in their main template.
    #[must_use]
    pub fn of(source: String) -> Self {
        let texts = Texts::default();
        Self {
            source,
            modified: None,
            relations: vec![],
            count: None,
            texts,
            trained_templates: 1,
            measured: many(),
        }
    }
}

/// How facts are memorized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memorize {
    /// What is trained: models to compare.
    #[serde(default = "pretrained")]
    pub start: Vec<Start>,
    /// Whether the model is given a memory of all facts, in which it looks them up (Facts as
    /// Experts).
    #[serde(default, skip_serializing_if = "is_default")]
    pub lookup: Lookup,
    /// How.
    pub course: Course,
}

/// How facts are modified. Every combination of the lists is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modify {
    /// How many facts.
    pub sizes: Vec<usize>,
    /// What is modified.
    #[serde(default = "memorized")]
    pub from: Vec<From>,
    /// What is trained on.
    #[serde(default = "modified_alone")]
    pub data: Vec<Data>,
    /// What becomes of the facts in the model's memory, where it has one.
    #[serde(default = "memory_kept", skip_serializing_if = "is_kept")]
    pub memory: Vec<Memory>,
    /// `all`, `each` (one after the other), or blocks as `retcon edit` takes them.
    #[serde(default = "all_blocks")]
    pub blocks: Vec<String>,
    /// What of the blocks.
    #[serde(default = "all_components")]
    pub components: Vec<Target>,
    /// What training keeps to. In place of each, the course's own is not used.
    #[serde(default = "unconstrained")]
    pub constraints: Vec<Constraint>,
    /// The share of modified facts in every step, where others are mixed in; as they come where
    /// left out.
    #[serde(default)]
    pub share: Option<f64>,
    /// Steps between measurements.
    #[serde(default = "twenty")]
    pub every: usize,
    /// How.
    pub course: Course,
}

impl Plan {
    /// Reads a plan, with the table of `scale` laid over the rest. What is wrong with the table of
    /// another scale is told as well.
    ///
    /// # Errors
    /// [`Error::BadPlan`], with the line where it is known.
    pub fn read(path: &Path, scale: Scale) -> Result<Self> {
        let bad = |what: String| Error::BadPlan { path: path.to_owned(), what };
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let in_text = |mut error: toml::de::Error| {
            error.set_input(Some(&text));
            bad(error.to_string().trim_end().to_owned())
        };
        let mut table = DeTable::parse(&text).map_err(in_text)?;
        let mut scales = Vec::new();
        for &of in Scale::ALL {
            match table.get_mut().remove(of.name()).map(Spanned::into_inner) {
                Some(DeValue::Table(over)) => scales.push((of, over)),
                Some(_) => return Err(bad(format!("`{}` is no table", of.name()))),
                // What lies below the tables is the small scale where there is none for it.
                None if of == Scale::Small && of == scale => scales.push((of, DeTable::new())),
                None => {}
            }
        }
        let mut wanted = None;
        for (of, over) in scales {
            let mut table = table.clone();
            lay(table.get_mut(), over);
            let plan = Self::deserialize(toml::Deserializer::from(table)).map_err(in_text)?;
            wanted = if of == scale { Some(plan) } else { wanted };
        }
        let mut plan = wanted
            .ok_or_else(|| bad(format!("it has no table `[{}]`, for that scale", scale.name())))?;
        // A path in a file is relative to it.
        let folder = path.parent().unwrap_or(Path::new("."));
        let facts = &mut plan.facts;
        for (name, words) in [
            (Some(&mut facts.source), ["world", "given"]),
            (facts.modified.as_mut(), ["source"; 2]),
        ] {
            if let Some(name) = name.filter(|name| !words.contains(&name.as_str())) {
                *name = folder.join(PathBuf::from(&*name)).display().to_string();
            }
        }
        plan.check().map_err(|error| bad(error.to_string()))?;
        Ok(plan)
    }

    /// All that is tried in a model whose weights are those of `n_blocks` blocks: seed by seed, so
    /// that a run that is cut short has whole tables of the first seeds.
    #[must_use]
    pub fn cells(&self, n_blocks: usize) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &seed in &self.seeds {
            for &start in &self.memorize.start {
                for &size in &self.modify.sizes {
                    for &data in &self.modify.data {
                        let whole = Cell::whole(seed, start, size, data);
                        match data {
                            // All weights, from the start, in the course of memorizing.
                            Data::Retrain | Data::Nothing => cells.push(Cell {
                                memory: match self.memorize.lookup {
                                    Lookup::None => Memory::Kept,
                                    Lookup::Free | Lookup::Supervised => Memory::Rewritten,
                                },
                                ..whole
                            }),
                            Data::Ftm | Data::Fta => cells.extend(self.choices(&whole, n_blocks)),
                        }
                    }
                }
            }
        }
        cells
    }

    /// `whole` with every choice of what is modified, in what bounds.
    fn choices(&self, whole: &Cell, n_blocks: usize) -> Vec<Cell> {
        let each: Vec<String> = (0..n_blocks).map(|block| block.to_string()).collect();
        let blocks = self.modify.blocks.iter().flat_map(|blocks| match blocks.as_str() {
            "each" => each.clone(),
            other => vec![other.to_owned()],
        });
        let blocks: Vec<String> = blocks.collect();
        let mut cells = Vec::new();
        for &from in &self.modify.from {
            for &memory in &self.modify.memory {
                for blocks in &blocks {
                    for &component in &self.modify.components {
                        for &constraint in &self.modify.constraints {
                            let is_loss = matches!(constraint, Constraint::Loss { .. });
                            if is_loss && whole.data == Data::Fta {
                                // The others are watched anyway: it would be FTM's cell again.
                                continue;
                            }
                            let blocks = match component.is_outside() {
                                true => &whole.blocks,
                                false => blocks,
                            };
                            let (blocks, whole) = (blocks.clone(), whole.clone());
                            let cell =
                                Cell { from, memory, blocks, component, constraint, ..whole };
                            // What lies outside of the blocks is tried once, not with each.
                            if !cells.contains(&cell) {
                                cells.push(cell);
                            }
                        }
                    }
                }
            }
        }
        cells
    }
}

/// Lays the entries of `over` over those of `table`, table by table. Each keeps its place in the text.
fn lay<'a>(table: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, value) in over {
        let below = table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
        let place = value.span();
        match (below, value.into_inner()) {
            (Some(DeValue::Table(below)), DeValue::Table(over)) => lay(below, over),
            (_, value) => {
                table.insert(key, Spanned::new(place, value));
            }
        }
    }
}

fn memory_kept() -> Vec<Memory> {
    vec![Memory::Kept]
}

fn is_kept(memory: &Vec<Memory>) -> bool {
    *memory == memory_kept()
}

fn one() -> usize {
    1
}

fn many() -> usize {
    1000
}

fn twenty() -> usize {
    20
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

fn pretrained() -> Vec<Start> {
    vec![Start::Pretrained]
}

fn memorized() -> Vec<From> {
    vec![From::Memorized]
}

fn modified_alone() -> Vec<Data> {
    vec![Data::Ftm]
}

fn all_blocks() -> Vec<String> {
    vec!["all".to_owned()]
}

fn all_components() -> Vec<Target> {
    vec![Target::All]
}

fn unconstrained() -> Vec<Constraint> {
    vec![Constraint::None]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        name = "sizes"
        about = "How many facts can be modified?"
        seeds = [0, 1]
        [facts]
        source = "world"
        [memorize]
        course = { steps = 10 }
        [modify]
        sizes = [4, 8]
        data = ["ftm", "retrain"]
        blocks = ["all", "each"]
        constraints = [{ kind = "none" }, { kind = "linf", radius = 0.001 }]
        course = { steps = 5 }
        [small.modify]
        sizes = [4]
        [full.modify]
        course = { steps = 50 }
    "#;

    fn read(text: &str, scale: Scale) -> Result<Plan> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        Plan::read(&path, scale)
    }

    #[test]
    fn a_plan_is_a_grid_and_a_scale_lies_over_it() {
        let small = read(PLAN, Scale::Small).unwrap();
        assert_eq!((small.modify.sizes.len(), small.modify.course.steps), (1, 5));
        let full = read(PLAN, Scale::Full).unwrap();
        // Per seed and size: three choices of blocks times two constraints, and retraining.
        assert_eq!(full.cells(2).len(), 2 * 2 * (3 * 2 + 1));
        assert_eq!((full.cells(2)[0].seed, full.modify.course.steps), (0, 50));
        let error = read(PLAN, Scale::Hour).unwrap_err().to_string();
        assert!(error.contains("[hour]"), "{error}");
    }

    #[test]
    fn what_lies_outside_of_the_blocks_is_tried_once() {
        let components = "components = [\"mlp-down\", \"embeddings\"]\n        data = [\"ftm\"";
        let text = PLAN.replace("data = [\"ftm\"", components);
        let cells = read(&text, Scale::Small).unwrap().cells(2);
        let of = |target: Target| cells.iter().filter(|cell| cell.component == target).count();
        // Two seeds, two constraints, and for the first component three choices of blocks.
        assert_eq!((of(Target::MlpDown), of(Target::Embeddings)), (12, 4));
    }

    #[test]
    fn the_plans_that_are_shipped_read_at_every_scale() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/zhu2020");
        let mut n_plans = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            for &scale in Scale::ALL {
                let plan = Plan::read(&path, scale).unwrap();
                assert!(!plan.cells(6).is_empty(), "{}", path.display());
            }
            n_plans += 1;
        }
        assert!(n_plans >= 8, "{n_plans}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, expected) in [
            ("sizes = [4, 8]", "sizes = []", "modify.sizes"),
            ("name =", "nme =", "nme"),
            ("\"linf\"", "\"l7\"", "l7"),
            ("radius = 0.001", "radius = 0", "modify.constraints"),
            ("\"linf\", radius = 0.001", "\"loss\", rise = 0.1, rate = -1.0", "rate"),
            ("seeds = [0, 1]", "seeds = [5, 5]", "5 twice"),
            ("sizes = [4, 8]", "sizes = [4, 8, 4]", "4 twice"),
            ("{ steps = 5 }", "{ steps = 5, constraint = { kind = \"l2\", radius = 1.0 } }", "l2"),
            ("{ steps = 10 }", "{ constraint = { kind = \"loss\", rise = 1, rate = 1 } }", "loss"),
            ("{ steps = 10 }", "{ weight_decay = -3 }", "weight_decay"),
            ("[facts]", "[facts", "line"),
        ] {
            let error = read(&PLAN.replace(from, to), Scale::Full).unwrap_err().to_string();
            assert!(error.contains("plan.toml") && error.contains(expected), "{error}");
        }
    }

    /// Below the tables of scales too, and in that of a scale that is not asked for.
    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        for (from, to, line) in [
            ("name =", "nme =", 2),
            ("{ steps = 10 }", "{ stepz = 10 }", 8),
            ("{ steps = 50 }", "{ stepz = 50 }", 18),
            ("sizes = [4]\n", "sizes = [4]\n        sizs = []\n", 17),
        ] {
            for scale in [Scale::Small, Scale::Full] {
                let error = read(&PLAN.replace(from, to), scale).unwrap_err().to_string();
                assert!(error.contains("unknown field"), "{error}");
                assert!(error.contains(&format!("at line {line}, ")), "{line}: {error}");
            }
        }
    }
}
