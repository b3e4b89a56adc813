//! Recent alerts in memory, bounded in bytes, shared by all readers.

use crate::archive::Record;
use crate::domain::Seq;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// All alerts of one entry.
#[derive(Debug)]
pub struct Frame {
    /// The entry.
    pub entry: Seq,
    /// Its alerts, in order; at least one.
    pub records: Vec<Record>,
}

impl Frame {
    fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).fold(0, usize::saturating_add)
    }
}

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum Recent {
    /// The reader stands below the oldest frame: it must read the archive.
    Gone,
    /// Frames after the reader's place, in order, and the entry up to which they are complete.
    Frames(Vec<Arc<Frame>>, Seq),
}

/// The alerts of the last entries, up to a bound in bytes: at the bound the oldest leave, and their readers go on from
/// the archive.
#[derive(Debug)]
pub struct Ring {
    frames: Mutex<Frames>,
    /// The doorbell: the last entry whose alerts can be read.
    head: watch::Sender<Seq>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Frames {
    /// Of increasing entries, all after `floor`.
    kept: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// The ring has every alert after this entry.
    floor: Seq,
}

impl Ring {
    /// How many frames a reader takes at once.
    const FRAMES_AT_ONCE: usize = 64;

    /// An empty ring that begins after an entry and keeps at most `bytes_max` bytes of alerts.
    pub fn new(after: Seq, bytes_max: usize) -> Self {
        let frames = Mutex::new(Frames { floor: after, ..Frames::default() });
        Self { frames, head: watch::Sender::new(after), bytes_max }
    }

    /// Adds the alerts of entries up to `head`, in order, and rings the doorbell.
    pub fn push(&self, frames: Vec<Frame>, head: Seq) {
        let mut kept = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in frames {
            kept.bytes = kept.bytes.saturating_add(frame.bytes());
            kept.kept.push_back(Arc::new(frame));
        }
        while kept.bytes > self.bytes_max
            && let Some(oldest) = kept.kept.pop_front()
        {
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes());
            kept.floor = oldest.entry;
        }
        drop(kept);
        self.head.send_replace(head);
    }

    /// The doorbell.
    pub fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    pub(super) fn after(&self, entry: Seq) -> Recent {
        // The head first: what it covers is in the frames by then.
        let head = *self.head.borrow();
        let kept = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if entry < kept.floor {
            return Recent::Gone;
        }
        let from = kept.kept.partition_point(|frame| frame.entry <= entry);
        let frames: Vec<_> =
            kept.kept.range(from..).take(Self::FRAMES_AT_ONCE).map(Arc::clone).collect();
        let complete = from.saturating_add(frames.len()) == kept.kept.len();
        let reached = match frames.last() {
            Some(last) if !complete || last.entry > head => last.entry,
            Some(_) | None => head.max(entry),
        };
        Recent::Frames(frames, reached)
    }
}
