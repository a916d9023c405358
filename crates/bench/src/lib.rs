//! Benchmarks of memory editing: methods on cases, under settings, with seeds.
//!
//! A [`Plan`] says all that results depend on. A [`Store`] holds it with its cases and jobs; workers, in
//! one process or several, take jobs, edit, measure, and write what they measured in one
//! transaction ([`run()`]). [`summarize`] makes [`Results`] of a store, finished or not, which reports show.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod ask;
mod connect;
pub mod error;
mod grow;
mod mend;
pub mod plan;
pub mod queue;
pub mod report;
pub mod results;
pub mod run;
pub mod select;
pub mod setting;
pub mod store;
pub mod summary;
mod work;

pub use error::{Error, Result};
pub use plan::{Asking, Chosen, Job, Plan};
pub use results::Results;
pub use run::run;
pub use select::{Selection, meet, select};
pub use setting::Setting;
pub use store::Store;
pub use summary::{metrics, summarize};
