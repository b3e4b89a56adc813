//! Tests of a journal file under damage, flipped bits and truncation, and of how tools read and
//! copy it.

use super::{Damage, Error, Journal, JournalReader, SqliteJournal, samples, write_journal};
use lodewatch_core::domain::{Entry, Payload, Seq, Timestamp};
use std::fs;
use std::path::Path;

/// The entries of the journals here, each a group of its own.
const ENTRIES: usize = 24;

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_file_is_detected_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let intact = entries(dir.path()).unwrap();
    let bytes = fs::read(dir.path().join("journal.db")).unwrap();
    let mut damaged = 0;
    for at in (0..bytes.len()).filter(|at| *at < 100 || at % 29 == 0) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), changed).unwrap();
        damaged += usize::from(is_damage_detected(dir.path(), &intact, at));
    }
    assert!(damaged > bytes.len() / 29 / 4, "{damaged} flips were detected");
}

#[tokio::test]
async fn a_truncated_file_is_damaged_and_never_a_shorter_journal() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let intact = entries(dir.path()).unwrap();
    let bytes = fs::read(dir.path().join("journal.db")).unwrap();
    for at in (1..bytes.len()).rev().step_by(97) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), &bytes[..at]).unwrap();
        is_damage_detected(dir.path(), &intact, at);
    }
}

#[tokio::test]
async fn a_torn_end_of_the_log_is_removed_and_everything_before_it_is_kept() {
    let (file, log, groups) = crashed().await;
    let first = groups[groups.len() - 3];
    // Every offset around every frame's header, and some in its page.
    for at in (first..=log.len()).filter(|at| (at - 32) % 4120 <= 32 || at % 509 == 0) {
        let dir = laid_out(&file, &log[..at]);
        let found = entries(dir.path()).unwrap().len();
        let expected = groups.iter().filter(|end| **end <= at).count();
        assert_eq!(found, expected, "cut at {at}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_damage_unless_it_looks_like_a_torn_write() {
    let (file, log, groups) = crashed().await;
    let dir = laid_out(&file, &log);
    let intact = entries(dir.path()).unwrap();
    assert_eq!(intact.len(), ENTRIES);
    let maybe_torn = groups[groups.len() - 3];
    for at in (0..log.len()).filter(|at| *at < 200 || at % 307 == 0) {
        let mut changed = log.clone();
        changed[at] ^= 1 << (at % 8);
        let dir = laid_out(&file, &changed);
        match entries(dir.path()) {
            Ok(found) if at >= maybe_torn => assert!(intact.starts_with(&found), "byte {at}"),
            Ok(found) => assert_eq!(found, intact, "byte {at}"),
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "byte {at}: {error}"),
        }
    }
}

#[tokio::test]
async fn the_log_of_an_emptied_file_is_kept() {
    let (_, log, _) = crashed().await;
    let dir = laid_out(&[], &log);
    let error = entries(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { seq: Seq::ZERO, .. }), "{error}");
    assert_eq!(fs::read(dir.path().join("journal.db-wal")).unwrap(), log);
}

#[tokio::test]
async fn a_reader_beside_the_writer_reads_an_intact_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    append(&journal, 5).await;
    let reader = JournalReader::open(dir.path()).unwrap();
    append(&journal, 5).await;
    assert_eq!((reader.epoch(), reader.head()), (journal.epoch(), Seq(5)));
    assert_eq!(reader.map(Result::unwrap).count(), 5);
    JournalReader::open(dir.path()).unwrap().verify().unwrap();
}

#[test]
fn reading_creates_no_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        JournalReader::open(dir.path()).err(),
        Some(Error::Io { action: "open", .. })
    ));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn verifying_finds_damaged_pages_that_no_entry_uses() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let path = dir.path().join("journal.db");
    let mut bytes = fs::read(&path).unwrap();
    // The count of fragmented free bytes on the second page, a leaf: readers never look at it.
    bytes[4096 + 7] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(entries(dir.path()).unwrap().len(), ENTRIES);
    let found = JournalReader::open(dir.path()).unwrap().verify();
    assert!(
        matches!(found, Err(Error::Damaged { seq: Seq::ZERO, damage: Damage::Pages(_), .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_copy_has_every_entry_and_an_epoch_of_its_own() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(from.path()).await;
    let reader = JournalReader::open(from.path()).unwrap();
    let before = reader.epoch();
    let (epoch, head) = write_journal::<Error>(to.path(), reader).unwrap();
    assert_eq!(head, Seq(u64::try_from(ENTRIES).unwrap()));
    assert_ne!(epoch, before);
    assert_eq!(entries(to.path()).unwrap(), entries(from.path()).unwrap());
    let again = write_journal::<Error>(to.path(), JournalReader::open(from.path()).unwrap());
    assert!(matches!(again, Err(Error::Exists { .. })), "a journal is never overwritten");
}

#[tokio::test]
async fn an_interrupted_copy_leaves_no_journal() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(from.path()).await;
    let reader = JournalReader::open(from.path()).unwrap().take(5);
    let cut = reader.chain([Err(Error::Closed)]);
    assert!(matches!(write_journal::<Error>(to.path(), cut), Err(Error::Closed)));
    assert!(!to.path().join("journal.db").exists());
    write_journal::<Error>(to.path(), JournalReader::open(from.path()).unwrap()).unwrap();
    assert_eq!(entries(to.path()).unwrap().len(), ENTRIES);
}

/// Whether damage is detected; where it is not, every entry is unchanged.
fn is_damage_detected(dir: &Path, intact: &[Entry], at: usize) -> bool {
    match entries(dir) {
        Ok(found) => {
            assert_eq!(found, intact, "byte {at}");
            false
        }
        Err(Error::Damaged { .. }) => {
            let before: Vec<_> = match JournalReader::open(dir) {
                Ok(reader) => reader.map_while(Result::ok).collect(),
                Err(_) => Vec::new(),
            };
            assert!(intact.starts_with(&before), "byte {at}");
            true
        }
        Err(Error::Format { .. }) => true,
        Err(error) => panic!("byte {at}: {error:?}"),
    }
}

/// Every entry of a journal that is opened as a server does.
fn entries(dir: &Path) -> Result<Vec<Entry>, Error> {
    let journal = SqliteJournal::open(dir)?;
    let head = *journal.head().borrow();
    let entries = JournalReader::open(dir)?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(u64::try_from(entries.len()).unwrap(), head.0);
    Ok(entries)
}

async fn fill(dir: &Path) {
    append(&SqliteJournal::open(dir).unwrap(), ENTRIES).await;
}

async fn append(journal: &dyn Journal, count: usize) {
    for each in 0..count {
        let payload: Payload = if each % 2 == 0 { samples::batch() } else { samples::tick() };
        journal.append(Timestamp::from_millis(7), payload).await.unwrap();
    }
}

/// A journal's file and log as a crash leaves them, and the end of each entry's group in the log.
async fn crashed() -> (Vec<u8>, Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let log = dir.path().join("journal.db-wal");
    let mut groups = Vec::new();
    for _ in 0..ENTRIES {
        append(&journal, 1).await;
        groups.push(usize::try_from(fs::metadata(&log).unwrap().len()).unwrap());
    }
    (fs::read(dir.path().join("journal.db")).unwrap(), fs::read(log).unwrap(), groups)
}

fn laid_out(file: &[u8], log: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("journal.db"), file).unwrap();
    fs::write(dir.path().join("journal.db-wal"), log).unwrap();
    dir
}
