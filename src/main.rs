//! The `lodewatch` binary: parse the arguments, run one sub-command, say what went wrong.

use clap::Parser;
use lodewatch::cli::{self, Arguments};
use std::error::Error as _;
use std::process::ExitCode;

/// Idle subscribers hold most of a server's memory; jemalloc needs a third less for each.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match cli::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                anstream::eprintln!("  because: {error}");
                cause = error.source();
            }
            if error.is_usage() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
