//! What the benchmarks of fan-out and of ingest have in common: all of it is used by both.

pub(crate) mod arguments;
pub(crate) mod batches;
pub(crate) mod lodewatch;
pub(crate) mod process;
pub(crate) mod report;
