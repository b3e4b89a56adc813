//! Prometheus' programs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `tests/prometheus.sh` puts them.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools");

/// A program of Prometheus: the one that the tests installed, or else the one in the `PATH`.
pub(crate) fn program(name: &str) -> Command {
    let installed = PathBuf::from(INSTALLED).join(name);
    let program = if installed.exists() { installed } else { name.into() };
    let output = Command::new(&program).arg("--version").output();
    let advice = "get it with `bash tests/prometheus.sh`";
    let output = output.unwrap_or_else(|error| panic!("cannot run {name}: {error}; {advice}"));
    assert!(output.status.success(), "{name} --version failed; {advice}");
    Command::new(program)
}

/// Checks a text with promtool, and panics with its output if it reports an error.
pub(crate) fn promtool<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, text: &str) {
    let mut command = program("promtool");
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(output.status.success(), "promtool: {all}");
}
