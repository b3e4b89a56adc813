//! A journal in memory, for tests: it ends with its process and has no limit.

use super::codec;
use super::contract::{BoxFuture, Journal, TAIL_BYTES_MAX, TAIL_ENTRIES_MAX, Tail};
use super::error::Error;
use lodewatch_core::domain::{Entry, Epoch, Payload, Seq, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// A journal in memory. Entries pass through the codec all the same, so that a tail yields what it
/// would yield from a file.
pub struct MemoryJournal {
    epoch: Epoch,
    entries: Arc<Entries>,
    head: watch::Sender<Seq>,
}

#[derive(Default)]
struct Entries(Mutex<Vec<(Timestamp, Vec<u8>)>>);

impl Entries {
    fn lock(&self) -> MutexGuard<'_, Vec<(Timestamp, Vec<u8>)>> {
        self.0.lock().expect("nothing panics while it holds the entries")
    }
}

impl MemoryJournal {
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, entries: Arc::default(), head: watch::Sender::new(Seq::ZERO) }
    }

    fn push(&self, at: Timestamp, payload: &Payload) -> Result<Seq, Error> {
        let bytes = codec::encode(payload)?;
        let mut entries = self.entries.lock();
        let at = entries.last().map_or(at, |(last, _)| at.max(*last));
        entries.push((at, bytes));
        let seq = Seq(u64::try_from(entries.len()).expect("a length fits in 64 bits"));
        // Under the lock, so that the head rises in order.
        self.head.send_replace(seq);
        Ok(seq)
    }
}

impl Journal for MemoryJournal {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(async move { self.push(at, &payload) })
    }

    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error> {
        let head = *self.head.borrow();
        if after > head {
            return Err(Error::OutOfRange { after, head });
        }
        let entries = Arc::clone(&self.entries);
        Ok(Box::new(MemoryTail { entries, head: self.head.subscribe(), after }))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }
}

struct MemoryTail {
    entries: Arc<Entries>,
    head: watch::Receiver<Seq>,
    after: Seq,
}

impl MemoryTail {
    fn read(&mut self) -> Vec<Entry> {
        let skipped = usize::try_from(self.after.0).expect("the position was a length");
        let mut bytes_read = 0_usize;
        let mut entries = Vec::new();
        for (at, bytes) in self.entries.lock().iter().skip(skipped).take(TAIL_ENTRIES_MAX) {
            let payload = codec::decode(bytes).expect("these bytes were encoded by us");
            self.after = self.after.next();
            entries.push(Entry { seq: self.after, at: *at, payload });
            bytes_read = bytes_read.saturating_add(bytes.len());
            if bytes_read >= TAIL_BYTES_MAX {
                break;
            }
        }
        entries
    }
}

impl Tail for MemoryTail {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            let after = self.after;
            self.head.wait_for(|head| *head > after).await.map_err(|_| Error::Closed)?;
            Ok(self.read())
        })
    }
}
