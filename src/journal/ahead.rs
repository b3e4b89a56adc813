//! Reading ahead: while some entries are applied, a thread of its own reads, checks and decodes the next.
//!
//! For a start, which replays what was there before on as many processors as it can use. At the head there is nothing to be read
//! ahead, and a thread between would only cost time.

use super::{BoxFuture, Error, Tail, Testimony};
use crate::domain::{Entry, Seq};
use std::io;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// How many reads wait to be taken, of at most [`super::TAIL_BYTES_MAX`] each.
const READS_MAX: usize = 2;

/// A tail that is read ahead up to an entry, and from there on as it is.
pub struct Ahead {
    reads: mpsc::Receiver<(Vec<Entry>, Vec<Testimony>)>,
    testimonies: Vec<Testimony>,
    /// Comes back when the thread is done with it.
    back: oneshot::Receiver<Box<dyn Tail>>,
    tail: Option<Box<dyn Tail>>,
}

impl Ahead {
    /// Reads a tail ahead up to an entry that is in the journal. Within a runtime.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn until(mut tail: Box<dyn Tail>, last: Seq) -> io::Result<Self> {
        let (read, reads) = mpsc::channel(READS_MAX);
        let (give_back, back) = oneshot::channel();
        let runtime = Handle::current();
        let run = move || {
            // What cannot be read is found again by whoever reads on.
            while let Ok(entries) = runtime.block_on(tail.next()) {
                let is_last = entries.last().is_none_or(|entry| entry.seq >= last);
                if read.blocking_send((entries, tail.testimonies())).is_err() || is_last {
                    break;
                }
            }
            drop(read);
            // Nobody waits for it where the reader was dropped.
            drop(give_back.send(tail));
        };
        thread::Builder::new().name("ahead".into()).spawn(run)?;
        Ok(Self { reads, testimonies: Vec::new(), back, tail: None })
    }
}

impl Tail for Ahead {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            if let Some((entries, testimonies)) = self.reads.recv().await {
                self.testimonies.extend(testimonies);
                return Ok(entries);
            }
            if self.tail.is_none() {
                self.tail = Some((&mut self.back).await.map_err(|_| Error::Closed)?);
            }
            self.tail.as_mut().expect("it came back").next().await
        })
    }

    fn testimonies(&mut self) -> Vec<Testimony> {
        let mut told = std::mem::take(&mut self.testimonies);
        told.extend(self.tail.as_mut().map(|tail| tail.testimonies()).unwrap_or_default());
        told
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Damage, Journal, Memory, Place, samples};
    use super::*;
    use crate::domain::Timestamp;
    use std::sync::Arc;

    /// Some entries at a time, then a damaged one, however often it is read.
    struct Damaged(Vec<Vec<Entry>>);

    impl Tail for Damaged {
        fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
            let file = Arc::from(std::path::Path::new("journal.db"));
            let damaged =
                Error::Damaged { place: Place::File(file), seq: Seq(4), what: Damage::Checksum };
            Box::pin(std::future::ready(self.0.pop().ok_or(damaged)))
        }
    }

    fn entry(seq: u64) -> Entry {
        Entry { seq: Seq(seq), at: Timestamp::MIN, payload: samples::tick() }
    }

    #[tokio::test]
    async fn what_was_read_ahead_and_what_comes_after_it_is_one_tail() {
        let journal = Memory::new(crate::domain::Epoch(7));
        for _ in 0..3 {
            journal.append(Timestamp::MIN, samples::tick()).await.unwrap();
        }
        let mut ahead = Ahead::until(journal.tail(Seq::ZERO).unwrap(), Seq(3)).unwrap();
        let mut read = ahead.next().await.unwrap();
        journal.append(Timestamp::MIN, samples::tick()).await.unwrap();
        read.extend(ahead.next().await.unwrap());
        let read: Vec<Seq> = read.iter().map(|entry| entry.seq).collect();
        assert_eq!(read, [Seq(1), Seq(2), Seq(3), Seq(4)]);
    }

    #[tokio::test]
    async fn damage_comes_after_everything_before_it() {
        let tail = Damaged(vec![vec![entry(3)], vec![entry(1), entry(2)]]);
        let mut ahead = Ahead::until(Box::new(tail), Seq(9)).unwrap();
        assert_eq!(ahead.next().await.unwrap().len(), 2);
        assert_eq!(ahead.next().await.unwrap().len(), 1);
        for _ in 0..2 {
            assert!(matches!(ahead.next().await, Err(Error::Damaged { seq: Seq(4), .. })));
        }
    }
}
