//! The `lodewatch` binary: parse the arguments, run one sub-command, say what went wrong.

use clap::Parser;
use lodewatch::cli::{self, Arguments};
use std::error::Error as _;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Memory of idle subscribers is what a server has most of, and this takes a third less for each than the system's allocator.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
