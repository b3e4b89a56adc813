//! A server of a benchmark as a process of its own.

use lodewatch_testkit::process::Process;
use std::process::Command;

/// Starts a server that writes on stderr, after these words, where it listens.
pub(crate) fn start(command: &mut Command, words: &str) -> Process {
    Process::start(command, |line| line.split_once(words).map(|(_, rest)| rest.trim().to_owned()))
}

/// This program again, as one of the benchmark's own servers on a message in a file.
pub(crate) fn start_own(system: &str, message: &std::path::Path) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    start(command.args(["--serve", system]).arg(message), "listening on ")
}
