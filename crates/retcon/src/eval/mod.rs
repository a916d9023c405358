//! Measures: what a model believes, and how far an edit has moved what it was not to move.
//!
//! Models with and without a delta are alive together, so nothing is measured twice or saved.

pub mod accuracy;
pub mod belief;
pub mod drift;
pub mod questions;
pub mod report;

pub use belief::{Belief, believe};
pub use drift::{Drift, drift};
pub use questions::{Kind, Question, questions};
pub use report::{Report, Row, compare};
