//! The command line: data to stdout, everything else to stderr. Exit code 0 for success, 1 for
//! failure, 2 for wrong usage.
//!
//! ```text
//! main → command_line → commands → { connection, filter, input, calls } → output
//! ```
//!
//! - `command_line`: the list of commands, and where each runs
//! - `commands`: one file per command, with its arguments beside its `run`
//! - `connection`, `filter`, `input`: arguments and files that several commands accept
//! - `calls`: calls that several commands make
//! - `output`: what commands print
//! - `signals`, `error`: how commands end

mod calls;
mod command_line;
mod commands;
mod connection;
mod error;
mod filter;
mod input;
mod output;
mod signals;

pub use command_line::{CommandLine, run};
pub use error::Error;
