//! Runs of the real binary on tiny models, offline. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod ask;
mod bad_input;
mod bench;
mod data;
mod dir;
mod edit;
mod experiment;
mod formats;
mod hub;
mod inspect;
mod kinds;
mod locate;
mod merge;
mod stack;
mod trace;
