//! The real binary, as people and containers run it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

const BINARY: &str = env!("CARGO_BIN_EXE_lodewatch");

/// Settings of the tests, which are none of the server's.
const OURS: [&str; 5] = [
    "LODEWATCH_HOSTILE_SECONDS",
    "LODEWATCH_TOKEN",
    "LODEWATCH_NATS_SERVER",
    "LODEWATCH_SOAK_SECONDS",
    "LODEWATCH_OVERLOAD_SECONDS",
];

/// The binary, to be run with the environment's settings.
pub(crate) fn command() -> Command {
    without_ours(Command::new(BINARY))
}

fn without_ours(mut command: Command) -> Command {
    for name in OURS {
        command.env_remove(name);
    }
    // Many run at once; those that are about the console choose a port of their own.
    command.env("LODEWATCH_CONSOLE__LISTEN", "");
    command
}

/// A server process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    log: JoinHandle<String>,
}

impl Process {
    /// Starts `serve` on a directory and a free port, and waits until it listens.
    pub(crate) fn serve(dir: &Path) -> Self {
        Self::serve_by(&mut command(), dir)
    }

    /// The same with a file of settings.
    pub(crate) fn serve_with(dir: &Path, config: &Path) -> Self {
        Self::start(command().args(["serve", "--config"]).arg(config), dir)
    }

    /// The same where the system's authorities are those of a file.
    pub(crate) fn serve_trusting(dir: &Path, config: &Path, authorities: &Path) -> Self {
        let mut command = command();
        command.env("SSL_CERT_FILE", authorities).args(["serve", "--config"]).arg(config);
        Self::start(&mut command, dir)
    }

    /// The same by a program that runs the rest of its arguments, such as `strace`.
    pub(crate) fn serve_under(program: &[&str], dir: &Path) -> Self {
        let mut command = without_ours(Command::new(program[0]));
        Self::serve_by(command.args(&program[1..]).arg(BINARY), dir)
    }

    fn serve_by(command: &mut Command, dir: &Path) -> Self {
        Self::start(command.arg("serve"), dir)
    }

    fn start(command: &mut Command, dir: &Path) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = String::new();
        let listening = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            before.push_str(&line);
            before.push('\n');
            listening(&line)
        });
        let Some(address) = listening else { panic!("the server does not listen:\n{before}") };
        // Read on, so that the server can always write.
        let rest = move || lines.map_while(Result::ok).fold(before, |log, line| log + &line + "\n");
        let log = std::thread::spawn(rest);
        Self { child, address: address.trim().to_owned(), log }
    }

    /// Runs `serve` until it ends by itself; all that it said.
    pub(crate) fn run_to_its_end(dir: &Path) -> Output {
        run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()])
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The memory that it holds, in kilobytes.
    pub(crate) fn memory_kb(&self) -> u64 {
        self.status_kb("VmRSS:")
    }

    /// The most memory that it ever held, in kilobytes.
    pub(crate) fn memory_most_kb(&self) -> u64 {
        self.status_kb("VmHWM:")
    }

    fn status_kb(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGTERM; then waits until it has ended as it should.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGSTOP: nothing moves until [`Process::go_on`].
    pub(crate) fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it ends by itself; its exit code, and everything that it logged.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let ended = std::thread::spawn(String::new);
        (status.code(), std::mem::replace(&mut self.log, ended).join().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

pub(crate) fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Where a server listens, where a line of its log, of either format, says so.
fn listening(line: &str) -> Option<String> {
    if let Some((_, address)) = line.split_once("listening address=") {
        return Some(address.to_owned());
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let address = line.get("address").filter(|_| line["message"] == "listening")?;
    address.as_str().map(str::to_owned)
}

/// A file of `crates/importers/samples`.
pub(crate) fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/importers/samples").join(name);
    path.to_str().unwrap().to_owned()
}

/// All of the USGS release of 2025, and the world production of the release of 2026.
pub(crate) const MCS_2025: &str = "usgs/MCS2025_World_Data.csv";
pub(crate) const MCS_2026: &str = "usgs/MCS2026_world_production.csv";

#[test]
fn the_demo_tells_of_the_gallium_ban_its_suspension_and_its_return() {
    let alerts = json_lines(&run(&["demo", "--output", "json"]));
    let told = |destination: &str| -> Vec<String> {
        let of = |alert: &&Value| {
            alert["mineral"] == "gallium"
                && alert["stage"] == "STAGE_REFINING"
                && alert["rule"] == "prohibited-share"
                && alert["destination"] == destination
        };
        let tell = |alert: &Value| {
            let day = &alert["eventTime"].as_str().unwrap()[..10];
            let value = alert["value"]["lower"].as_f64().unwrap_or(0.0);
            let (kind, cause) = (alert["kind"].as_str().unwrap(), &alert["cause"]);
            format!(
                "{day} {kind} {value:.2} {} {}",
                cause["kind"].as_str().unwrap(),
                cause["threatIds"][0].as_str().unwrap()
            )
        };
        alerts.iter().filter(of).map(tell).collect()
    };
    assert_eq!(
        told("USA"),
        [
            "2024-12-03 ALERT_KIND_RAISED 0.99 CAUSE_KIND_THREAT CHN-USA-2024",
            "2025-11-09 ALERT_KIND_CLEARED 0.00 CAUSE_KIND_CLOCK CHN-USA-2024",
            "2026-11-27 ALERT_KIND_RAISED 0.99 CAUSE_KIND_CLOCK CHN-USA-2024",
        ]
    );
    assert_eq!(told("JPN"), Vec::<String>::new());
}

#[test]
fn the_demos_journal_can_be_kept_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["demo", "--keep", dir.path().to_str().unwrap()]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("lodewatch serve --data-dir"), "{text}");
    let process = Process::serve(dir.path());
    let open =
        json_lines(&run(&["alerts", "--open", "--output", "json", "--address", &process.address]));
    assert!(open.len() > 50);
}

#[test]
fn the_usgs_releases_give_the_figures_of_the_method_to_the_digit() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    for file in [MCS_2025, MCS_2026] {
        let output = run(&["import", "usgs", &sample(file), "--address", &process.address]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let markets = json_lines(&run(&["markets", "--output", "json", "--address", &process.address]));
    for (mineral, stage, leader, percent, lower, upper) in [
        ("gallium", "REFINING", "CHN", 99.0, 9804.0, 9804.0),
        ("magnesium", "REFINING", "CHN", 87.7, 7736.0, 7736.0),
        ("tungsten", "MINING", "CHN", 78.7, 6234.0, 6242.0),
        ("cobalt", "MINING", "COD", 73.1, 5554.0, 5562.0),
        ("rare_earths", "MINING", "CHN", 69.4, 5072.0, 5072.0),
        ("nickel", "MINING", "IDN", 66.9, 4594.0, 4650.0),
        ("antimony", "MINING", "CHN", 36.1, 2582.0, 2582.0),
        ("copper", "REFINING", "CHN", 48.3, 2537.0, 2589.0),
        ("copper", "MINING", "CHL", 23.0, 1036.0, 1206.0),
        ("zinc", "MINING", "CHN", 32.7, 1444.0, 1698.0),
    ] {
        let is = |market: &&Value| {
            market["mineral"] == mineral && market["stage"] == format!("STAGE_{stage}")
        };
        let market = markets.iter().find(is).unwrap();
        assert_eq!(market["leaders"], serde_json::json!([leader]), "{mineral}");
        let top = market["suppliers"][0]["share"].as_f64().unwrap();
        assert_eq!((top * 1000.0).round() / 10.0, percent, "{mineral}");
        let hhi = market["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["metric"] == "METRIC_HHI")
            .unwrap();
        let bound = |name: &str| hhi["value"][name].as_f64().unwrap().round();
        assert_eq!((bound("lower"), bound("upper")), (lower, upper), "{mineral}");
        assert!(
            market["flags"].as_array().unwrap().contains(&"FLAG_ESTIMATED".into()),
            "{mineral}"
        );
    }
}

#[test]
fn errors_say_what_was_tried_why_it_failed_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    let file = dir.path().join("updates.jsonl");
    let check = |content: &str, expected: &[&str]| {
        std::fs::write(&file, content).unwrap();
        let output = run(&["publish", file.to_str().unwrap(), "--address", &process.address]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in expected {
            assert!(said.contains(part), "{said} says {part}");
        }
    };
    check(
        r#"{"removal":{"threatId":"T"}}"#,
        &["cannot publish lines 1 to 1", "no threat T is on record"],
    );
    check(
        "{\"removal\":{\"threatId\":\"T\"}}\n{\"report\":{\"mineral\":\"gal",
        &["cannot parse", "updates.jsonl", "line 2, column", "EOF"],
    );
    check(r#"{"removal":{"threat":"T"}}"#, &["line 1", "threat"]);
    let output = run(&["markets", "--address", "127.0.0.1:1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot connect to 127.0.0.1:1: Connection refused"), "{said}");
    let several = format!("127.0.0.1:1,{}", process.address);
    assert!(run(&["markets", "--address", &several]).status.success(), "the second one answers");
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn a_truncated_usgs_file_is_an_error_that_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut.csv");
    let bytes = std::fs::read(sample(MCS_2026)).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(&["import", "usgs", cut.to_str().unwrap(), "--dry-run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.contains("line")), (Some(1), true), "{said}");
}

#[test]
fn a_second_server_on_one_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Process::serve(dir.path());
    let output =
        run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.path().to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process uses this data directory"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
