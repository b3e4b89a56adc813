//! The one loop: tail → apply → archive → fan out → advance the head.
//!
//! A live node, a restart and a replica are the same loop: it consumes what the journal's tail yields and nothing else,
//! also for entries that this very process appended.

use crate::archive::{self, Archive, Record};
use crate::clock::Clock;
use crate::domain::update::Payload;
use crate::domain::{Alert, Entry, Facets, Seq, Timestamp};
use crate::engine::State;
use crate::fanout::{self, Frame, Ring};
use crate::journal::{self, Journal, Tail};
use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Makes an alert's bytes, once.
pub type Encode = Box<dyn Fn(&Alert) -> Bytes + Send>;

/// How alerts look on the wire; given by the edge, which alone knows.
pub struct Encoding {
    /// Makes the bytes that are archived and sent.
    pub alert: Encode,
    /// Writes a message of alerts.
    pub message: fanout::Write,
}

/// Why the loop ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be read.
    #[error("the journal cannot be read on")]
    Journal(#[from] journal::Error),
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Archive(#[from] archive::Error),
}

/// How the loop keeps house.
#[derive(Debug, Clone, Copy)]
pub struct Housekeeping {
    /// Entries between two snapshots.
    pub snapshot_every_entries: u64,
    /// Days that alerts are kept; 0 for ever.
    pub keep_days: u32,
    /// Bytes of recent alerts, and of messages made of them, in memory.
    pub ring_bytes_max: usize,
}

/// What everybody else may see of the loop: the state, the alerts, and how far it is. Cheap to clone.
#[derive(Clone)]
pub struct View {
    state: Arc<RwLock<State>>,
    ring: Arc<Ring>,
    archive: archive::Reader,
    next_deadline: watch::Receiver<Option<Timestamp>>,
}

impl View {
    /// Looks at the state. The loop waits meanwhile: take what is needed and leave.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Recent alerts.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// All alerts. Calls block on the disk.
    pub fn archive(&self) -> &archive::Reader {
        &self.archive
    }

    /// The last entry that is applied and whose alerts can be read.
    pub fn head(&self) -> Seq {
        self.ring.settled()
    }

    /// Waits until an entry is applied and its alerts can be read.
    pub async fn wait_for(&self, entry: Seq) {
        self.ring.wait_for(entry).await;
    }

    /// The next instant at which something is due that no update announces.
    pub fn next_deadline(&self) -> watch::Receiver<Option<Timestamp>> {
        self.next_deadline.clone()
    }
}

/// The loop and all that it owns.
pub struct Pipeline {
    tail: Box<dyn Tail>,
    archive: Archive,
    view: View,
    deadline: watch::Sender<Option<Timestamp>>,
    encode: Encode,
    housekeeping: Housekeeping,
    last_snapshot: Seq,
}

impl Pipeline {
    /// Takes up where the newest snapshot left off; from the first entry where there is none.
    ///
    /// # Errors
    ///
    /// When the archive or the journal cannot be read.
    pub fn open(
        journal: &dyn Journal,
        archive: Archive,
        encoding: Encoding,
        housekeeping: Housekeeping,
    ) -> Result<Self, Error> {
        let state = newest_snapshot(&archive)?;
        let after = state.seq();
        let (deadline, next_deadline) = watch::channel(state.next_deadline());
        let view = View {
            ring: Arc::new(Ring::new(after, housekeeping.ring_bytes_max, encoding.message)),
            archive: archive.reader(),
            state: Arc::new(RwLock::new(state)),
            next_deadline,
        };
        let tail = journal.tail(after)?;
        tracing::info!(entry = after.0, head = journal.head().borrow().0, "replaying the journal");
        let encode = encoding.alert;
        Ok(Self { tail, archive, view, deadline, encode, housekeeping, last_snapshot: after })
    }

    /// What others may see.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Runs until told to stop. Blocks on the disk: run it on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read on or the archive cannot be written; what was applied stays readable.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        while let Some(entries) = stop.run_until_cancelled(self.tail.next()).await {
            self.take(&entries?)?;
        }
        self.snapshot()
    }

    fn take(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let Some(last) = entries.last() else { return Ok(()) };
        let frames = self.apply(entries);
        let records: Vec<Record> =
            frames.iter().flat_map(|frame| &frame.records).cloned().collect();
        self.archive.commit(last.seq, &records)?;
        self.view.ring.push(frames, last.seq);
        let next_deadline = self.view.look(State::next_deadline);
        self.deadline
            .send_if_modified(|before| std::mem::replace(before, next_deadline) != next_deadline);
        if last.seq.0.saturating_sub(self.last_snapshot.0)
            >= self.housekeeping.snapshot_every_entries
        {
            self.snapshot()?;
        }
        Ok(())
    }

    fn apply(&mut self, entries: &[Entry]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for entry in entries {
            // Held for one entry at a time, so that readers get their turn.
            let applied =
                self.view.state.write().unwrap_or_else(PoisonError::into_inner).apply(entry);
            tracing::trace!(entry = entry.seq.0, alerts = applied.alerts.len(), "applied");
            if !applied.alerts.is_empty() {
                let records = applied.alerts.iter().map(|alert| self.record(alert));
                frames.push(Frame { entry: entry.seq, records: records.collect() });
            }
        }
        frames
    }

    fn record(&self, alert: &Alert) -> Record {
        Record {
            sequence: alert.sequence,
            entry: alert.entry,
            episode: alert.episode,
            at: alert.event_time,
            journal_time: alert.journal_time,
            facets: Facets::from(alert),
            bytes: (self.encode)(alert),
        }
    }

    /// Saves the state, and forgets alerts past their time.
    fn snapshot(&mut self) -> Result<(), Error> {
        let (seq, now, bytes, open) = self
            .view
            .look(|state| (state.seq(), state.now(), state.to_snapshot(), state.open_alerts()));
        if seq == self.last_snapshot {
            return Ok(());
        }
        self.archive.save_snapshot(seq, &bytes)?;
        self.last_snapshot = seq;
        if self.housekeeping.keep_days > 0 {
            let before = now.minus_days(self.housekeeping.keep_days);
            self.archive.prune(before, &open)?;
        }
        Ok(())
    }
}

/// The newest state that can be read; what cannot is passed over, since the journal has it all.
fn newest_snapshot(archive: &Archive) -> Result<State, Error> {
    let Some((seq, bytes)) = archive.latest_snapshot()? else { return Ok(State::default()) };
    match State::from_snapshot(&bytes) {
        Ok(state) => Ok(state),
        Err(error) => {
            tracing::warn!(entry = seq.0, %error, "snapshot cannot be used; replaying all");
            Ok(State::default())
        }
    }
}

/// Appends a tick whenever something is due, so that time alone raises and clears alerts.
///
/// # Errors
///
/// When the journal takes no more entries.
pub async fn keep_time(
    journal: Arc<dyn Journal>,
    view: View,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), journal::Error> {
    let mut deadlines = view.next_deadline();
    loop {
        let due = *deadlines.borrow_and_update();
        let wait = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = deadlines.changed() => if changed.is_err() { return Ok(()) },
            () = wait => {
                let due = due.expect("a wait that ends has a deadline");
                let entry = journal.append(clock.now(), Payload::Tick { due }).await?;
                view.wait_for(entry).await;
                // Told after the alerts are: asking sooner would append the same tick again.
                if deadlines.wait_for(|next| *next != Some(due)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
