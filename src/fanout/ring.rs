//! Recent alerts in memory, bounded in bytes, shared by all readers.

use super::block::{Block, Budget};
use super::messages::{Frame, Write};
use super::places::Places;
use crate::domain::Seq;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use tokio::sync::{Semaphore, watch};

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum Recent {
    /// The reader stands below the oldest block: it must read the archive.
    Gone,
    /// The block with the first alerts after the reader's place.
    Block(Arc<Block>),
    /// No alerts up to and including this entry.
    Nothing(Seq),
}

/// The alerts of the last entries, and messages made of them, up to a bound in bytes: at the bound the oldest leave, and
/// their readers go on from the archive.
pub struct Ring {
    blocks: Mutex<Blocks>,
    /// The doorbell: the last entry whose alerts can be read.
    head: watch::Sender<Seq>,
    /// The same, rung first, for the few who wait for one entry: publishers do not queue behind all subscribers.
    settled: watch::Sender<Seq>,
    pub(super) write: Write,
    /// For alerts and messages together.
    pub(super) budget: Budget,
    /// One permit for each reader that may read the archive at this moment.
    pub(super) history: Semaphore,
    pub(super) places: Places,
}

#[derive(Debug)]
struct Blocks {
    /// Of increasing entries, all after `floor`.
    kept: VecDeque<Arc<Block>>,
    /// The ring has every alert after this entry.
    floor: Seq,
}

impl Ring {
    /// A block is full when its alerts have this many bytes: what a reader that is behind takes at once.
    const BLOCK_BYTES: usize = 64 * 1024;

    /// An empty ring that begins after an entry, keeps at most `bytes_max` bytes of alerts and of messages made of them,
    /// and writes messages as the edge says.
    ///
    /// Half of the machine's cores, at least one, may read the archive for readers below the ring; others of them wait,
    /// so that those inside are not held up.
    pub fn new(after: Seq, bytes_max: usize, write: Write) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            blocks: Mutex::new(Blocks { kept: VecDeque::new(), floor: after }),
            head: watch::Sender::new(after),
            settled: watch::Sender::new(after),
            write,
            budget: Budget { used: Arc::new(AtomicUsize::new(0)), max: bytes_max },
            history: Semaphore::new(cores.div_euclid(2).max(1)),
            places: Places::default(),
        }
    }

    /// Adds the alerts of entries up to `head`, in order, and rings the doorbell.
    pub fn push(&self, frames: Vec<Frame>, head: Seq) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = frames.into_iter().peekable();
        while frames.peek().is_some() {
            let open = blocks.kept.pop_back_if(|block| block.bytes < Self::BLOCK_BYTES);
            let mut bytes = open.as_ref().map_or(0, |block| block.bytes);
            let before = bytes;
            let mut fits = Vec::new();
            while let Some(frame) = frames.next_if(|_| bytes < Self::BLOCK_BYTES) {
                bytes = bytes.saturating_add(frame.bytes());
                fits.push(frame);
            }
            self.budget.used.fetch_add(bytes.saturating_sub(before), Ordering::Relaxed);
            blocks.kept.push_back(Arc::new(Block::with(open.as_deref(), fits)));
        }
        // An eighth stays free for the messages that will be made of what comes next.
        let enough = self.budget.max.saturating_sub(self.budget.max.div_euclid(8));
        while self.budget.used.load(Ordering::Relaxed) > enough
            && let Some(oldest) = blocks.kept.pop_front()
        {
            self.budget.used.fetch_sub(oldest.bytes, Ordering::Relaxed);
            blocks.floor = oldest.last;
        }
        drop(blocks);
        self.settled.send_replace(head);
        self.head.send_replace(head);
    }

    /// Waits until the alerts of an entry can be read.
    pub async fn wait_for(&self, entry: Seq) {
        let mut settled = self.settled.subscribe();
        let reached = settled.wait_for(|settled| *settled >= entry).await;
        reached.expect("the ring rings its own doorbell");
    }

    /// The doorbell of readers.
    pub fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    /// The last entry whose alerts can be read.
    pub fn settled(&self) -> Seq {
        *self.settled.borrow()
    }

    /// How many entries each reader is behind at this moment. As it was when it was polled last: a reader that waits for its
    /// peer is behind by what came since.
    pub fn lags(&self) -> Vec<u64> {
        let entries = self.places.entries();
        let head = self.settled();
        entries.into_iter().map(|entry| head.0.saturating_sub(entry.0)).collect()
    }

    /// How much memory the alerts and the messages made of them take, in bytes.
    pub fn bytes(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }

    pub(super) fn after(&self, entry: Seq) -> Recent {
        // First: what it covers is in the blocks by then.
        let head = self.settled();
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if entry < blocks.floor {
            return Recent::Gone;
        }
        // Most readers are at the end.
        let is_behind = |block: &Arc<Block>| block.last <= entry;
        if blocks.kept.back().is_none_or(is_behind) {
            return Recent::Nothing(head.max(entry));
        }
        let at = blocks.kept.partition_point(is_behind);
        let found = blocks.kept.get(at).expect("the last block is not behind the reader");
        Recent::Block(Arc::clone(found))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("head", &*self.head.borrow()).finish_non_exhaustive()
    }
}
