//! The `lodewatch` binary: parses the command line, runs one command, prints its error.

use clap::Parser;
use lodewatch::cli::{self, CommandLine};
use lodewatch::escape::escape_styled;
use std::error::Error as _;
use std::process::ExitCode;

/// A third less memory per idle subscriber than with glibc's allocator; a server's memory is mostly
/// those.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {}", escape_styled(&error.to_string()));
            let mut source = error.source();
            while let Some(error) = source {
                anstream::eprintln!("  caused by: {}", escape_styled(&error.to_string()));
                source = error.source();
            }
            if error.is_usage() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
