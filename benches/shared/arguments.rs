//! The command line of these benchmarks.

use clap::Parser;
use std::path::PathBuf;

/// Measures the server, as ratios to other systems.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Fewer or shorter runs.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the benchmark's own servers, on the message in a file.
    #[arg(long, hide = true, num_args = 2)]
    pub(crate) serve: Vec<String>,
}
