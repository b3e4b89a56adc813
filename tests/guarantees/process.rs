//! The real binary as a process, and the signals to it.

use crate::world::SETTINGS;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Settings of the tests, which the server must not see.
const OURS: [&str; 4] =
    ["LODEWATCH_SEED", "LODEWATCH_SCHEDULES", "LODEWATCH_FAULT_ROUNDS", "LODEWATCH_NATS_SERVER"];

/// A server process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts `serve` on a directory and a free port, and waits until it listens.
    pub(crate) fn start(dir: &Path, settings: &[(&str, String)]) -> Self {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
        command.arg("--config").arg(dir.join(SETTINGS));
        command.envs(settings.iter().map(|(name, value)| (format!("LODEWATCH_{name}"), value)));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            said.push_str(&line);
            line.split_once("listening address=").map(|(_, rest)| rest.trim().parse().unwrap())
        });
        // Keep reading, so that the server can always write.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.unwrap_or_else(|| panic!("it does not listen: {said}"));
        Self { child, address }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; waits for the end.
    pub(crate) fn terminate(mut self) {
        signal(&self.child, Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a drain ends well: {status}");
    }

    /// SIGSTOP: the process is suspended until [`Process::go_on`].
    pub(crate) fn stop(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        signal(&self.child, Signal::CONT);
    }
}

/// The real binary, without the settings of the tests.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lodewatch"));
    for name in OURS {
        command.env_remove(name);
    }
    // Many run at once.
    command.env("LODEWATCH_CONSOLE__LISTEN", "");
    command
}

/// Sends a signal to a child of ours.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may already be dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
