//! The `nats-server` program that the tests run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the program; `tests/all.sh` sets it.
const VARIABLE: &str = "LODEWATCH_NATS_SERVER";
/// The path at which `tests/nats-server.sh` installs it.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/nats-server");
/// The oldest version that can sync every write.
const OLDEST: (u32, u32) = (2, 10);

/// The `nats-server` to start: the one that the environment names, else the one that the tests
/// installed, else that of the `PATH`.
pub fn find() -> PathBuf {
    let given = std::env::var_os(VARIABLE);
    let installed = Some(INSTALLED).filter(|path| Path::new(path).exists()).map(OsString::from);
    let program = PathBuf::from(given.or(installed).unwrap_or_else(|| "nats-server".into()));
    let shown = program.display();
    let said = Command::new(&program).arg("--version").output();
    let said = said.unwrap_or_else(|error| panic!("{shown} cannot be run: {error}; {HOW_TO}"));
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    assert!(
        version(&said) >= Some(OLDEST),
        "{shown} is {said:?}, needed is 2.10 or later; {HOW_TO}"
    );
    program
}

const HOW_TO: &str =
    "get one with `bash tests/nats-server.sh`, or name one in LODEWATCH_NATS_SERVER";

/// Major and minor of `nats-server: v2.10.27`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.rsplit_once('v')?.1.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
