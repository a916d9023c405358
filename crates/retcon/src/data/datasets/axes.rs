//! The names of axes in RippleEdits and KnowEdit, which comes from it; files spell them differently.

use crate::data::case::Axis;

const AXES: &[(&str, Axis)] = &[
    ("Reasoning", Axis::Reasoning),
    ("Compositionality_I", Axis::Reasoning),
    ("Compositionality_II", Axis::Reasoning),
    ("Subject_Aliasing", Axis::Aliasing),
    ("Logical_Generalization", Axis::Logical),
    ("Relation_Specificity", Axis::SameSubject),
    ("Relation_Specifity", Axis::SameSubject),
    ("Forgetfulness", Axis::Forgetfulness),
];

/// The axis of a name, whatever separates its words.
pub(super) fn axis(name: &str) -> Option<Axis> {
    AXES.iter().find(|(known, _)| plain(known) == plain(name)).map(|&(_, axis)| axis)
}

/// All names that there are.
pub(super) fn known() -> String {
    AXES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
