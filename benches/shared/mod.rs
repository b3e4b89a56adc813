//! What benchmarks of the real server have in common.

pub(crate) mod arguments;
pub(crate) mod batches;
pub(crate) mod lodewatch;
pub(crate) mod process;
pub(crate) mod report;
