//! Measures: what a model believes, and how far an edit has moved what it was not to move.
//!
//! Models with and without a delta are alive together, so nothing is measured twice or saved.

pub mod accuracy;
pub mod answer;
pub mod belief;
pub mod bootstrap;
pub mod drift;
pub mod fluency;
pub mod held;
pub mod measure;
pub mod metrics;
pub mod questions;
pub mod reading;
pub mod report;
pub(crate) mod unbounded;

pub use belief::{Belief, believe};
pub use bootstrap::{Difference, Estimate};
pub use drift::{Drift, drift};
pub use measure::Measure;
pub use metrics::{METRICS, Metric};
pub use questions::{Question, questions};
pub use report::{Report, Row, compare};
