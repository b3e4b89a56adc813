//! A server as a process of its own, and what the system says of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server; killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Process {
    /// Starts a server that says on stderr, after these words, where it listens.
    pub(crate) fn start(command: &mut Command, says: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            line.unwrap().split_once(says).map(|(_, address)| address.trim().to_owned())
        });
        // Read on, so that the server can always write.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("the server says where it listens") }
    }

    /// This program again, as one of the bench's own servers on a message in a file.
    pub(crate) fn own(system: &str, message: &std::path::Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self::start(command.args(["--serve", system]).arg(message), "listening on ")
    }

    /// CPU time so far, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        /// Of `/proc`; the same on every Linux that Rust runs on.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, in parentheses, may hold blanks.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

/// Memory that a process of this id has in use now, in bytes.
pub(crate) fn memory_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
