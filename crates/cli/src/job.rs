//! What was meant: arguments checked and typed, paths resolved, before anything is loaded.

mod bench;
mod data;
mod out;
mod settings;
mod stats;
mod trace;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap_complete::Shell as CompletionShell;
use retcon::data::{Fact, Format};
use retcon::edit::scope::Scope;
use retcon::experiment::{Facts, Plan, Scale};
use retcon::model::generate::Sampling;
use retcon::train::Course;
use retcon::{Delta, Method};
use retcon_bench::results::MetricInfo;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::args::{self, Command};
use crate::failure::{advised, usage};
use crate::model_ref::{ModelRef, is_named_as_stack};

pub(crate) use bench::{Bench, Report, Verify};
use out::{has_folder, is_free};
use settings::{settings, typed};

pub(crate) use data::{Data, Source, Target};
pub(crate) use stats::{Statistics, Stats, Text, Tune};
pub(crate) use trace::{Asked, Out, Trace};

/// A command that makes sense.
pub(crate) enum Job {
    Demo(Demo),
    Ask(Ask),
    Edit(Edit),
    Stats(Box<Stats>),
    Tune(Box<Tune>),
    Trace(Box<Trace>),
    Train(Train),
    Experiment(Box<Experiment>),
    Apply(Apply),
    Undo(Undo),
    Stack(Stack),
    Merge(Merge),
    Inspect(Inspect),
    Data(Box<Data>),
    Methods(Option<&'static Method>),
    Bench(Box<Bench>),
    Report(Report),
    Metrics(Option<MetricInfo>),
    Verify(Box<Verify>),
    Completions(CompletionShell),
}

/// Shows it all.
pub(crate) struct Demo {
    pub(crate) model: ModelRef,
    pub(crate) out: PathBuf,
}

/// Asks a model.
pub(crate) struct Ask {
    pub(crate) model: ModelRef,
    pub(crate) prompts: Vec<String>,
    pub(crate) deltas: Vec<PathBuf>,
    pub(crate) answer: Answer,
}

/// What is wanted of a model.
pub(crate) enum Answer {
    /// A text.
    Text(Sampling),
    /// So many of the most likely tokens.
    Top(usize),
}

/// Makes a delta.
pub(crate) struct Edit {
    pub(crate) model: ModelRef,
    pub(crate) facts: Vec<Fact>,
    pub(crate) method: &'static Method,
    /// The settings that were given.
    pub(crate) given: Map<String, Value>,
    /// Whether what is not given may be chosen by trial.
    pub(crate) may_tune: bool,
    pub(crate) statistics: Statistics,
    /// The mean divergence on unrelated text, in nats, that the change may reach.
    pub(crate) max_drift: Option<f64>,
    pub(crate) seed: u64,
    pub(crate) deltas: Vec<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) keep_failed: bool,
}

/// Trains a model.
pub(crate) struct Train {
    pub(crate) model: ModelRef,
    pub(crate) facts: Facts,
    pub(crate) random: bool,
    pub(crate) scope: Scope,
    pub(crate) course: Course,
    pub(crate) seed: u64,
    pub(crate) out: PathBuf,
}

/// Carries out a plan.
pub(crate) struct Experiment {
    pub(crate) plan: Plan,
    pub(crate) model: ModelRef,
    pub(crate) out: PathBuf,
}

/// Puts deltas on a stack.
pub(crate) struct Apply {
    pub(crate) model: ModelRef,
    pub(crate) deltas: Vec<PathBuf>,
    pub(crate) stack: Option<PathBuf>,
}

/// Takes deltas off a stack.
pub(crate) struct Undo {
    pub(crate) model: ModelRef,
    pub(crate) which: Which,
    pub(crate) stack: Option<PathBuf>,
}

/// Deltas of a stack.
pub(crate) enum Which {
    Last,
    All,
    /// The one whose id begins so.
    Id(String),
}

/// Lists a stack.
pub(crate) struct Stack {
    pub(crate) model: ModelRef,
    pub(crate) stack: Option<PathBuf>,
}

/// Writes a checkpoint.
pub(crate) struct Merge {
    pub(crate) model: ModelRef,
    pub(crate) deltas: Vec<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) keep_failed: bool,
}

/// Describes something.
pub(crate) enum Inspect {
    Model(ModelRef),
    Delta(PathBuf),
}

impl Job {
    /// Checks what was typed.
    pub(crate) fn of(command: Command) -> Result<Self> {
        Ok(match command {
            Command::Demo(args) => Self::Demo(demo(args)?),
            Command::Ask(args) => Self::Ask(ask(args)?),
            Command::Edit(args) => Self::Edit(edit(*args)?),
            Command::Stats(args) => Self::Stats(Box::new(stats::stats(args)?)),
            Command::Tune(args) => Self::Tune(Box::new(stats::tune(args)?)),
            Command::Trace(args) => Self::Trace(Box::new(trace::trace(*args)?)),
            Command::Train(args) => Self::Train(train(*args)?),
            Command::Experiment(args) => Self::Experiment(Box::new(experiment(args)?)),
            Command::Bench(args) => Self::Bench(Box::new(bench::bench(*args)?)),
            Command::Report(args) => Self::Report(bench::report(args)?),
            Command::Metrics(args) => Self::Metrics(bench::metric(&args)?),
            Command::Verify(args) => Self::Verify(Box::new(bench::verify(args)?)),
            Command::Apply(args) => Self::Apply(apply(args)?),
            Command::Undo(args) => Self::Undo(undo(args)?),
            Command::Stack(args) => {
                let model = model_or_stack(&args.model, args.stack.as_deref())?;
                Self::Stack(Stack { model, stack: args.stack })
            }
            Command::Merge(args) => Self::Merge(merge(args)?),
            Command::Inspect(args) => Self::Inspect(inspect(&args.what)?),
            Command::Data(args) => Self::Data(Box::new(data::data(args)?)),
            Command::Methods(args) => {
                Self::Methods(args.name.as_deref().map(Method::find).transpose()?)
            }
            Command::Completions(args) => Self::Completions(args.shell),
        })
    }
}

fn demo(args: args::Demo) -> Result<Demo> {
    let model = args.model.as_deref().map_or(Ok(ModelRef::Demo), ModelRef::parse)?;
    has_folder(&args.out)?;
    // Seen once more, it replaces what it made before.
    out::replaces(&args.out, "delta", |path| Delta::load(path).is_ok())?;
    Ok(Demo { model, out: args.out })
}

fn ask(args: args::Ask) -> Result<Ask> {
    let answer = match args.top {
        Some(0) => bail!(usage("--top: expected at least 1, found: 0")),
        Some(n) => Answer::Top(n),
        None => {
            let temperature = args.temperature;
            if !(temperature >= 0.0 && temperature.is_finite()) {
                bail!(usage(format!("--temperature: expected 0 or more, found: {temperature}")));
            }
            let (n_tokens, top_k, seed) = (args.tokens, args.top_k, args.seed);
            Answer::Text(Sampling { n_tokens, temperature, top_k, seed })
        }
    };
    if args.prompts.iter().any(|prompt| prompt.trim().is_empty()) {
        bail!(usage("PROMPT: expected a text, found an empty one"));
    }
    let model = ModelRef::parse(&args.model)?;
    Ok(Ask { model, prompts: args.prompts, deltas: args.delta, answer })
}

fn edit(args: args::Edit) -> Result<Edit> {
    let method = Method::find(&args.method)?;
    let mut given = match &args.preset {
        Some(model) => method.preset(model)?,
        None => Map::new(),
    };
    given.extend(settings(method, &args.set, &args.aliases)?);
    // What makes no sense is told before anything is loaded.
    settings::check(method, &given)?;
    if args.max_drift.is_some_and(|drift| !(drift > 0.0 && drift.is_finite())) {
        bail!(usage("--max-drift: expected a positive number of nats"));
    }
    let facts = facts(&args.facts, &args.facts_file)?;
    is_free(&args.out, args.force)?;
    has_folder(&args.out)?;
    Ok(Edit {
        model: ModelRef::parse(&args.model)?,
        facts,
        method,
        given,
        may_tune: !args.no_tune,
        statistics: stats::statistics(args.statistics)?,
        max_drift: args.max_drift,
        seed: args.seed,
        deltas: args.delta,
        out: args.out,
        keep_failed: args.keep_failed,
    })
}

fn train(args: args::Train) -> Result<Train> {
    if args.out.symlink_metadata().is_ok() {
        let what = format!("{} exists already", args.out.display());
        bail!(advised(what, "choose another --out, or remove what is there"));
    }
    has_folder(&args.out)?;
    let mut course = serde_json::to_value(Course::default())?;
    for pair in &args.set {
        let (key, text) = pair
            .split_once('=')
            .ok_or_else(|| usage(format!("--set: expected KEY=VALUE, found: {pair}")))?;
        let key = key.trim();
        course[key] = typed(text, &course[key]);
        // Read one by one, so that what is wrong has a name.
        Course::deserialize(&course).map_err(|error| usage(format!("--set {key}: {error}")))?;
    }
    let course = Course::deserialize(&course)?;
    course.check().map_err(|error| usage(format!("--set: {error}")))?;
    let texts = serde_json::from_value(Value::from(args.texts))
        .map_err(|error| usage(format!("--texts: {error}")))?;
    let components = args.components.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    Ok(Train {
        model: ModelRef::parse(&args.model)?,
        facts: Facts { count: args.count, texts, ..Facts::of(args.facts) },
        random: args.random,
        scope: Scope { blocks: args.blocks.parse()?, components },
        course,
        seed: args.seed,
        out: args.out,
    })
}

fn experiment(args: args::Experiment) -> Result<Experiment> {
    let scale = match args.scale {
        args::ScaleName::Small => Scale::Small,
        args::ScaleName::Hour => Scale::Hour,
        args::ScaleName::Full => Scale::Full,
    };
    let mut plan = Plan::read(&args.plan, scale)?;
    if let Some(facts) = args.facts {
        plan.facts.source = facts;
    }
    Ok(Experiment { plan, model: ModelRef::parse(&args.model)?, out: args.out })
}

fn apply(args: args::Apply) -> Result<Apply> {
    if let Some(stack) = args.stack.as_ref().filter(|path| !is_named_as_stack(path)) {
        let what =
            format!("--stack: expected a name that ends with .json, found: {}", stack.display());
        bail!(advised(what, "stack files are told from models by that"));
    }
    Ok(Apply { model: ModelRef::parse(&args.model)?, deltas: args.deltas, stack: args.stack })
}

fn undo(args: args::Undo) -> Result<Undo> {
    let which = match args.id {
        Some(id) if id.is_empty() => {
            bail!(usage("ID: expected the beginning of an id, found none"))
        }
        Some(id) => Which::Id(id),
        None if args.all => Which::All,
        None => Which::Last,
    };
    let model = model_or_stack(&args.model, args.stack.as_deref())?;
    Ok(Undo { model, which, stack: args.stack })
}

fn merge(args: args::Merge) -> Result<Merge> {
    has_folder(&args.out)?;
    let (deltas, out, keep_failed) = (args.deltas, args.out, args.keep_failed);
    Ok(Merge { model: ModelRef::parse(&args.model)?, deltas, out, keep_failed })
}

fn inspect(what: &str) -> Result<Inspect> {
    let path = Path::new(what);
    let is_named_so = path.extension().is_some_and(|end| end == "safetensors");
    Ok(if path.is_file() && (is_named_so || Delta::load(path).is_ok()) {
        Inspect::Delta(path.to_owned())
    } else {
        Inspect::Model(ModelRef::parse(what)?)
    })
}

/// A model for whose stack the model itself need not be there any more.
fn model_or_stack(model: &str, stack: Option<&Path>) -> Result<ModelRef> {
    if let Some(stack) = stack.filter(|stack| !stack.is_file()) {
        bail!(usage(format!("--stack: there is no file {}", stack.display())));
    }
    match ModelRef::parse(model) {
        Err(_) if stack.is_some() => Ok(ModelRef::Path(model.into())),
        parsed => parsed,
    }
}

/// All facts, and the assurance that no two of them give one prompt different answers.
fn facts(lines: &[String], files: &[PathBuf]) -> Result<Vec<Fact>> {
    let mut facts = Vec::new();
    for line in lines {
        facts.push(Fact::parse(line).with_context(|| format!("in the fact {line:?}"))?);
    }
    for file in files {
        facts.extend(read(file)?);
    }
    if facts.is_empty() {
        bail!(usage(
            "no facts: give them as arguments, such as \"The capital of {France} is => Berlin\", \
             or in a file with --facts"
        ));
    }
    let mut seen: Vec<Fact> = Vec::new();
    for fact in facts {
        let Some(first) = seen.iter().find(|other| other.prompt.text() == fact.prompt.text())
        else {
            seen.push(fact);
            continue;
        };
        let (text, a, b) = (fact.prompt.text(), &first.target_new, &fact.target_new);
        ensure!(a == b, "two facts contradict each other: {text:?} with {a:?} and with {b:?}");
        ensure!(
            first.says_the_same(&fact),
            "two facts have the prompt {text:?}, and differ in their subject, paraphrases or neighbors: \
             leave one out"
        );
    }
    Ok(seen)
}

fn read(file: &Path) -> Result<Vec<Fact>> {
    if file != Path::new("-") {
        return Ok(retcon::data::read(file)?);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
    let format = Format::of_bytes(&bytes);
    Ok(retcon::data::parse(bytes, Path::new("<stdin>"), format)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_contradict_are_refused_and_repetitions_dropped() {
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let same = facts(&lines(&["{a} is => b", "{a} is => b"]), &[]).unwrap();
        assert_eq!(same.len(), 1);
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| folder.path().join(name));
        for file in &files {
            std::fs::write(file, "{a} is => b\n").unwrap();
        }
        assert_eq!(facts(&[], &files).unwrap().len(), 1);
        let error = facts(&lines(&["{a} is => b", "{a} is => c"]), &[]).unwrap_err();
        assert!(error.to_string().contains("contradict"), "{error}");
        assert!(facts(&[], &[]).unwrap_err().to_string().starts_with("no facts"));
    }
}
