//! `rome`, `r-rome`: one block, one fact, an exact change of rank one.
//!
//! Changes: the down-projection of one block's MLP, by a matrix whose rank is the number of subjects.
//! Equation: `Δ = (v* - W k*) (C⁻¹ k*)ᵀ / (k*ᵀ C⁻¹ k*)`, the smallest `tr(Δ C Δᵀ)` with `(W + Δ) k* = v*`.
//! Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT" (arXiv 2202.05262),
//! equation 2; Gupta et al. 2024, "Rebuilding ROME" (arXiv 2403.07175) for `r-rome`.
//! Deviations: the published code of ROME takes the key of the bare prompt in the numerator and the
//! denominator and the mean over all situations in `C⁻¹ k*`, which makes some edits destroy the model;
//! `start=bare`, `present=bare`, `through=bare` is that, for one subject at a time, as there. Here all
//! keys are the same; `rome` adds the offset to the mean value of all situations, `r-rome` to the bare
//! prompt's, as its paper does.
//! Facts in one batch get a constraint each (EMMET's generalization). `rome` takes MEMIT's situations,
//! in which the bare prompt counts as much as all prefixed ones: with the paper's 21 that count alike, a
//! prompt that begins with its subject is often missed; `r-rome` keeps those.

use crate::edit::closed_form::make;
use crate::edit::closed_form::recipe::{Of, Recipe, SETTINGS, ValueSite};
use crate::edit::closed_form::subject::Average;
use crate::edit::{Method, to_value};

/// What both have in common: EasyEdit's numbers for models like Llama, but with the second moment,
/// which its presets leave out.
fn base() -> Recipe {
    Recipe {
        site: ValueSite::Mlp,
        start: Of::All,
        present: Of::All,
        mu: Some(0.0),
        ..Recipe::memit()
    }
}

fn rebuilt() -> Recipe {
    let prefix_tokens = [[5; 10], [10; 10]].concat();
    Recipe { prefix_tokens, average: Average::All, start: Of::Bare, ..base() }
}

/// The entry of `rome` in [`crate::edit::METHODS`].
pub const ROME: Method = Method {
    name: "rome",
    summary: "an exact change of rank one to one MLP, the same keys throughout",
    source: "Meng et al. 2022, arXiv 2202.05262",
    settings: SETTINGS,
    defaults: || to_value(&base()),
    swept: true,
    make: |given| make("rome", base(), given),
};

/// The entry of `r-rome` in [`crate::edit::METHODS`].
pub const R_ROME: Method = Method {
    name: "r-rome",
    summary: "ROME as it was rebuilt: the new value is the bare prompt's and an offset",
    source: "Gupta et al. 2024, arXiv 2403.07175",
    settings: SETTINGS,
    defaults: || to_value(&rebuilt()),
    swept: true,
    make: |given| make("r-rome", rebuilt(), given),
};
