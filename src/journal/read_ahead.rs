//! Reading ahead: while some entries are applied, a thread of its own reads, checks and decodes the
//! next.
//!
//! For recovery at the start, which replays the journal on as many processors as it can use. At the
//! head nothing is left to read ahead, and a thread in between would only cost time.

use super::contract::{BoxFuture, StateDigest, Tail};
use super::error::Error;
use lodewatch_core::domain::{Entry, Seq};
use std::io;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// The limit of the reads that wait for the pipeline, of at most [`super::TAIL_BYTES_MAX`] each.
const READS_MAX: usize = 2;

/// A tail that a thread reads ahead up to an entry, and that is read directly from there on.
pub struct ReadAhead {
    read_rx: mpsc::Receiver<(Vec<Entry>, Vec<StateDigest>)>,
    peer_digests: Vec<StateDigest>,
    /// Returns the tail when the thread has finished.
    tail_rx: oneshot::Receiver<Box<dyn Tail>>,
    tail: Option<Box<dyn Tail>>,
}

impl ReadAhead {
    /// Reads a tail ahead up to an entry that is in the journal. Within a runtime.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn until(mut tail: Box<dyn Tail>, last: Seq) -> io::Result<Self> {
        let (read_tx, read_rx) = mpsc::channel(READS_MAX);
        let (tail_tx, tail_rx) = oneshot::channel();
        let runtime = Handle::current();
        let run = move || {
            // An error comes again when the tail is read directly.
            while let Ok(entries) = runtime.block_on(tail.next()) {
                let is_last = entries.last().is_none_or(|entry| entry.seq >= last);
                if read_tx.blocking_send((entries, tail.peer_digests())).is_err() || is_last {
                    break;
                }
            }
            drop(read_tx);
            // The receiver may be gone.
            drop(tail_tx.send(tail));
        };
        thread::Builder::new().name("read-ahead".into()).spawn(run)?;
        Ok(Self { read_rx, peer_digests: Vec::new(), tail_rx, tail: None })
    }
}

impl Tail for ReadAhead {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            if let Some((entries, peer_digests)) = self.read_rx.recv().await {
                self.peer_digests.extend(peer_digests);
                return Ok(entries);
            }
            if self.tail.is_none() {
                self.tail = Some((&mut self.tail_rx).await.map_err(|_| Error::Closed)?);
            }
            self.tail.as_mut().expect("it was just returned").next().await
        })
    }

    fn peer_digests(&mut self) -> Vec<StateDigest> {
        let mut digests = std::mem::take(&mut self.peer_digests);
        digests.extend(self.tail.as_mut().map(|tail| tail.peer_digests()).unwrap_or_default());
        digests
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::Journal;
    use super::super::error::Damage;
    use super::super::{MemoryJournal, samples};
    use super::*;
    use lodewatch_core::domain::Timestamp;
    use std::sync::Arc;

    /// Some entries at a time, then a damaged one, however often it is read.
    struct DamagedTail(Vec<Vec<Entry>>);

    impl Tail for DamagedTail {
        fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
            let file = Arc::from(std::path::Path::new("journal.db"));
            let damaged = Error::damaged_file(&file, Seq(4), Damage::Checksum);
            Box::pin(std::future::ready(self.0.pop().ok_or(damaged)))
        }
    }

    fn entry(seq: u64) -> Entry {
        Entry { seq: Seq(seq), at: Timestamp::MIN, payload: samples::tick() }
    }

    #[tokio::test]
    async fn entries_read_ahead_and_entries_after_them_are_one_tail() {
        let journal = MemoryJournal::new(lodewatch_core::domain::Epoch(7));
        for _ in 0..3 {
            journal.append(Timestamp::MIN, samples::tick()).await.unwrap();
        }
        let mut tail = ReadAhead::until(journal.tail(Seq::ZERO).unwrap(), Seq(3)).unwrap();
        let mut read = tail.next().await.unwrap();
        journal.append(Timestamp::MIN, samples::tick()).await.unwrap();
        read.extend(tail.next().await.unwrap());
        let read: Vec<Seq> = read.iter().map(|entry| entry.seq).collect();
        assert_eq!(read, [Seq(1), Seq(2), Seq(3), Seq(4)]);
    }

    #[tokio::test]
    async fn damage_comes_after_everything_before_it() {
        let tail = DamagedTail(vec![vec![entry(3)], vec![entry(1), entry(2)]]);
        let mut tail = ReadAhead::until(Box::new(tail), Seq(9)).unwrap();
        assert_eq!(tail.next().await.unwrap().len(), 2);
        assert_eq!(tail.next().await.unwrap().len(), 1);
        for _ in 0..2 {
            assert!(matches!(tail.next().await, Err(Error::Damaged { seq: Seq(4), .. })));
        }
    }
}
