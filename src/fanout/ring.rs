//! The alerts of the latest entries in memory, limited in bytes and shared by all readers.

use super::block::{Block, MemoryBudget};
use super::lag::LagTrackers;
use super::messages::{EntryAlerts, WriteMessage};
use lodewatch_core::domain::Seq;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use tokio::sync::{Semaphore, watch};

/// What the ring has after a reader's position.
#[derive(Debug)]
pub(super) enum RingLookup {
    /// The position is below the oldest block: the reader must read the archive.
    BelowFloor,
    /// The block with the first alerts after the position.
    Block(Arc<Block>),
    /// No alerts up to and including this entry.
    AtEnd(Seq),
}

/// The alerts of the latest entries and the messages made of them, up to a limit in bytes. At the
/// limit the oldest entries are dropped, and their readers continue from the archive.
pub struct Ring {
    blocks: Mutex<Blocks>,
    /// The last entry whose alerts can be read.
    applied_tx: watch::Sender<Seq>,
    /// The same, sent first, for the few tasks that wait for one entry: publishers do not queue
    /// behind all subscribers.
    applied_first_tx: watch::Sender<Seq>,
    pub(super) write: WriteMessage,
    /// For alerts and messages together.
    pub(super) budget: MemoryBudget,
    /// One permit for each reader that may read the archive at a time.
    pub(super) archive_reads: Semaphore,
    pub(super) trackers: LagTrackers,
}

#[derive(Debug)]
struct Blocks {
    /// In the order of their entries, all after `floor`.
    kept: VecDeque<Arc<Block>>,
    /// The ring has every alert after this entry.
    floor: Seq,
}

impl Ring {
    /// A block is full when its alerts have this many bytes: what a reader that is behind gets at
    /// once.
    const BLOCK_BYTES: usize = 64 * 1024;

    /// An empty ring that begins after an entry and keeps at most `bytes_max` bytes of alerts and
    /// messages.
    ///
    /// At most half of the machine's cores, but at least one, read the archive for readers below
    /// the ring; further such readers wait, so that they do not slow the readers inside the ring.
    pub fn new(after: Seq, bytes_max: usize, write: WriteMessage) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            blocks: Mutex::new(Blocks { kept: VecDeque::new(), floor: after }),
            applied_tx: watch::Sender::new(after),
            applied_first_tx: watch::Sender::new(after),
            write,
            budget: MemoryBudget { used: Arc::new(AtomicUsize::new(0)), max: bytes_max },
            archive_reads: Semaphore::new(cores.div_euclid(2).max(1)),
            trackers: LagTrackers::default(),
        }
    }

    /// Adds the alerts of entries up to `applied`, in order, and wakes the readers.
    pub fn push(&self, entries: Vec<EntryAlerts>, applied: Seq) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let open = blocks.kept.pop_back_if(|block| block.bytes < Self::BLOCK_BYTES);
            let mut bytes = open.as_ref().map_or(0, |block| block.bytes);
            let before = bytes;
            let mut fits = Vec::new();
            while let Some(entry) = entries.next_if(|_| bytes < Self::BLOCK_BYTES) {
                bytes = bytes.saturating_add(entry.bytes());
                fits.push(entry);
            }
            self.budget.used.fetch_add(bytes.saturating_sub(before), Ordering::Relaxed);
            blocks.kept.push_back(Arc::new(Block::extended(open.as_deref(), fits)));
        }
        // An eighth stays free for the messages of the next entries.
        let enough = self.budget.max.saturating_sub(self.budget.max.div_euclid(8));
        while self.budget.used.load(Ordering::Relaxed) > enough
            && let Some(oldest) = blocks.kept.pop_front()
        {
            self.budget.used.fetch_sub(oldest.bytes, Ordering::Relaxed);
            blocks.floor = oldest.last;
        }
        drop(blocks);
        self.applied_first_tx.send_replace(applied);
        self.applied_tx.send_replace(applied);
    }

    /// Goes past entries up to `applied` of which some alerts are in the archive only: all readers
    /// continue there.
    pub fn skip_to(&self, applied: Seq) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        for block in blocks.kept.drain(..) {
            self.budget.used.fetch_sub(block.bytes, Ordering::Relaxed);
        }
        blocks.floor = applied;
        drop(blocks);
        self.applied_first_tx.send_replace(applied);
        self.applied_tx.send_replace(applied);
    }

    /// Waits until the alerts of an entry can be read.
    pub async fn wait_for(&self, entry: Seq) {
        let mut applied_rx = self.applied_first_tx.subscribe();
        let reached = applied_rx.wait_for(|applied| *applied >= entry).await;
        reached.expect("the ring holds the sender");
    }

    /// Changes whenever further alerts can be read.
    pub fn watch_applied(&self) -> watch::Receiver<Seq> {
        self.applied_tx.subscribe()
    }

    /// The last entry whose alerts can be read.
    pub fn applied(&self) -> Seq {
        *self.applied_first_tx.borrow()
    }

    /// The lag of each reader, in entries, at its latest poll: for a reader that waits for its peer
    /// it grows with every entry.
    pub fn lags(&self) -> Vec<u64> {
        let positions = self.trackers.positions();
        let applied = self.applied();
        positions.into_iter().map(|entry| applied.0.saturating_sub(entry.0)).collect()
    }

    /// Memory of the alerts and the messages made of them, in bytes.
    pub fn bytes(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }

    pub(super) fn find_after(&self, entry: Seq) -> RingLookup {
        // Read before the blocks: they then have all alerts up to it.
        let applied = self.applied();
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if entry < blocks.floor {
            return RingLookup::BelowFloor;
        }
        // Most readers are at the end.
        let is_passed = |block: &Arc<Block>| block.last <= entry;
        if blocks.kept.back().is_none_or(is_passed) {
            return RingLookup::AtEnd(applied.max(entry));
        }
        let at = blocks.kept.partition_point(is_passed);
        let found = blocks.kept.get(at).expect("the reader has not passed the last block");
        RingLookup::Block(Arc::clone(found))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("applied", &*self.applied_tx.borrow()).finish_non_exhaustive()
    }
}
