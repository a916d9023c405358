//! Experiments of Zhu et al. 2020 (arXiv 2012.00363): a plan is a file, a result is a folder.
//!
//! A [`Plan`] spans a grid of [`Cell`]s. Each starts from a model, pretrained or drawn at random,
//! lets it memorize facts or takes it as it is, modifies some of the facts, and measures on the way
//! how many of the new objects are said and how many of the others still. [`run`] appends one
//! record a cell to a file, so that an interrupted run goes on with the cells that are missing;
//! [`Summary`] is what the records of all seeds come to, and [`report`] how people see it.

mod cell;
mod chart;
mod check;
mod choice;
mod lab;
mod material;
mod page;
mod plan;
mod questions;
mod records;
mod report;
mod run;
mod summary;

pub use cell::{Cell, Point, Record};
pub use choice::{Data, From, Lookup, Memory, Scale, Start, Texts};
pub use material::{Material, Use};
pub use plan::{Facts, Memorize, Modify, Plan};
pub use report::report;
pub use run::run;
pub use summary::{Line, Summary};
