//! `alphaedit`: MEMIT's changes kept inside of a null space of the keys of other text.
//!
//! Changes: the down-projections of the chosen blocks' MLPs, each inside of a null space of its keys.
//! Equation: `Δᵀ = (P (K Kᵀ + S) + L2 I)⁻¹ P K Rᵀ`, `P` the projector onto the eigenvectors of the second
//! moment whose eigenvalue is below the threshold, `S` the sum over the keys of earlier edits.
//! Source: Fang et al. 2025, "AlphaEdit" (arXiv 2410.02355), equation 14 and the code's `L2`.
//! Deviations: the solve is in the coordinates of the null space, where it is symmetric; the keys of
//! earlier edits are columns in the deltas, not a sum in the process.
//! `anchor=auto` makes it NAS (arXiv 2602.02543).

use crate::edit::closed_form::make;
use crate::edit::closed_form::recipe::{MetricName, Recipe, SETTINGS};
use crate::edit::{Method, to_value};

/// The numbers of the authors' repository for GPT-J. Those for Llama 3 have a fifth of the step size,
/// with which 25 steps get half of the way in a small model.
fn alphaedit() -> Recipe {
    Recipe {
        decay: 0.5,
        clamp: 0.75,
        metric: MetricName::NullSpace,
        mu: Some(10.0),
        past: true,
        ..Recipe::memit()
    }
}

/// The entry in [`crate::edit::METHODS`].
pub const METHOD: Method = Method {
    name: "alphaedit",
    summary: "MEMIT inside of a null space of other text's keys, and of earlier edits'",
    source: "Fang et al. 2025, arXiv 2410.02355",
    settings: SETTINGS,
    defaults: || to_value(&alphaedit()),
    swept: true,
    make: |given| make("alphaedit", alphaedit(), given),
};
