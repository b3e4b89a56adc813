//! The command line in daily use: lists for spreadsheets, a market as a page, what shells complete,
//! and how it ends.

use crate::access::identities;
use clap::CommandFactory;
use lodewatch::cli::CommandLine;
use lodewatch_testkit::certificates::Authority;
use lodewatch_testkit::process::{Process, command, run};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A server that knows one market, one measure and their alerts.
fn served(dir: &Path) -> Process {
    let process = Process::serve(&dir.join("data"));
    let updates = dir.join("updates.jsonl");
    fs::write(
        &updates,
        r#"{"report":{"mineral":"gallium","stage":"STAGE_REFINING","source":"USGS","period":"2025","vintage":"2026-02-06","rows":[{"country":"CHN","share":0.99}]}}
{"threat":{"id":"CHN-GA","title":"A \"total\" ban,\nat once\u001b[31m","imposing":"CHN","minerals":["gallium"],"measure":"MEASURE_PROHIBITION","dateAnnounced":"2024-12-03","dateEffective":"2024-12-03"}}
"#,
    )
    .unwrap();
    let sent = at(&process, &["publish", updates.to_str().unwrap()]);
    assert!(sent.status.success(), "{}", said(&sent));
    process
}

fn at(process: &Process, arguments: &[&str]) -> Output {
    command().args(arguments).args(["--address", &process.address]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The headings and the rows of a text, which must be CSV.
fn table(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let fields = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let headings = fields(reader.headers().unwrap());
    (headings, reader.records().map(|record| fields(&record.unwrap())).collect())
}

#[test]
fn every_list_comes_as_csv_with_the_columns_that_help_names() {
    let dir = tempfile::tempdir().unwrap();
    let process = served(dir.path());
    let backup = dir.path().join("backup");
    assert!(
        run(&[
            "journal",
            "backup",
            backup.to_str().unwrap(),
            "--data-dir",
            dir.path().join("data").to_str().unwrap()
        ])
        .status
        .success()
    );
    let data = backup.to_str().unwrap();
    let policy = dir.path().join("rules.toml");
    fs::write(&policy, "[[rules]]\nname = \"alone\"\nmetric = \"top1_share\"\nlevels = [{ level = \"watch\", raise = 0.5 }]\n").unwrap();
    let policy = policy.to_str().unwrap();
    for (arguments, rows) in [
        (&["markets"][..], 1),
        (&["market", "gallium", "refining"], 2),
        (&["threats"], 1),
        (&["alerts", "--rule", "hhi"], 1),
        (&["backtest", policy], 1),
        (&["journal", "audit", "--data-dir", data], 2),
        (&["journal", "replay", "--data-dir", data], 14),
    ] {
        let text = printed(&at(&process, &[arguments, &["--output", "csv"]].concat()));
        let (headings, found) = table(&text);
        assert_eq!(found.len(), rows, "{arguments:?}\n{text}");
        let commands: Vec<_> =
            arguments.iter().take(1 + usize::from(arguments[0] == "journal")).copied().collect();
        let help = printed(&run(&[&commands[..], &["--help"]].concat()));
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(&headings.join(", ")), "{arguments:?}: {headings:?}\n{help}");
    }
    let (headings, threats) = table(&printed(&at(&process, &["threats", "--output", "csv"])));
    let title = headings.iter().position(|name| name == "title").unwrap();
    assert_eq!(threats[0][title], "A \"total\" ban, at once\\u{1b}[31m");
    let nothing = printed(&at(&process, &["markets", "tin", "--output", "csv"]));
    assert!(table(&nothing).1.is_empty() && nothing.starts_with("mineral,stage,"), "{nothing}");
}

#[test]
fn what_cannot_be_is_rejected_with_what_can() {
    for (arguments, expected) in [
        (&["health", "--output", "csv"][..], "use --output json"),
        (&["markets", "--diff", "now", "--output", "csv"], "use --output json"),
        (&["top"], "use `lodewatch markets` for the same markets"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

#[test]
fn a_market_is_a_page_and_an_error_for_a_wrong_name_suggests_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let process = served(dir.path());
    let page = printed(&at(&process, &["market", "gallium", "refining", "--destination", "USA"]));
    for part in
        ["Gallium refining for USA", "China", "99.0 %", "HHI with t", "CHN-GA", "prohibited-share"]
    {
        assert!(page.contains(part), "{part} is in\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    for (arguments, expected) in [
        (&["market", "galium", "refining"][..], "did you mean gallium?"),
        (&["market", "gallium", "refinng"], "\"refinng\" is not one of mining, refining"),
        (&["market", "gallium", "refining", "--destination", "Germny"], "did you mean DEU?"),
        (&["watch", "--kind", "raisd"], "\"raisd\" is not one of raised, escalated,"),
        (&["watch", "--from", "newest"], "it is not one of snapshot, head, oldest"),
    ] {
        let output = at(&process, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A watch that has printed the active alerts.
fn watching(mut command: Command, process: &Process) -> Running {
    let command = command.args(["watch", "--output", "csv", "--address", &process.address]);
    let mut child = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut stdout = BufReader::new(child.0.stdout.as_mut().unwrap());
    let mut line = String::new();
    for expected in ["sequence,", "1,"] {
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with(expected), "{line}");
    }
    child
}

#[test]
fn a_signal_ends_what_runs_and_is_no_failure_of_a_watch() {
    let dir = tempfile::tempdir().unwrap();
    let process = served(dir.path());
    for signal in [Signal::INT, Signal::TERM] {
        let mut watch = watching(command(), &process);
        kill_process(Pid::from_child(&watch.0), signal).unwrap();
        assert!(watch.0.wait().unwrap().success(), "{signal:?}");
    }
    // Anything else that is cut short has failed, and says so as shells do.
    let publish = command().args(["publish", "-"]).stdin(Stdio::piped()).spawn();
    let mut publish = Running(publish.unwrap());
    // Held open: with nothing more to read it would end by itself.
    let stdin = publish.0.stdin.take();
    until_it_hears(&publish.0);
    kill_process(Pid::from_child(&publish.0), Signal::TERM).unwrap();
    assert_eq!(publish.0.wait().unwrap().code(), Some(143));
    drop(stdin);
}

/// Waits until a process has a handler for SIGTERM.
fn until_it_hears(child: &Child) {
    let bit = 1_u64 << (Signal::TERM.as_raw() - 1);
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & bit != 0 {
            return;
        }
        std::thread::yield_now();
    }
}

/// The kernel drops signals to process 1 for which it has no handler.
#[test]
fn a_signal_ends_a_client_that_is_process_1_of_a_container() {
    let dir = tempfile::tempdir().unwrap();
    let process = served(dir.path());
    for signal in [Signal::INT, Signal::TERM] {
        let mut container = Command::new("unshare");
        // Root may make a namespace of processes; other users need one of users around it.
        if !rustix::process::geteuid().is_root() {
            container.args(["--user", "--map-root-user"]);
        }
        container.args(["--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_lodewatch")]);
        let mut unshare = watching(container, &process);
        let id = unshare.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let first = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
        kill_process(first, signal).unwrap();
        assert!(unshare.0.wait().unwrap().success(), "{signal:?}");
    }
}

#[test]
fn a_wrong_scheme_an_unknown_authority_and_a_missing_token_are_errors_that_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(&["localhost"]).write(dir.path());
    let (ca, config) = (dir.path().join("ca.crt"), dir.path().join("lodewatch.toml"));
    fs::write(&ca, authority.pem()).unwrap();
    identities(dir.path(), &[("alice", "roles = [\"subscriber\"]")]);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let settings = format!(
        "tls = {{ certificate = {:?}, key = {:?} }}\naccess.identities = {:?}\n",
        file("tls.crt"),
        file("tls.key"),
        file("identities.toml")
    );
    fs::write(&config, settings).unwrap();
    let encrypted = Process::serve_with(&dir.path().join("encrypted"), &config);
    let plain = Process::serve(&dir.path().join("plain"));
    let port = encrypted.address.rsplit(':').next().unwrap();
    let (https, local) = (format!("https://localhost:{port}"), format!("localhost:{port}"));
    let wrong = format!("https://{}", plain.address);
    let ca = ca.to_str().unwrap();
    for (arguments, expected) in [
        (&["markets", "--address", &local][..], "if the server uses TLS, use https://"),
        (&["watch", "--address", &local], "if the server uses TLS, use https://"),
        (
            &["markets", "--address", &https],
            "name the authority of the server's certificate with --ca",
        ),
        (&["markets", "--address", &encrypted.address, "--ca", ca], "for the name in the address"),
        (&["markets", "--address", &local, "--ca", ca], "pass a token with --token-file"),
        (&["markets", "--address", &wrong], "http://"),
        (&["markets", "--address", "no-such-host.invalid:1"], "check the name of the host"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn bash_completes_commands_and_values() {
    let script = r#"source <("$0" completions bash)
complete_it() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lodewatch lodewatch "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[@]}"; }
complete_it lodewatch mark
complete_it lodewatch journal ver
complete_it lodewatch markets --output ''"#;
    let output = Command::new("bash")
        .args(["-euc", script, env!("CARGO_BIN_EXE_lodewatch")])
        .output()
        .unwrap();
    assert_eq!(printed(&output), "markets market\nverify\ntable json csv\n");
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(printed(&run(&["completions", shell])).contains("lodewatch"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    fn pages(command: &clap::Command, before: &str, found: &mut Vec<String>) {
        let name = format!("{before}{}", command.get_name());
        for inner in command.get_subcommands() {
            pages(inner, &format!("{name}-"), found);
        }
        found.push(name);
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(run(&["man", dir.path().to_str().unwrap()]).status.success());
    let mut names = Vec::new();
    pages(&CommandLine::command(), "", &mut names);
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let mut page = String::new();
        let path = dir.path().join(format!("{name}.1"));
        fs::File::open(&path).unwrap().read_to_string(&mut page).unwrap();
        for part in [".TH ", ".SH NAME", ".SH SYNOPSIS"] {
            assert!(page.contains(part), "{part} is in {name}\n{page}");
        }
    }
    assert!(printed(&run(&["man"])).contains(".SH NAME"));
}
