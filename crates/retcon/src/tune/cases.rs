//! Facts of the library's set that a model knows, each with another object, other wordings, and other
//! facts of its relation.

use retcon_model::Model;

use super::{N_AT_ONCE, N_FACTS};
use crate::ctx::Ctx;
use crate::data::Fact;
use crate::data::knowledge::{Example, FactSet, Wording};
use crate::error::Result;
use crate::eval::accuracy::{said, scores};
use crate::tokens::{Query, query};

/// Facts of one relation that are asked, so that all relations have a chance.
const PER_RELATION: usize = 12;

/// Other facts of a relation that must not change.
const NEIGHBORS: usize = 6;

/// A fact that the model knows, and what to ask after it was changed.
pub(super) struct Case {
    pub(super) fact: Fact,
    pub(super) edit: Query,
    pub(super) paraphrases: Vec<Query>,
    pub(super) neighbors: Vec<Query>,
    /// How likely the object of each neighbor is before any edit.
    pub(super) before: Vec<f64>,
}

/// Facts that the model knows.
pub(super) struct Cases {
    /// Those that are edited one at a time; all others of their relation are neighbors.
    pub(super) alone: Vec<Case>,
    /// Those that are edited at once: half of each relation's, and the other half are neighbors.
    pub(super) together: Vec<Case>,
    /// How many of those that were asked the model knows.
    pub(super) n_known: usize,
}

impl Cases {
    /// Asks the model, and takes facts of one relation after another.
    pub(super) fn of(ctx: &Ctx<'_>, model: &Model) -> Result<Cases> {
        let set = FactSet::world();
        let mut known = known(ctx, model, &set)?;
        let n_known = known.iter().map(Vec::len).sum();
        // Two facts and more can be told apart from one another.
        known.retain(|facts| facts.len() > 1);
        let all =
            known.iter().map(|facts| (facts.as_slice(), facts.as_slice())).collect::<Vec<_>>();
        let halves: Vec<_> = known.iter().map(|facts| facts.split_at(facts.len() / 2)).collect();
        Ok(Cases {
            alone: cases(ctx, model, &set, &all, N_FACTS)?,
            together: cases(ctx, model, &set, &halves, N_AT_ONCE)?,
            n_known,
        })
    }
}

/// The facts of each relation that the model knows.
fn known(ctx: &Ctx<'_>, model: &Model, set: &FactSet) -> Result<Vec<Vec<usize>>> {
    let mut of_relation: Vec<Vec<usize>> = vec![Vec::new(); set.relations.len()];
    for (fact, triple) in set.triples.iter().enumerate() {
        if of_relation[triple.relation].len() < PER_RELATION {
            of_relation[triple.relation].push(fact);
        }
    }
    let mut known: Vec<Vec<usize>> = Vec::new();
    for facts in of_relation {
        let mut asked = Vec::new();
        for fact in facts {
            let object = &set.triples[fact].object;
            if let Some(query) = asking(model, set, fact, object, Wording::Template(0))? {
                asked.push((fact, query));
            }
        }
        let (facts, queries): (Vec<usize>, Vec<Query>) = asked.into_iter().unzip();
        let said = said(&ctx.quiet(), model, &queries)?;
        known.push(facts.into_iter().zip(said).filter(|(_, said)| *said).map(|(f, _)| f).collect());
    }
    Ok(known)
}

/// Up to `n` of the first of each pair, a relation after another, with the second as neighbors.
fn cases(
    ctx: &Ctx<'_>,
    model: &Model,
    set: &FactSet,
    relations: &[(&[usize], &[usize])],
    n: usize,
) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for round in 0..PER_RELATION {
        for (facts, others) in relations {
            let Some(&fact) = facts.get(round) else { continue };
            if cases.len() < n
                && let Some(case) = case(ctx, model, set, fact, others)?
            {
                cases.push(case);
            }
        }
    }
    Ok(cases)
}

fn case(
    ctx: &Ctx<'_>,
    model: &Model,
    set: &FactSet,
    fact: usize,
    others: &[usize],
) -> Result<Option<Case>> {
    let Some(modified) = set.modify(&[fact], ctx.seed)?.pop() else { return Ok(None) };
    let Some(example) = example(model, set, fact, &modified.object, Wording::Template(0))? else {
        return Ok(None);
    };
    let edit = query(model, &example.prompt, &modified.object)?;
    let n_templates = set.relations[set.triples[fact].relation].templates.len();
    let mut paraphrases = Vec::new();
    for template in 1..n_templates {
        let wording = Wording::Template(template);
        paraphrases.extend(asking(model, set, fact, &modified.object, wording)?);
    }
    let mut neighbors = Vec::new();
    for &other in others.iter().filter(|&&other| other != fact).take(NEIGHBORS) {
        let object = &set.triples[other].object;
        neighbors.extend(asking(model, set, other, object, Wording::Template(0))?);
    }
    if paraphrases.is_empty() || neighbors.is_empty() {
        return Ok(None);
    }
    let old = Some(set.triples[fact].object.clone());
    let fact = Fact { target_true: old, ..Fact::new(example.prompt, &modified.object)? };
    let before = likely(ctx, model, &neighbors)?;
    Ok(Some(Case { fact, edit, paraphrases, neighbors, before }))
}

fn example(
    model: &Model,
    set: &FactSet,
    fact: usize,
    object: &str,
    wording: Wording,
) -> Result<Option<Example>> {
    Ok(match model.spec().is_causal() {
        true => set.example_before(fact, object, wording)?,
        false => set.example(fact, object, wording)?,
    })
}

/// A fact with an object as it is asked in a wording; `None` where the wording has no place for it.
fn asking(
    model: &Model,
    set: &FactSet,
    fact: usize,
    object: &str,
    wording: Wording,
) -> Result<Option<Query>> {
    match example(model, set, fact, object, wording)? {
        Some(example) => Ok(Some(query(model, &example.prompt, object)?)),
        None => Ok(None),
    }
}

/// How likely the object of each query is.
pub(super) fn likely(ctx: &Ctx<'_>, model: &Model, queries: &[Query]) -> Result<Vec<f64>> {
    Ok(scores(&ctx.quiet(), model, queries)?.iter().map(|score| score.log_prob.exp()).collect())
}
