//! `completions`: what a shell needs to complete commands and options.

use super::arguments::Arguments;
use super::error::Error;
use super::output;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the script of a shell.
pub(super) fn run(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lodewatch", &mut script);
    Ok(output::line(String::from_utf8_lossy(&script).trim_end())?)
}
