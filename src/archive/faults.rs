//! What the archive survives: bits that flip, ends that are cut off, a journal that is not what it was.

use super::tests::{EPOCH, HEAD, all, filled, open, snapshot};
use super::{Archive, Error};
use lodewatch_core::domain::{Epoch, Seq};
use rusqlite::Connection;
use std::fs;

#[test]
fn a_flipped_bit_anywhere_is_noticed_or_changes_nothing() {
    let (bytes, alerts) = sample();
    for at in (0..bytes.len()).filter(|at| *at < 100 || at % 97 == 0) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        check(&changed, &alerts, &format!("bit in byte {at}"));
    }
}

#[test]
fn a_file_cut_off_anywhere_is_noticed() {
    let (bytes, alerts) = sample();
    for at in (0..bytes.len()).rev().step_by(331) {
        check(&bytes[..at], &alerts, &format!("cut at {at}"));
    }
}

#[test]
fn damage_that_is_read_is_told_and_the_next_start_begins_anew() {
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
fn an_alert_that_is_missing_is_noticed() {
    let (dir, _) = filled(&[1, 1, 1]);
    open(dir.path()).reader().verify().unwrap();
    let change = "DELETE FROM alerts WHERE sequence = 2";
    Connection::open(dir.path().join("archive.db")).unwrap().execute_batch(change).unwrap();
    assert!(matches!(open(dir.path()).reader().verify(), Err(Error::Damaged { .. })));
}

#[test]
fn a_journal_that_lost_entries_or_is_another_one_is_not_taken_for_the_old_one() {
    let (dir, _) = filled(&[1, 1]);
    let shorter = Archive::open(dir.path(), EPOCH, Seq(1)).err().unwrap();
    assert!(
        matches!(shorter, Error::JournalTooShort { applied: Seq(2), head: Seq(1), .. }),
        "{shorter}"
    );
    let other = Archive::open(dir.path(), Epoch(1), HEAD).err().unwrap();
    assert!(matches!(other, Error::OtherJournal { of: EPOCH, journal: Epoch(1), .. }), "{other}");
    assert_eq!(open(dir.path()).applied(), Seq(2), "the witness is left alone");
}

/// An archive's file, closed, and what is in it.
fn sample() -> (Vec<u8>, super::AlertPage) {
    let (dir, _) = filled(&[3, 0, 9, 1, 20]);
    let mut archive = open(dir.path());
    archive.save_snapshot(&snapshot(5, 500)).unwrap();
    let alerts = all(&archive.reader());
    drop(archive);
    let path = dir.path().join("archive.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    (fs::read(path).unwrap(), alerts)
}

/// Opens a file: it is started anew, or the check refuses it, or everything is there as it was.
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
        let found = archive.latest_snapshot().unwrap();
        assert!(found.is_none_or(|found| found == snapshot(5, 500)), "{what}");
    }
}
