//! `trace`: which prompts, what is restored, and where the pictures go.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use retcon::data::{Fact, Prompt};
use retcon::trace::Kind;

use super::{has_folder, read};
use crate::args;
use crate::failure::{advised, usage};
use crate::model_ref::ModelRef;

/// Traces prompts through a model.
pub(crate) struct Trace {
    pub(crate) model: ModelRef,
    pub(crate) asked: Vec<Asked>,
    /// Prompts that ask for the same fact, whose neurons are compared.
    pub(crate) bags: Vec<Vec<Asked>>,
    /// Whose embeddings tell how strong the noise is, unless it is those of the facts we ship.
    pub(crate) subjects: Option<Vec<String>>,
    /// What is restored; nothing where neurons alone are wanted.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) neurons: bool,
    /// In standard deviations.
    pub(crate) noise: f64,
    pub(crate) samples: usize,
    pub(crate) window: usize,
    pub(crate) seed: u64,
    pub(crate) deltas: Vec<PathBuf>,
    pub(crate) out: Option<Out>,
}

/// A prompt, and the answer that it should get, where that is known.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) prompt: Prompt,
    pub(crate) object: Option<String>,
    /// Whether it is left out where the model says something else.
    pub(crate) only_if_said: bool,
}

/// Where pictures go.
pub(crate) enum Out {
    Folder(PathBuf),
    Svg(PathBuf),
    Png(PathBuf),
}

pub(super) fn trace(args: args::Trace) -> Result<Trace> {
    let (kinds, neurons) = kinds(&args.kind)?;
    let typed = typed(&args)?;
    let mut facts = Vec::new();
    for file in &args.facts_file {
        facts.extend(read(file)?);
    }
    let subjects = facts.iter().map(|fact| fact.subject().to_owned()).collect();
    let asked: Vec<Asked> = typed.iter().cloned().chain(facts.iter().map(of_fact)).collect();
    if asked.is_empty() {
        bail!(usage(
            "no prompts: give them as arguments, such as \"The capital of {France} is\", or in a \
             file of facts with --facts"
        ));
    }
    let mut bags: Vec<Vec<Asked>> = facts.iter().map(bag).collect();
    if !typed.is_empty() {
        bags.insert(0, typed);
    }
    let n_pictures = kinds.len() * (asked.len() + usize::from(asked.len() > 1))
        + if neurons { bags.len() } else { 0 };
    if !(args.noise > 0.0 && args.noise.is_finite()) {
        bail!(usage(format!("--noise: expected a number above 0, found: {}", args.noise)));
    }
    for (flag, n) in [("--samples", args.samples), ("--window", args.window)] {
        if n == 0 {
            bail!(usage(format!("{flag}: expected at least 1, found: 0")));
        }
    }
    Ok(Trace {
        model: ModelRef::parse(&args.model)?,
        asked,
        bags,
        subjects: Some(subjects).filter(|subjects: &Vec<_>| !subjects.is_empty()),
        kinds,
        neurons,
        noise: args.noise,
        samples: args.samples,
        window: args.window,
        seed: args.seed,
        deltas: args.delta,
        out: args.out.map(|path| out(path, n_pictures)).transpose()?,
    })
}

/// What is restored, and whether neurons are looked for.
fn kinds(names: &[String]) -> Result<(Vec<Kind>, bool)> {
    let (mut kinds, mut neurons) = (Vec::new(), false);
    for name in names {
        match name.trim() {
            "all" => (kinds, neurons) = (Kind::ALL.to_vec(), true),
            "neurons" => neurons = true,
            name => {
                let kind = name.parse().map_err(|_| {
                    let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                    let all = all.join(", ");
                    usage(format!("--kind: expected {all}, neurons or all, found: {name}"))
                })?;
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
    }
    Ok((kinds, neurons))
}

/// The prompts that were typed.
fn typed(args: &args::Trace) -> Result<Vec<Asked>> {
    let asked = |text: &String| {
        if text.contains("=>") {
            let what = format!("a prompt is traced without its answer, found: {text}");
            bail!(advised(what, "give the answer with --object, or facts in a file with --facts"));
        }
        let prompt = Prompt::parse(text).with_context(|| format!("in the prompt {text:?}"))?;
        Ok(Asked { prompt, object: args.object.clone(), only_if_said: false })
    };
    args.prompts.iter().map(asked).collect()
}

/// What a fact says is new; what is traced is what the model says, the old answer where it is
/// known.
fn of_fact(fact: &Fact) -> Asked {
    Asked { prompt: fact.prompt.clone(), object: fact.target_true.clone(), only_if_said: true }
}

fn bag(fact: &Fact) -> Vec<Asked> {
    let asked = of_fact(fact);
    let others =
        fact.paraphrases.iter().map(|prompt| Asked { prompt: prompt.clone(), ..asked.clone() });
    std::iter::once(asked.clone()).chain(others).collect()
}

fn out(path: PathBuf, n_pictures: usize) -> Result<Out> {
    has_folder(&path)?;
    let out = match path.extension().and_then(|end| end.to_str()) {
        Some("svg") => Out::Svg(path),
        Some("png") => Out::Png(path),
        _ if path.is_file() => {
            let what = format!("{} is a file", path.display());
            bail!(advised(what, "name a folder, or a file that ends in .svg or .png"));
        }
        _ => return Ok(Out::Folder(path)),
    };
    if n_pictures != 1 {
        bail!(usage(format!("--out: {n_pictures} pictures need a folder, not a file")));
    }
    Ok(out)
}
