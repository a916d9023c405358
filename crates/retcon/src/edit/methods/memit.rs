//! `memit`, `emmet`, `pmet`: many facts at once, in one block or spread over several.
//!
//! Changes: the down-projections of the chosen blocks' MLPs, each by a matrix of that rank at most.
//! Equation: `Δ = R Kᵀ (λ C + K Kᵀ)⁻¹` in every block, `R` the missing values over the blocks left.
//! Source: Meng et al. 2023, "Mass-Editing Memory in a Transformer" (arXiv 2210.07229), equation 14;
//! Gupta et al. 2024 (EMMET, arXiv 2403.14236); Li et al. 2023 (PMET, arXiv 2308.08742).
//! Deviations: `emmet`'s stabilized form with `0.1 I` in its Gram matrix is `memit` in one block with a
//! tenth of its `λ`, so that is how it is computed, for a single fact as for many. `pmet` measures what
//! is missing at the output of the MLP, as its code does. With `past=true` a batch also keeps the keys
//! of earlier ones, which with one block is joint ridge regression on all edits in whatever order.

use crate::edit::closed_form::make;
use crate::edit::closed_form::recipe::{Recipe, SETTINGS, Spread, ValueSite};
use crate::edit::scope::Blocks;
use crate::edit::{Method, to_value};

/// One block, with the numbers of the authors' repository for Llama 2 but EasyEdit's clamp.
fn emmet() -> Recipe {
    Recipe { blocks: Blocks::Auto, site: ValueSite::Mlp, mu: Some(0.1), ..Recipe::memit() }
}

/// The numbers of the authors' repository for GPT-J.
fn pmet() -> Recipe {
    Recipe {
        site: ValueSite::MlpAndAttention,
        steps: 30,
        learning_rate: 0.2,
        kl: 1.0,
        decay: 0.5,
        clamp: 0.75,
        stop_leads: Some(1),
        stop_kl: Some(0.01),
        weight_when_leading: 0.1,
        spread: Spread::Root,
        ..Recipe::memit()
    }
}

/// The entry of `memit` in [`crate::edit::METHODS`].
pub const MEMIT: Method = Method {
    name: "memit",
    summary: "many facts at once, spread over several MLPs by ridge regression",
    source: "Meng et al. 2023, arXiv 2210.07229",
    settings: SETTINGS,
    defaults: || to_value(&Recipe::memit()),
    swept: true,
    make: |given| make("memit", Recipe::memit(), given),
};

/// The entry of `emmet` in [`crate::edit::METHODS`].
pub const EMMET: Method = Method {
    name: "emmet",
    summary: "many facts at once in one MLP, near to a constraint for each",
    source: "Gupta et al. 2024, arXiv 2403.14236",
    settings: SETTINGS,
    defaults: || to_value(&emmet()),
    swept: true,
    make: |given| make("emmet", emmet(), given),
};

/// The entry of `pmet` in [`crate::edit::METHODS`].
pub const PMET: Method = Method {
    name: "pmet",
    summary: "MEMIT with a value for MLP and attention, of which the MLP's is written",
    source: "Li et al. 2023, arXiv 2308.08742",
    settings: SETTINGS,
    defaults: || to_value(&pmet()),
    swept: true,
    make: |given| make("pmet", pmet(), given),
};
