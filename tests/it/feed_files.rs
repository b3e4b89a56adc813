//! What files and addresses of a feed, and state files, can do to `lodewatch feed` and `forward`;
//! and what text of a feed can do to a terminal, a spreadsheet and the log.

use lodewatch_client::StateFile;
use lodewatch_proto::v1::PublishRequest;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::update::Update::Threat;
use lodewatch_testkit::process::{Process, command, run};
use lodewatch_testkit::samples::{ban, removal, report};
use lodewatch_testkit::server::batch;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

fn feeds_file(dir: &Path, source: &str, more: &str) -> String {
    let path = dir.join("feeds.toml");
    let text = format!(
        "[[feed]]\nname = \"own\"\nformat = \"jsonl\"\nsource = {source:?}\ninterval = \"1s\"\n{more}"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn two_programs_never_share_a_state_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("files")).unwrap();
    let feeds = feeds_file(dir.path(), "files", "");
    let path = dir.path().join("state");
    let state = path.to_str().unwrap();
    let arguments = ["feed", &feeds, "--state", state, "--address", "127.0.0.1:1"];
    let is_running = |line: &str| line.contains("keeping feeds in sync").then(String::new);
    let mut first = Process::start(command().args(arguments), is_running);
    let second = run(&[&arguments[..], &["--once"]].concat());
    assert_eq!(second.status.code(), Some(1));
    let expected = format!(
        "cannot use the state file {state}: another process uses it; end that process, or name a \
         state file that no other process uses"
    );
    assert!(said(&second).contains(&expected), "{}", said(&second));
    assert!(run(&[&arguments[..], &["--status"]].concat()).status.success(), "it only reads");
    first.kill();
    assert!(run(&[&arguments[..], &["--once"]].concat()).status.success(), "it is free again");
    let other = StateFile::new(path.clone());
    other.lock().unwrap();
    let url = "http://127.0.0.1:1/";
    for sink in ["webhook", "alertmanager"] {
        let forward = ["forward", sink, url, "--state", state, "--address", "127.0.0.1:1"];
        let second = run(&forward);
        assert_eq!(second.status.code(), Some(1));
        assert!(said(&second).contains(&expected), "{sink}: {}", said(&second));
    }
}

/// Sends a body without end to one client; returns how many bytes it took.
fn endless_body(listener: &TcpListener) -> usize {
    let (mut stream, _) = listener.accept().unwrap();
    let _ = stream.read(&mut [0; 4096]).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").unwrap();
    let chunk = vec![b'x'; 65_536];
    let mut sent = 0;
    while let Ok(bytes) = stream.write(&chunk) {
        sent += bytes;
    }
    sent
}

#[test]
fn an_endless_body_is_rejected_at_the_limit_while_it_is_read() {
    const MIB: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || endless_body(&listener));
    let feeds = feeds_file(dir.path(), &url, "bytes_max = 1048576\n");
    let state = dir.path().join("state");
    let arguments = ["feed", &feeds, "--once", "--state", state.to_str().unwrap()];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("more than 1048576 bytes"), "{}", said(&output));
    let sent = server.join().unwrap();
    // The limit, and what the sockets of both sides hold.
    assert!(sent < 32 * MIB, "{sent} bytes were read or buffered");
}

#[test]
fn a_link_out_of_the_folder_puts_nothing_of_its_file_into_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(dir.path().join("secret"), "top-secret").unwrap();
    symlink("../secret", files.join("a")).unwrap();
    let hostile = format!("{{\"x\u{202e}\u{9b}2J{}\": 1}}\n", "long".repeat(1000));
    fs::write(files.join("b"), hostile).unwrap();
    let feeds = feeds_file(dir.path(), "files", "");
    let state = dir.path().join("state");
    let output = run(&["feed", &feeds, "--once", "--state", state.to_str().unwrap()]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a link out of the folder"), "{said}");
    assert!(said.contains("cannot import the file"), "{said}");
    assert!(!said.contains("top-secret") && said.len() < 4000, "{said}");
    assert!(!said.contains(['\u{202e}', '\u{9b}']), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_has_what_a_terminal_or_a_spreadsheet_obeys() {
    const TITLE: &str = "=HYPERLINK(\"http://x\")\u{1b}[2J\u{9b}2J\u{202e}\u{7}end";
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    let mut threat = ban("T-1", "CHN", "USA", "gallium", "2024-02-01");
    if let Some(Threat(threat)) = &mut threat.update {
        threat.title = TITLE.to_owned();
    }
    let updates = vec![report("gallium", "2024", &[("CHN", 0.99)]), threat];
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut feed = FeedServiceClient::new(channel);
    let request = PublishRequest { feed: "test".to_owned(), ..batch(updates) };
    feed.publish(request).await.unwrap();
    let print = |arguments: &[&str]| {
        let output = run(&[arguments, &["--address", &process.address]].concat());
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let is_obeyed = |one: char| one != '\n' && (one.is_control() || one == '\u{202e}');
        assert!(!text.contains(is_obeyed), "{arguments:?}: {text:?}");
        text
    };
    let json: Value = serde_json::from_str(&print(&["threats", "--output", "json"])).unwrap();
    assert_eq!(json["threat"]["title"], TITLE, "the same text");
    let csv = print(&["threats", "--output", "csv"]);
    assert!(csv.contains("'=HYPERLINK(") && csv.contains("\\u{202e}"), "{csv}");
    for command in ["threats", "alerts", "markets"] {
        for format in ["table", "json", "csv"] {
            print(&[command, "--output", format]);
        }
    }
}

#[tokio::test]
async fn a_file_that_the_record_rejected_is_judged_anew_once_the_record_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(&dir.path().join("data"));
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut client = FeedServiceClient::new(channel);
    let of_revision = |revision| {
        let mut ban = ban("T-1", "CHN", "all", "gallium", "2024-01-01");
        let Some(Threat(threat)) = &mut ban.update else { unreachable!() };
        threat.revision = revision;
        ban
    };
    client.publish(batch(vec![of_revision(5)])).await.unwrap();
    let file = dir.path().join("updates.jsonl");
    let line = r#"{"threat":{"id":"T-1","title":"Other","imposing":"CHN","minerals":["gallium"],"#;
    let rest = r#""measure":"MEASURE_PROHIBITION","dateEffective":"2024-01-01","revision":"2"}}"#;
    fs::write(&file, format!("{line}{rest}\n")).unwrap();
    let feeds = feeds_file(dir.path(), file.to_str().unwrap(), "");
    let state = dir.path().join("state");
    let state = state.to_str().unwrap();
    let once = || run(&["feed", &feeds, "--once", "--state", state, "--address", &process.address]);
    let rejected = once();
    assert_eq!(rejected.status.code(), Some(1));
    assert!(said(&rejected).contains("revision"), "{}", said(&rejected));
    client.publish(batch(vec![removal("T-1")])).await.unwrap();
    let accepted = once();
    assert!(accepted.status.success(), "{}", said(&accepted));
}
