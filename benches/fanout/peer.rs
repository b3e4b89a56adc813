//! Third-party servers, if they are installed: found, started on a free port of this machine, and
//! stopped like our own.

use lodewatch_testkit::process::Process;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Their address.
pub(crate) const HOST: &str = "127.0.0.1";
/// Searched after `PATH`, which lacks `sbin` for most users.
const PLACES: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
/// Limit for the start of one.
const START_BOUND: Duration = Duration::from_secs(20);

/// The program of this name, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(PLACES.map(PathBuf::from));
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

/// An unused port.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Starts one, and waits until it listens on the port.
pub(crate) fn start(mut command: Command, port: u16) -> Process {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut process = Process::of(child, format!("{HOST}:{port}"));
    let begin = Instant::now();
    while TcpStream::connect(&process.address).is_err() {
        assert!(process.child.try_wait().unwrap().is_none(), "{command:?} has ended");
        assert!(begin.elapsed() < START_BOUND, "{command:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}
