//! The real program and other servers as processes of their own, and what can be done to them.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

/// Settings of the tests; the server would reject them as unknown settings of its own.
const TEST_SETTINGS: [&str; 9] = [
    "LODEWATCH_FAULT_ROUNDS",
    "LODEWATCH_GROWTH_UPDATES",
    "LODEWATCH_HOSTILE_SECONDS",
    "LODEWATCH_NATS_SERVER",
    "LODEWATCH_OVERLOAD_SECONDS",
    "LODEWATCH_SCHEDULES",
    "LODEWATCH_SEED",
    "LODEWATCH_SOAK_SECONDS",
    "LODEWATCH_TOKEN",
];

/// The program that was built with the running test or benchmark: cargo puts it one folder above.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("lodewatch");
    assert!(program.exists(), "{} is missing; build it with the tests", program.display());
    program
}

/// The program, to be run with the environment's settings.
pub fn command() -> Command {
    without_test_settings(Command::new(binary()))
}

fn without_test_settings(mut command: Command) -> Command {
    for name in TEST_SETTINGS {
        command.env_remove(name);
    }
    // Many run at once; tests of the console choose a port of their own.
    command.env("LODEWATCH_CONSOLE__LISTEN", "");
    command
}

/// A server process; killed when dropped.
pub struct Process {
    pub child: Child,
    /// Where it listens, `127.0.0.1:50061`.
    pub address: String,
    log: JoinHandle<String>,
}

impl Process {
    /// Starts `serve` on a directory and a free port, and waits until it listens.
    pub fn serve(dir: &Path) -> Self {
        Self::serve_by(command().arg("serve"), dir)
    }

    /// The same with a file of settings.
    pub fn serve_with(dir: &Path, config: &Path) -> Self {
        Self::serve_by(command().args(["serve", "--config"]).arg(config), dir)
    }

    /// The same with single settings in the environment, such as `SERVER__STREAMS_MAX`, which win
    /// over the file.
    pub fn serve_with_environment(dir: &Path, config: &Path, settings: &[(&str, String)]) -> Self {
        let mut command = command();
        command.envs(settings.iter().map(|(name, value)| (format!("LODEWATCH_{name}"), value)));
        Self::serve_by(command.args(["serve", "--config"]).arg(config), dir)
    }

    /// The same where the system's authorities are those of a file.
    pub fn serve_trusting(dir: &Path, config: &Path, authorities: &Path) -> Self {
        let mut command = command();
        command.env("SSL_CERT_FILE", authorities).args(["serve", "--config"]).arg(config);
        Self::serve_by(&mut command, dir)
    }

    /// The same by a program that runs the rest of its arguments, such as `strace`.
    pub fn serve_under(program: &[&str], dir: &Path) -> Self {
        let mut command = without_test_settings(Command::new(program[0]));
        Self::serve_by(command.args(&program[1..]).arg(binary()).arg("serve"), dir)
    }

    fn serve_by(command: &mut Command, dir: &Path) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
        Self::start(command, listening)
    }

    /// Starts any server that writes its address in a line on stderr, and waits for that line.
    pub fn start(command: &mut Command, address_in: impl Fn(&str) -> Option<String>) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = String::new();
        let listening = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            before.push_str(&line);
            before.push('\n');
            address_in(&line)
        });
        let Some(address) = listening else { panic!("the server does not listen:\n{before}") };
        // Read on, so that the server can always write.
        let rest = move || lines.map_while(Result::ok).fold(before, |log, line| log + &line + "\n");
        let log = std::thread::spawn(rest);
        Self { child, address: address.trim().to_owned(), log }
    }

    /// A child that was started by other means and listens on this address.
    pub fn of(child: Child, address: String) -> Self {
        Self { child, address, log: std::thread::spawn(String::new) }
    }

    /// Runs `serve` until it ends by itself; its output.
    pub fn run_to_its_end(dir: &Path) -> Output {
        run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()])
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Memory in use now, in kB.
    pub fn memory_kb(&self) -> u64 {
        memory_kb(self.id())
    }

    /// The most memory that was ever in use, in kB.
    pub fn memory_most_kb(&self) -> u64 {
        status_kb(self.id(), "VmHWM:")
    }

    /// CPU time so far, in seconds.
    pub fn cpu_s(&self) -> f64 {
        /// Of `/proc`; the same on every Linux that Rust runs on.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, in parentheses, may contain blanks.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// SIGTERM; waits until it has shut down with exit code 0.
    pub fn stop(&mut self) {
        signal(&self.child, Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "SIGTERM shuts it down: {status}");
    }

    /// SIGSTOP: it does nothing until [`Process::go_on`].
    pub fn suspend(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        signal(&self.child, Signal::CONT);
    }

    /// Waits until it ends by itself; its exit code, and everything that it logged.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let ended = std::thread::spawn(String::new);
        (status.code(), std::mem::replace(&mut self.log, ended).join().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory that the process of this id has in use now, in kB.
pub fn memory_kb(id: u32) -> u64 {
    status_kb(id, "VmRSS:")
}

fn status_kb(id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a signal to a child of this process.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Runs the program to its end; its output.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

/// The lines of JSON that a successful run printed.
pub fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The address in the line of the log, of either format, that announces where the server listens.
pub fn listening(line: &str) -> Option<String> {
    if let Some((_, address)) = line.split_once("listening address=") {
        return Some(address.to_owned());
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let address = line.get("address").filter(|_| line["message"] == "listening")?;
    address.as_str().map(str::to_owned)
}
