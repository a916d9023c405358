//! The length that values are brought to, and how long those of common facts are in an unedited model
//! (NAS, arXiv 2602.02543).
//!
//! The paper measures it over 1,000 cases of CounterFact; here it is over facts that come with the
//! library, each given another object of its relation. A value is what the MLP gives and the offset
//! that the recipe's own search finds, wherever that searches.

use faer::Mat;
use retcon_model::{Model, Site, Spot};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::recipe::Recipe;
use super::subject::Subject;
use super::value::search;
use super::walk::{Walk, averaged};
use crate::ctx::Ctx;
use crate::data::Fact;
use crate::data::knowledge::{FactSet, Wording};
use crate::error::{Error, Result};
use crate::linalg::to_columns;

/// Facts that it is measured over.
const N_FACTS: usize = 48;

/// The share of the longest values that is left out.
const LEFT_OUT: f64 = 0.05;

/// The norm that values are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
pub enum Anchor {
    /// A number.
    Norm(f64),
    /// By name.
    Named(NamedAnchor),
}

/// An anchor, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedAnchor {
    /// Values stay as they were found.
    None,
    /// The mean norm of values of common facts, measured on the unedited model.
    Auto,
}

impl TryFrom<Value> for Anchor {
    type Error = Error;

    /// `none`, `auto` or a number, which may be a text: that is how one is typed beside the names.
    fn try_from(written: Value) -> Result<Self> {
        if let Ok(name) = NamedAnchor::deserialize(&written) {
            return Ok(Self::Named(name));
        }
        let number = written.as_f64().or_else(|| written.as_str()?.trim().parse().ok());
        match number.filter(|norm| *norm > 0.0 && norm.is_finite()) {
            Some(norm) => Ok(Self::Norm(norm)),
            None => {
                let found = written.as_str().map_or_else(|| written.to_string(), str::to_owned);
                Err(Error::bad_setting("anchor", "none, auto, or a positive number", found))
            }
        }
    }
}

/// What the MLP of `block` gives each subject of a walk, the weighted mean of its situations, a column
/// each.
pub(super) fn outputs(
    model: &Model,
    walk: &Walk,
    weights: &[Vec<f64>],
    block: usize,
) -> Result<Mat<f64>> {
    averaged(&walk.clone().states(model, block, Site::Block(block, Spot::MlpOut))?, weights)
}

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
    let found = search(ctx, model, &subjects, &recipe.search(model, &[block]))?;
    let weights: Vec<Vec<f64>> = subjects.iter().map(Subject::bare_weights).collect();
    let before = outputs(model, &found.walk, &weights, block)?;
    let values = before + to_columns(&found.offsets)?;
    let mut norms: Vec<f64> = (0..values.ncols()).map(|i| values.col(i).norm_l2()).collect();
    norms.sort_by(f64::total_cmp);
    norms.truncate(((1.0 - LEFT_OUT) * norms.len() as f64).ceil() as usize);
    Ok(norms.iter().sum::<f64>() / norms.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn an_anchor_is_a_name_or_a_number_in_either_form() {
        for (written, anchor) in [
            (json!("auto"), Anchor::Named(NamedAnchor::Auto)),
            (json!("50"), Anchor::Norm(50.0)),
            (json!(2.5), Anchor::Norm(2.5)),
        ] {
            assert_eq!(from_value::<Anchor>(written).unwrap(), anchor);
            assert_eq!(from_value::<Anchor>(to_value(anchor).unwrap()).unwrap(), anchor);
        }
        for wrong in [json!("x"), json!("0"), json!(-1), json!("inf"), json!(null)] {
            let error = from_value::<Anchor>(wrong).unwrap_err().to_string();
            assert!(
                error.contains("`anchor`: expected none, auto, or a positive number"),
                "{error}"
            );
        }
    }
}
