//! Tests of the contract: one suite for every store, and tests that only a file can run.

use super::{
    BoxFuture, Damage, ENTRY_BYTES_MAX, Error, Journal, JournalLocation, MemoryJournal,
    SqliteJournal, Tail, codec, samples,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use lodewatch_core::domain::{Entry, Epoch, Payload, Seq, Timestamp, Update};
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

macro_rules! contract {
    ($($promise:ident)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                let journal = super::MemoryJournal::new(super::Epoch(7));
                super::$promise(std::sync::Arc::new(journal)).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let dir = tempfile::tempdir().unwrap();
                let journal = super::SqliteJournal::open(dir.path()).unwrap();
                super::$promise(std::sync::Arc::new(journal)).await;
            })+
        }
        mod jetstream {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let (_nats, _dir, journal) = super::super::jetstream::tests::alone().await;
                super::$promise(std::sync::Arc::new(journal)).await;
            })+
        }
    };
}

contract! {
    entries_come_back_in_order_without_gaps
    a_tail_begins_after_the_position_asked_for
    a_tail_at_the_head_waits_for_the_next_entry
    timestamps_never_go_back
    concurrent_appends_are_each_in_the_journal_once
    every_one_of_many_concurrent_appends_is_answered
    a_tail_past_the_head_is_rejected
    an_entry_that_is_too_large_is_rejected_and_leaves_no_trace
    the_head_rises_before_the_answer
    appends_of_one_task_are_accepted_in_its_order
    a_dropped_read_loses_nothing
}

async fn entries_come_back_in_order_without_gaps(journal: Arc<dyn Journal>) {
    let payloads = [samples::policy(), samples::batch(), samples::tick()];
    for (before, payload) in (0..).zip(&payloads) {
        let seq = journal.append(at(5), payload.clone()).await.unwrap();
        assert_eq!(seq, Seq(before).next());
    }
    let mut tail = journal.tail(Seq::ZERO).unwrap();
    let entries = read(&mut *tail, 3).await;
    let expected = (1..).zip(payloads);
    let expected = expected.map(|(seq, payload)| Entry { seq: Seq(seq), at: at(5), payload });
    assert_eq!(entries, expected.collect::<Vec<_>>());
}

async fn appends_of_one_task_are_accepted_in_its_order(journal: Arc<dyn Journal>) {
    for round in 0..50_u64 {
        // More than the budget of one tokio task.
        let appends: FuturesOrdered<_> =
            (0..500).map(|_| journal.append(at(5), samples::tick())).collect();
        let seqs: Vec<u64> = appends.map(|appended| appended.unwrap().0).collect().await;
        let first = round * 500 + 1;
        assert!(seqs.iter().copied().eq(first..first + 500), "{seqs:?}");
    }
}

async fn a_tail_begins_after_the_position_asked_for(journal: Arc<dyn Journal>) {
    append(&*journal, 5000).await;
    for after in [0, 1, 2500, 4999] {
        let mut tail = journal.tail(Seq(after)).unwrap();
        let entries = read(&mut *tail, usize::try_from(5000 - after).unwrap()).await;
        assert!(entries.iter().map(|entry| entry.seq.0).eq(after + 1..=5000));
    }
}

async fn a_tail_at_the_head_waits_for_the_next_entry(journal: Arc<dyn Journal>) {
    append(&*journal, 2).await;
    let mut tail = journal.tail(Seq(2)).unwrap();
    let mut next = tail.next();
    assert!(is_waiting(&mut next).await);
    append(&*journal, 1).await;
    assert_eq!(seqs(&next.await.unwrap()), [3]);
}

async fn timestamps_never_go_back(journal: Arc<dyn Journal>) {
    for millis in [10, 5, 20, 19, -3] {
        journal.append(at(millis), samples::tick()).await.unwrap();
    }
    let entries = read(&mut *journal.tail(Seq::ZERO).unwrap(), 5).await;
    let times: Vec<i64> = entries.iter().map(|entry| entry.at.millis()).collect();
    assert_eq!(times, [10, 10, 20, 20, 20]);
}

async fn concurrent_appends_are_each_in_the_journal_once(journal: Arc<dyn Journal>) {
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let mut answers = Vec::new();
            for each in 0..20 {
                let due = at(task * 100 + each);
                answers.push((journal.append(at(0), Payload::Tick { due }).await.unwrap(), due));
            }
            assert!(answers.is_sorted(), "appends of one task keep their order");
            answers
        });
    }
    let mut answers: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    answers.sort_unstable();
    let entries = read(&mut *journal.tail(Seq::ZERO).unwrap(), 64 * 20).await;
    let read = entries.iter().map(|entry| match entry.payload {
        Payload::Tick { due } => (entry.seq, due),
        Payload::Batch(_) | Payload::PolicyAdopted { .. } => {
            panic!("only ticks were appended")
        }
    });
    assert_eq!(answers, read.collect::<Vec<_>>());
}

async fn every_one_of_many_concurrent_appends_is_answered(journal: Arc<dyn Journal>) {
    // More than fit in one group, first by their number, then by their size.
    for (appends, bytes) in [(10_000, 4500), (40, 1 << 20)] {
        let before = journal.head().borrow().0;
        let mut tasks = JoinSet::new();
        for _ in 0..appends {
            let journal = Arc::clone(&journal);
            let payload = large(bytes);
            tasks.spawn(async move { journal.append(at(0), payload).await.unwrap().0 });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_unstable();
        assert!(answers.into_iter().eq(before + 1..=before + appends));
    }
}

async fn a_tail_past_the_head_is_rejected(journal: Arc<dyn Journal>) {
    append(&*journal, 2).await;
    for after in [Seq(3), Seq(u64::MAX)] {
        let rejected = journal.tail(after).err();
        assert!(
            matches!(rejected, Some(Error::OutOfRange { after: a, head: Seq(2) }) if a == after)
        );
    }
}

async fn an_entry_that_is_too_large_is_rejected_and_leaves_no_trace(journal: Arc<dyn Journal>) {
    let rejected = journal.append(at(0), large(ENTRY_BYTES_MAX + 1)).await;
    let bytes = ENTRY_BYTES_MAX + 1;
    assert!(matches!(rejected, Err(Error::TooLarge { bytes: b }) if b == bytes));
    assert_eq!(journal.append(at(0), samples::tick()).await.unwrap(), Seq(1));
    let largest = journal.append(at(0), large(ENTRY_BYTES_MAX)).await;
    assert_eq!(largest.unwrap(), Seq(2));
    let entries = read(&mut *journal.tail(Seq::ZERO).unwrap(), 2).await;
    assert_eq!(seqs(&entries), [1, 2]);
}

async fn the_head_rises_before_the_answer(journal: Arc<dyn Journal>) {
    let head = journal.head();
    assert_eq!(*head.borrow(), Seq::ZERO);
    for expected in 1..10 {
        let seq = journal.append(at(0), samples::tick()).await.unwrap();
        assert_eq!((seq, *head.borrow()), (Seq(expected), Seq(expected)));
    }
}

async fn a_dropped_read_loses_nothing(journal: Arc<dyn Journal>) {
    let mut tail = journal.tail(Seq::ZERO).unwrap();
    assert!(is_waiting(&mut tail.next()).await);
    append(&*journal, 2).await;
    drop(tail.next());
    assert_eq!(seqs(&read(&mut *tail, 2).await), [1, 2]);
}

mod a_file {
    use super::*;
    use rusqlite::Connection;

    #[tokio::test]
    async fn keeps_every_entry_when_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(&dir.path().join("new/data")).unwrap();
        let epoch = journal.epoch();
        append(&journal, 3).await;
        drop(journal);
        let journal = SqliteJournal::open(&dir.path().join("new/data")).unwrap();
        assert_eq!((journal.epoch(), *journal.head().borrow()), (epoch, Seq(3)));
        assert_eq!(journal.append(at(-9), samples::batch()).await.unwrap(), Seq(4));
        let entries = read(&mut *journal.tail(Seq(2)).unwrap(), 2).await;
        assert_eq!(entries[1].at, at(0), "time does not go back over a restart either");
    }

    #[test]
    fn has_an_epoch_of_its_own() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let epoch = |dir: &Path| SqliteJournal::open(dir).unwrap().epoch();
        assert_ne!(epoch(one.path()), epoch(other.path()));
    }

    #[test]
    fn that_is_open_cannot_be_opened_a_second_time() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path()).unwrap();
        let error = SqliteJournal::open(dir.path()).err().unwrap();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(journal);
        assert!(SqliteJournal::open(dir.path()).is_ok());
    }

    #[tokio::test]
    async fn with_a_flipped_byte_is_read_up_to_the_damage_and_no_further() {
        let change = "UPDATE entries SET payload = x'010200' WHERE seq = 3";
        let (seq, found) = damage(change).await;
        assert_eq!((seq, found), (Seq(3), Damage::Checksum));
    }

    #[tokio::test]
    async fn with_a_changed_time_is_damaged() {
        let (seq, found) = damage("UPDATE entries SET at = at + 1 WHERE seq = 2").await;
        assert_eq!((seq, found), (Seq(2), Damage::Checksum));
    }

    #[tokio::test]
    async fn with_swapped_entries_is_damaged() {
        let change = "DELETE FROM entries WHERE seq = 2; UPDATE entries SET seq = 2 WHERE seq = 3";
        assert_eq!(damage(change).await, (Seq(2), Damage::Checksum));
    }

    #[tokio::test]
    async fn with_a_missing_entry_is_damaged() {
        for (change, seq) in
            [("DELETE FROM entries WHERE seq = 1", 1), ("DELETE FROM entries WHERE seq = 3", 3)]
        {
            assert_eq!(damage(change).await, (Seq(seq), Damage::Missing));
        }
    }

    /// Changes a file of five entries behind the journal's back; returns the error of a tail after
    /// all intact entries.
    async fn damage(change: &str) -> (Seq, Damage) {
        let dir = tempfile::tempdir().unwrap();
        append(&SqliteJournal::open(dir.path()).unwrap(), 5).await;
        let path = dir.path().join("journal.db");
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let journal = SqliteJournal::open(dir.path()).unwrap();
        let mut tail = journal.tail(Seq::ZERO).unwrap();
        let mut intact = 0;
        loop {
            match tail.next().await {
                Ok(entries) => intact += entries.len(),
                Err(Error::Damaged { location, seq, damage }) => {
                    assert_eq!(location, JournalLocation::File(path.into()));
                    assert_eq!(seq, Seq(u64::try_from(intact).unwrap()).next());
                    return (seq, damage);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn that_is_not_a_journal_stays_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let garbage = "not a database ".repeat(1000);
        std::fs::write(&path, &garbage).unwrap();
        let error = SqliteJournal::open(dir.path()).err().unwrap();
        assert!(matches!(error, Error::Damaged { seq: Seq::ZERO, .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), garbage);
    }

    #[test]
    fn of_a_later_version_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        SqliteJournal::set_format(dir.path(), 2);
        let error = SqliteJournal::open(dir.path()).err().unwrap();
        assert!(matches!(error, Error::Format { found: 2, known: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn that_can_no_longer_be_written_stops_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path()).unwrap();
        append(&journal, 1).await;
        let other = Connection::open(dir.path().join("journal.db")).unwrap();
        other.execute_batch("DROP TABLE entries").unwrap();
        let failed = journal.append(at(0), samples::tick()).await;
        assert!(matches!(failed, Err(Error::Damaged { damage: Damage::Pages(_), .. })));
        let mut head = journal.head();
        head.wait_for(|_| false).await.unwrap_err();
        let stopped = journal.append(at(0), samples::tick()).await;
        assert!(matches!(stopped, Err(Error::Closed)));
    }

    #[tokio::test]
    async fn has_every_accepted_entry_after_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path()).unwrap();
        let mut appends: Vec<_> = (0..50).map(|_| journal.append(at(0), samples::tick())).collect();
        for append in &mut appends {
            is_waiting(append).await;
        }
        drop(appends);
        drop(journal);
        assert_eq!(*SqliteJournal::open(dir.path()).unwrap().head().borrow(), Seq(50));
    }

    #[tokio::test]
    async fn on_a_full_disk_rejects_appends_until_there_is_space() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open_with_pages_max(dir.path(), 40).unwrap();
        append(&journal, 2).await;
        let full = journal.append(at(0), large(1 << 20)).await;
        assert!(matches!(full, Err(Error::Full { .. })));
        assert_eq!(journal.append(at(0), samples::tick()).await.unwrap(), Seq(3));
        let entries = read(&mut *journal.tail(Seq::ZERO).unwrap(), 3).await;
        assert_eq!(seqs(&entries), [1, 2, 3]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_its_write_ahead_log_short() {
        let dir = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(dir.path()).unwrap();
        for _ in 0..200 {
            journal.append(at(0), large(1 << 20)).await.unwrap();
        }
        let log = std::fs::metadata(dir.path().join("journal.db-wal")).unwrap().len();
        assert!(log < 100 << 20, "{log} bytes");
    }
}

/// A batch of exactly this many encoded bytes; at least 4,500.
fn large(bytes: usize) -> Payload {
    let title = bytes - 4096;
    let rest = codec::encode(&titled(title)).unwrap().len() - title;
    titled(bytes - rest)
}

fn titled(bytes: usize) -> Payload {
    let Payload::Batch(mut batch) = samples::batch() else { unreachable!() };
    for update in &mut batch.updates {
        if let Update::Threat(threat) = update {
            Arc::make_mut(threat).title = "x".repeat(bytes).into();
        }
    }
    Payload::Batch(batch)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn append(journal: &dyn Journal, count: usize) {
    let mut appends: Vec<_> = (0..count).map(|_| journal.append(at(0), samples::tick())).collect();
    for append in &mut appends {
        append.await.unwrap();
    }
}

async fn read(tail: &mut dyn Tail, count: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while entries.len() < count {
        entries.extend(tail.next().await.unwrap());
    }
    assert_eq!(entries.len(), count);
    entries
}

fn seqs(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.0).collect()
}

/// Polls once.
async fn is_waiting<T>(future: &mut BoxFuture<'_, T>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
