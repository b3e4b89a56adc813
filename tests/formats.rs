//! Snapshots of every released format stay readable, so that an upgrade need not replay the
//! journal: `tests/snapshots` holds one in every format, all made from the same journal. The
//! archive, by contrast, is rebuilt when its format changes.
//!
//! A new format adds a file there. The file of a released format is never changed or deleted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

use lodewatch::grpc::{json, parse};
use lodewatch_core::domain::{Seq, Timestamp};
use lodewatch_core::engine::State;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The state after `tests/fixtures/journal.jsonl`.
fn replayed() -> State {
    let mut state = State::default();
    let mut last = (Seq::ZERO, Timestamp::MIN);
    for line in fs::read_to_string(folder("fixtures/journal.jsonl")).unwrap().lines() {
        let entry = parse::entry(&json::from_json(line).unwrap(), last).unwrap();
        last = (entry.seq, entry.at);
        state.apply(&entry);
    }
    assert!(!state.open_alerts().is_empty() && state.next_deadline().is_some());
    state
}

#[test]
fn the_bytes_of_a_snapshot_do_not_change_within_a_format() {
    let bytes = replayed().to_snapshot();
    let digits =
        |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let rows = bytes.chunks(48).map(digits).collect::<Vec<_>>();
    insta::assert_snapshot!(format!("snapshot_v{}", bytes[0]), rows.join("\n"));
}

#[test]
fn snapshots_of_every_format_are_readable() {
    let replayed = replayed().to_snapshot();
    let mut read = 0;
    for file in fs::read_dir(folder("snapshots")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("formats__snapshot_v") {
            let state = State::from_snapshot(&bytes(&path)).unwrap();
            assert_eq!(state.to_snapshot(), replayed, "{name} restores the same state as a replay");
            read += 1;
        }
    }
    assert!(read > 0, "tests/snapshots holds no snapshot");
}

/// The bytes of an insta snapshot: hexadecimal digits after its header.
fn bytes(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let digits: String = text.splitn(3, "---\n").last().unwrap().split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
