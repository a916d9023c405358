//! How long the values of common facts are in an unedited model (NAS, arXiv 2602.02543).
//!
//! The paper measures it over 1,000 cases of CounterFact; here it is over facts that come with the
//! library, each given another object of its relation.

use retcon_model::{Model, Spot};

use super::Ctx;
use super::recipe::Recipe;
use super::subject::Subject;
use super::value::search;
use crate::data::Fact;
use crate::data::knowledge::{FactSet, Wording};
use crate::error::Result;
use crate::linalg::to_mat;

/// Facts that it is measured over.
const N_FACTS: usize = 48;

/// The share of the longest values that is left out.
const LEFT_OUT: f64 = 0.05;

/// The mean norm of values at the MLP of `block`, without prefixes.
pub(super) fn norm_of_values(
    ctx: &Ctx<'_>,
    model: &Model,
    recipe: &Recipe,
    block: usize,
) -> Result<f64> {
    let set = FactSet::world();
    let step = set.triples.len() / N_FACTS;
    let mut facts = Vec::new();
    for fact in (0..set.triples.len()).step_by(step.max(1)) {
        let changed = set.modify(&[fact], ctx.seed)?;
        for modified in changed {
            let example = set.example_before(fact, &modified.object, Wording::Template(0))?;
            let Some(example) = example else { continue };
            facts.push(Fact::new(example.prompt, &modified.object)?);
        }
    }
    let subjects = Subject::of(model, &facts, false, &[])?;
    let mut wanted = recipe.search(model, &[block]);
    wanted.spots = vec![Spot::MlpOut];
    let found = search(ctx, model, &subjects, &wanted)?;
    let values = to_mat(&found.before.add(&found.offsets)?)?;
    let mut norms: Vec<f64> = (0..values.nrows()).map(|i| values.row(i).norm_l2()).collect();
    norms.sort_by(f64::total_cmp);
    norms.truncate(((1.0 - LEFT_OUT) * norms.len() as f64).ceil() as usize);
    Ok(norms.iter().sum::<f64>() / norms.len().max(1) as f64)
}
