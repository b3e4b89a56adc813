//! Tests of the archive under damage: flipped bits, truncation, and a journal that has changed.

use super::tests::{EPOCH, HEAD, all, filled, latest_snapshot, open, save_snapshot};
use super::{Archive, Error};
use lodewatch_core::domain::{Epoch, Seq};
use rusqlite::Connection;
use std::fs;

#[test]
fn a_flipped_bit_anywhere_is_detected_or_harmless() {
    let (bytes, alerts) = sample();
    for at in (0..bytes.len()).filter(|at| *at < 100 || at % 97 == 0) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        check(&changed, &alerts, &format!("bit in byte {at}"));
    }
}

#[test]
fn a_truncated_file_is_detected() {
    let (bytes, alerts) = sample();
    for at in (0..bytes.len()).rev().step_by(331) {
        check(&bytes[..at], &alerts, &format!("cut at {at}"));
    }
}

#[test]
fn a_read_reports_damage_and_the_next_start_rebuilds_the_archive() {
    let (dir, _) = filled(&[1, 1]);
    let path = dir.path().join("archive.db");
    let change = "UPDATE alerts SET countries = 'COD' WHERE sequence = 2";
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    let archive = open(dir.path());
    let reader = archive.reader();
    assert!(reader.get(1).is_ok() && !reader.damaged().is_cancelled());
    assert!(matches!(reader.get(2), Err(Error::Damaged { .. })));
    assert!(reader.damaged().is_cancelled());
    archive.discard().unwrap();
    assert_eq!(open(dir.path()).applied(), Seq::ZERO);
}

#[test]
fn a_missing_alert_is_detected() {
    let (dir, _) = filled(&[1, 1, 1]);
    open(dir.path()).reader().verify().unwrap();
    let change = "DELETE FROM alerts WHERE sequence = 2";
    Connection::open(dir.path().join("archive.db")).unwrap().execute_batch(change).unwrap();
    assert!(matches!(open(dir.path()).reader().verify(), Err(Error::Damaged { .. })));
}

#[test]
fn a_journal_that_lost_entries_or_was_replaced_is_rejected() {
    let (dir, _) = filled(&[1, 1]);
    let shorter = Archive::open(dir.path(), EPOCH, Seq(1)).err().unwrap();
    assert!(
        matches!(shorter, Error::JournalTooShort { applied: Seq(2), head: Seq(1), .. }),
        "{shorter}"
    );
    let other = Archive::open(dir.path(), Epoch(1), HEAD).err().unwrap();
    assert!(
        matches!(other, Error::OtherJournal { archived: EPOCH, journal: Epoch(1), .. }),
        "{other}"
    );
    assert_eq!(open(dir.path()).applied(), Seq(2), "the evidence is kept");
}

/// The bytes of a closed archive file, and its alerts.
fn sample() -> (Vec<u8>, super::AlertPage) {
    let (dir, _) = filled(&[3, 0, 9, 1, 20]);
    let mut archive = open(dir.path());
    save_snapshot(&mut archive, 5, &[500, 200]);
    let alerts = all(&archive.reader());
    drop(archive);
    let path = dir.path().join("archive.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    (fs::read(path).unwrap(), alerts)
}

/// Opens a file: it is rebuilt, or its verification fails, or its content is unchanged.
fn check(bytes: &[u8], alerts: &super::AlertPage, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("archive.db"), bytes).unwrap();
    let archive = open(dir.path());
    if archive.applied() == Seq::ZERO {
        return;
    }
    let reader = archive.reader();
    if reader.verify().is_ok() {
        assert_eq!(all(&reader), *alerts, "{what}");
        let found = latest_snapshot(&archive);
        assert!(found.is_none_or(|found| found == (5, vec![500, 200])), "{what}");
    }
}
