//! Benchmarks: methods on cases under settings, as jobs in a store, and reports of what they came to.

pub mod report;
pub mod results;
