//! Comparing methods: a plan from a file and from what was typed, checked before anything is loaded.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use retcon::Method;
use retcon::data::Fact;
use retcon_bench::metrics;
use retcon_bench::results::MetricInfo;
use retcon_bench::{Asking, Setting, Store};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::stats::{Statistics, statistics};
use super::{data, facts, has_folder, out, settings, typed};
use crate::args;
use crate::failure::usage;
use crate::model_ref::ModelRef;

/// Compares methods.
pub(crate) struct Bench {
    pub(crate) model: ModelRef,
    pub(crate) data: PathBuf,
    pub(crate) format: Option<String>,
    pub(crate) patterns: Option<PathBuf>,
    pub(crate) methods: Vec<Chosen>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) n: Option<usize>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) asking: Asking,
    pub(crate) store: PathBuf,
    pub(crate) workers: usize,
    pub(crate) may_tune: bool,
    pub(crate) force: bool,
    pub(crate) statistics: Statistics,
}

/// A method, and what was set of it.
pub(crate) struct Chosen {
    pub(crate) label: String,
    pub(crate) method: &'static Method,
    pub(crate) given: Map<String, Value>,
}

/// Reports what a store has come to.
pub(crate) struct Report {
    pub(crate) store: PathBuf,
    pub(crate) all: bool,
    /// Those that are wanted; empty for the usual ones.
    pub(crate) metrics: Vec<String>,
    pub(crate) markdown: bool,
    pub(crate) out: Option<PathBuf>,
}

/// Checks an edit.
pub(crate) struct Verify {
    pub(crate) model: ModelRef,
    pub(crate) deltas: Vec<PathBuf>,
    /// What must hold; where nothing is given, what the deltas were made of.
    pub(crate) facts: Option<Vec<Fact>>,
    pub(crate) limits: Limits,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) seed: Option<u64>,
}

/// What an edit must keep to; what is not given is only reported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max_drift: Option<f64>,
    pub(crate) min_efficacy: Option<f64>,
    pub(crate) min_paraphrase: Option<f64>,
    pub(crate) min_locality: Option<f64>,
}

/// A plan as a file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    model: Option<String>,
    data: Option<String>,
    format: Option<String>,
    patterns: Option<PathBuf>,
    methods: Vec<Entry>,
    settings: Vec<Setting>,
    n: Option<usize>,
    seeds: Vec<u64>,
    free: Option<usize>,
    text: Option<usize>,
    general: Option<usize>,
    kept: Option<usize>,
}

/// A method of a plan: its name, or a table.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Name(String),
    Table(Table),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    method: String,
    label: Option<String>,
    #[serde(default)]
    settings: Map<String, Value>,
}

impl File {
    fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the plan {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in the plan {}", path.display()))
    }
}

pub(super) fn bench(args: args::Bench) -> Result<Bench> {
    let file = File::read(args.plan.as_deref())?;
    let model =
        args.model.or(file.model).ok_or_else(|| usage("no model: name one with --model"))?;
    let data = args.data.or(file.data).ok_or_else(|| {
        usage("no cases: name a file with --data, or `world`; `retcon data` lists their forms")
    })?;
    let names = args.methods.into_iter().map(Entry::Name).collect::<Vec<_>>();
    let entries = if names.is_empty() { file.methods } else { names };
    let methods = methods(entries, &args.set)?;
    let typed: Vec<Setting> =
        args.settings.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let settings = match (typed.is_empty(), file.settings.is_empty()) {
        (false, _) => typed,
        (true, false) => file.settings,
        (true, true) => vec![Setting::Single { cases: None }],
    };
    let seeds = match (args.seeds.is_empty(), file.seeds.is_empty()) {
        (false, _) => args.seeds,
        (true, false) => file.seeds,
        (true, true) => vec![0],
    };
    let usual = Asking::default();
    let asking = Asking {
        free: args.free.or(file.free).unwrap_or(usual.free),
        text: args.text.or(file.text).unwrap_or(usual.text),
        general: args.general.or(file.general).unwrap_or(usual.general),
        kept: args.kept.or(file.kept).unwrap_or(usual.kept),
    };
    let n = args.n.or(file.n);
    if n == Some(0) {
        bail!(usage("-n: expected at least 1, found: 0"));
    }
    has_folder(&args.store)?;
    let patterns = args.patterns.or(file.patterns);
    data::are_there(patterns.as_deref())?;
    if args.workers == 0 {
        bail!(usage("--workers: expected at least 1, found: 0"));
    }
    unique("--seeds", &seeds)?;
    unique("--settings", &settings)?;
    Ok(Bench {
        model: ModelRef::parse(&model)?,
        data: data.into(),
        format: args.format.or(file.format),
        patterns,
        methods,
        settings,
        n,
        seeds,
        asking,
        store: args.store,
        workers: args.workers,
        may_tune: !args.no_tune,
        force: args.force,
        statistics: statistics(args.statistics)?,
    })
}

/// Makes sure that nothing is there twice: it would count twice.
fn unique<T: PartialEq + Display>(flag: &str, items: &[T]) -> Result<()> {
    let twice = items.iter().enumerate().find(|(i, item)| items[..*i].contains(item));
    match twice {
        Some((_, item)) => bail!(usage(format!("{flag}: {item} is there twice"))),
        None => Ok(()),
    }
}

/// The methods, each with what was set of it, and no two of one label.
fn methods(entries: Vec<Entry>, set: &[String]) -> Result<Vec<Chosen>> {
    let chosen = entries.into_iter().map(|entry| {
        let (name, label, given) = match entry {
            Entry::Name(name) => (name.clone(), name, Map::new()),
            Entry::Table(Table { method, label, settings }) => {
                (method.clone(), label.unwrap_or(method), settings)
            }
        };
        Ok(Chosen { label, method: Method::find(&name)?, given })
    });
    let mut chosen = chosen.collect::<Result<Vec<_>>>()?;
    if chosen.is_empty() {
        bail!(usage("no methods: name some with --methods; `retcon methods` lists all"));
    }
    for pair in set {
        let bad = || usage(format!("--set: expected METHOD.KEY=VALUE, found: {pair}"));
        let (name, text) = pair.split_once('=').ok_or_else(bad)?;
        let (label, key) = name.trim().rsplit_once('.').ok_or_else(bad)?;
        let of = chosen.iter_mut().find(|chosen| chosen.label == label);
        let of = of.ok_or_else(|| usage(format!("--set: {label} is none of the methods")))?;
        let default = (of.method.defaults)();
        of.given.insert(key.to_owned(), typed(text, &default[key]));
    }
    for (i, method) in chosen.iter().enumerate() {
        if chosen[..i].iter().any(|other| other.label == method.label) {
            let label = &method.label;
            bail!(usage(format!(
                "the method {label} is there twice: give each a label of its own"
            )));
        }
        settings::check(method.method, &method.given)?;
    }
    Ok(chosen)
}

pub(super) fn report(args: args::Report) -> Result<Report> {
    // What is no store is told before a folder is looked for.
    Store::open_to_read(&args.store)?;
    if let Some(out) = &args.out {
        has_folder(out)?;
    }
    for name in &args.metrics {
        find(name)?;
    }
    let args::Report { store, all, metrics, markdown, out } = args;
    Ok(Report { store, all, metrics, markdown, out })
}

pub(super) fn metric(args: &args::Metrics) -> Result<Option<MetricInfo>> {
    args.name.as_deref().map(find).transpose()
}

fn find(name: &str) -> Result<MetricInfo> {
    let unknown = || retcon_bench::Error::UnknownMetric { name: name.to_owned() };
    Ok(metrics().into_iter().find(|metric| metric.name == name).ok_or_else(unknown)?)
}

pub(super) fn verify(args: args::Verify) -> Result<Verify> {
    if args.max_drift.is_some_and(|drift| !(drift >= 0.0 && drift.is_finite())) {
        bail!(usage("--max-drift: expected 0 or more nats"));
    }
    if let Some(markdown) = &args.markdown {
        has_folder(markdown)?;
        let read = args.deltas.iter().chain(&args.facts_file).map(PathBuf::as_path);
        out::is_no_input(markdown, read.chain([Path::new(&args.model)]))?;
    }
    let share = |flag: &str, given: Option<f64>| match given {
        Some(given) if !(0.0..=1.0).contains(&given) => {
            bail!(usage(format!("{flag}: expected a share between 0 and 1, found: {given}")))
        }
        given => Ok(given),
    };
    let mut limits = Limits {
        max_drift: args.max_drift,
        min_efficacy: share("--min-efficacy", args.min_efficacy)?,
        min_paraphrase: share("--min-paraphrase", args.min_paraphrase)?,
        min_locality: share("--min-locality", args.min_locality)?,
    };
    if limits == Limits::default() {
        // A gate that holds nothing against anything would let all pass.
        limits.min_efficacy = Some(1.0);
    }
    let given = !args.facts_file.is_empty();
    Ok(Verify {
        model: ModelRef::parse(&args.model)?,
        deltas: args.deltas,
        facts: given.then(|| facts(&[], &args.facts_file)).transpose()?,
        limits,
        markdown: args.markdown,
        seed: args.seed,
    })
}
