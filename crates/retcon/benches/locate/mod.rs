//! Edits that locate, and their statistics, as both sides of a comparison make them.

pub(crate) mod edits;
pub(crate) mod grow;
pub(crate) mod moments;
pub(crate) mod request;
pub(crate) mod statistics;
