//! What a journal file survives: bits that flip, ends that are cut off, and how tools read and copy it.

use super::{Damage, Embedded, Error, Journal, Reading, samples, write_new};
use crate::domain::{Entry, Payload, Seq, Timestamp};
use std::fs;
use std::path::Path;

/// Entries of the journals here, each a group of its own.
const ENTRIES: usize = 24;

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_file_changes_no_entry_unseen() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let whole = entries(dir.path()).unwrap();
    let bytes = fs::read(dir.path().join("journal.db")).unwrap();
    let mut damaged = 0;
    for at in (0..bytes.len()).filter(|at| *at < 100 || at % 29 == 0) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), changed).unwrap();
        damaged += usize::from(is_whole_or_refused(dir.path(), &whole, at));
    }
    assert!(damaged > bytes.len() / 29 / 4, "{damaged} flips were noticed");
}

#[tokio::test]
async fn a_file_cut_off_anywhere_is_damaged_and_never_shorter() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let whole = entries(dir.path()).unwrap();
    let bytes = fs::read(dir.path().join("journal.db")).unwrap();
    for at in (1..bytes.len()).rev().step_by(97) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal.db"), &bytes[..at]).unwrap();
        is_whole_or_refused(dir.path(), &whole, at);
    }
}

#[tokio::test]
async fn a_torn_end_of_the_log_is_cut_and_everything_before_it_is_there() {
    let (file, log, groups) = crashed().await;
    let first = groups[groups.len() - 3];
    // Every offset around every frame's header, and some in its page.
    for at in (first..=log.len()).filter(|at| (at - 32) % 4120 <= 32 || at % 509 == 0) {
        let dir = laid_out(&file, &log[..at]);
        let there = entries(dir.path()).unwrap().len();
        let whole = groups.iter().filter(|end| **end <= at).count();
        assert_eq!(there, whole, "cut at {at}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_damage_unless_it_may_be_a_torn_write() {
    let (file, log, groups) = crashed().await;
    let dir = laid_out(&file, &log);
    let whole = entries(dir.path()).unwrap();
    assert_eq!(whole.len(), ENTRIES);
    let maybe_torn = groups[groups.len() - 3];
    for at in (0..log.len()).filter(|at| *at < 200 || at % 307 == 0) {
        let mut changed = log.clone();
        changed[at] ^= 1 << (at % 8);
        let dir = laid_out(&file, &changed);
        match entries(dir.path()) {
            Ok(there) if at >= maybe_torn => assert!(whole.starts_with(&there), "byte {at}"),
            Ok(there) => assert_eq!(there, whole, "byte {at}"),
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "byte {at}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_was_emptied_does_not_take_its_log_with_it() {
    let (_, log, _) = crashed().await;
    let dir = laid_out(&[], &log);
    let error = entries(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { seq: Seq::ZERO, .. }), "{error}");
    assert_eq!(fs::read(dir.path().join("journal.db-wal")).unwrap(), log);
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_a_whole_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Embedded::open(dir.path()).unwrap();
    append(&journal, 5).await;
    let reading = Reading::open(dir.path()).unwrap();
    append(&journal, 5).await;
    assert_eq!((reading.epoch(), reading.head()), (journal.epoch(), Seq(5)));
    assert_eq!(reading.map(Result::unwrap).count(), 5);
    Reading::open(dir.path()).unwrap().verify().unwrap();
}

#[test]
fn reading_makes_nothing_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reading::open(dir.path()).err(), Some(Error::Io { doing: "opening", .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn verifying_finds_pages_that_no_entry_shows() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let path = dir.path().join("journal.db");
    let mut bytes = fs::read(&path).unwrap();
    // Bytes free on the second page's leaf: the count of fragmented ones, which readers never look at.
    bytes[4096 + 7] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(entries(dir.path()).unwrap().len(), ENTRIES);
    let found = Reading::open(dir.path()).unwrap().verify();
    assert!(
        matches!(found, Err(Error::Damaged { seq: Seq::ZERO, what: Damage::Pages(_), .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_copy_has_every_entry_and_an_epoch_of_its_own() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(from.path()).await;
    let reading = Reading::open(from.path()).unwrap();
    let before = reading.epoch();
    let (epoch, head) = write_new::<Error>(to.path(), reading).unwrap();
    assert_eq!(head, Seq(u64::try_from(ENTRIES).unwrap()));
    assert_ne!(epoch, before);
    assert_eq!(entries(to.path()).unwrap(), entries(from.path()).unwrap());
    let again = write_new::<Error>(to.path(), Reading::open(from.path()).unwrap());
    assert!(matches!(again, Err(Error::Exists { .. })), "nothing is written over a journal");
}

#[tokio::test]
async fn a_copy_that_is_cut_short_is_no_journal() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(from.path()).await;
    let reading = Reading::open(from.path()).unwrap().take(5);
    let cut = reading.chain([Err(Error::Closed)]);
    assert!(matches!(write_new::<Error>(to.path(), cut), Err(Error::Closed)));
    assert!(!to.path().join("journal.db").exists());
    write_new::<Error>(to.path(), Reading::open(from.path()).unwrap()).unwrap();
    assert_eq!(entries(to.path()).unwrap().len(), ENTRIES);
}

/// Whether damage was noticed; where it was not, every entry is there as it was.
fn is_whole_or_refused(dir: &Path, whole: &[Entry], at: usize) -> bool {
    match entries(dir) {
        Ok(there) => {
            assert_eq!(there, whole, "byte {at}");
            false
        }
        Err(Error::Damaged { .. }) => {
            let before: Vec<_> = match Reading::open(dir) {
                Ok(reading) => reading.map_while(Result::ok).collect(),
                Err(_) => Vec::new(),
            };
            assert!(whole.starts_with(&before), "byte {at}");
            true
        }
        Err(Error::Format { .. }) => true,
        Err(error) => panic!("byte {at}: {error:?}"),
    }
}

/// Everything in a journal, opened as a server does.
fn entries(dir: &Path) -> Result<Vec<Entry>, Error> {
    let journal = Embedded::open(dir)?;
    let head = *journal.head().borrow();
    let entries = Reading::open(dir)?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(u64::try_from(entries.len()).unwrap(), head.0);
    Ok(entries)
}

async fn fill(dir: &Path) {
    append(&Embedded::open(dir).unwrap(), ENTRIES).await;
}

async fn append(journal: &dyn Journal, count: usize) {
    for each in 0..count {
        let payload: Payload = if each % 2 == 0 { samples::batch() } else { samples::tick() };
        journal.append(Timestamp::from_millis(7), payload).await.unwrap();
    }
}

/// A journal's file and log as a crash leaves them, and where in the log each entry's group ends.
async fn crashed() -> (Vec<u8>, Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Embedded::open(dir.path()).unwrap();
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
