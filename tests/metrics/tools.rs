//! Prometheus' programs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `tests/prometheus.sh` puts them.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools");

/// A program of Prometheus: the one that the tests installed, else that of the `PATH`.
pub(crate) fn program(name: &str) -> Command {
    let installed = PathBuf::from(INSTALLED).join(name);
    let program = if installed.exists() { installed } else { name.into() };
    let said = Command::new(&program).arg("--version").output();
    let how_to = "get it with `bash tests/prometheus.sh`";
    let said = said.unwrap_or_else(|error| panic!("{name} cannot be run: {error}; {how_to}"));
    assert!(said.status.success(), "{name} does not run; {how_to}");
    Command::new(program)
}

/// Has promtool look at a text, and panics with all that it has to say where it finds fault.
pub(crate) fn promtool<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, text: &str) {
    let mut command = program("promtool");
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let all = [said.stdout, said.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(said.status.success(), "promtool says: {all}");
}
