//! One NATS server.

use super::port::Port;
use super::program;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Maximum size of a message, in bytes.
const MESSAGE_BYTES_MAX: usize = 16_777_216;
/// Syncs every write to disk before it is acknowledged.
const SYNC_ALWAYS: &str = "sync_interval: always";

/// A NATS server with JetStream, its ports and its store; killed when dropped.
pub struct Nats {
    name: String,
    client: Port,
    monitor: Port,
    dir: TempDir,
    program: PathBuf,
    child: Option<Child>,
}

impl Nats {
    /// Starts a single server, and waits until it listens.
    pub fn alone() -> Self {
        Self::alone_with(SYNC_ALWAYS, "")
    }

    /// The same with other JetStream settings and additional server settings, in NATS's
    /// configuration language.
    pub fn alone_with(jetstream: &str, more: &str) -> Self {
        let mut nats = Self::prepare("alone", jetstream, more);
        nats.run();
        nats
    }

    /// Prepares a server of a cluster, with routes to all servers.
    pub fn member(name: &str, cluster: &Port, routes: &[Port]) -> Self {
        let mut more = format!(
            "cluster {{\n  name: lodewatch\n  listen: \"{}\"\n  no_advertise: true\n  routes: [\n",
            address(cluster)
        );
        for route in routes {
            writeln!(more, "    \"nats://{}\"", address(route)).unwrap();
        }
        more.push_str("  ]\n}\n");
        Self::prepare(name, SYNC_ALWAYS, &more)
    }

    fn prepare(name: &str, jetstream: &str, more: &str) -> Self {
        let (client, monitor, dir) = (Port::take(), Port::take(), tempfile::tempdir().unwrap());
        let settings = format!(
            "server_name: {name}\nlisten: \"{}\"\nhttp: \"{}\"\nmax_payload: {MESSAGE_BYTES_MAX}\n\
             jetstream {{\n  store_dir: \"{}\"\n  {jetstream}\n}}\n{more}",
            address(&client),
            address(&monitor),
            dir.path().display()
        );
        std::fs::write(dir.path().join("settings.conf"), settings).unwrap();
        Self { name: name.to_owned(), client, monitor, dir, program: program::find(), child: None }
    }

    /// Starts or restarts it on the same ports and store. Waits until it listens.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.name);
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.dir.path().join("settings.conf"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        self.child = Some(child);
        let mut said = String::new();
        let ready = lines.any(|line| {
            let line = line.unwrap();
            writeln!(said, "{line}").unwrap();
            line.ends_with("Server is ready")
        });
        assert!(ready, "{} does not listen:\n{said}", self.name);
        let mut log = File::options().create(true).append(true).open(self.log()).unwrap();
        log.write_all(said.as_bytes()).unwrap();
        // Keep reading, so that the server can always write.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| writeln!(log, "{line}"))
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; waits for the end.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.child.take().expect("it runs").wait().unwrap();
    }

    /// SIGSTOP: suspended until [`Nats::go_on`]; connections stay open.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal).unwrap();
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        address(&self.client)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The URL of its monitoring endpoint, without a path.
    pub fn monitor(&self) -> String {
        format!("http://{}", address(&self.monitor))
    }

    /// The log file.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may already have exited; a failed test must not fail again here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn address(port: &Port) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port.number).into()
}
