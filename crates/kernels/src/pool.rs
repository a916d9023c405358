//! The threads that operations share.

/// Runs `work` on one of the threads that operations share.
///
/// An operation that is called from another thread hands its work over and sleeps until it is done,
/// which takes longer than a small operation: what calls many of them, runs here.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}
