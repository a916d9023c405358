//! Pictures, as SVG and PNG; it knows nothing of what they show.

mod heat_map;
mod png;
mod with_axes;

pub use heat_map::{Axes, HeatMap, Hue};
pub use png::png;

use crate::error::Error;

/// The family of all letters; which font that is, whoever shows the picture decides.
pub(crate) const FONT: &str = "sans-serif";

/// What can't be drawn.
pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::NoPicture { what: error.to_string() }
}
