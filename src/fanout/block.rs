//! A run of entries in the ring, and the messages made of them: one copy per filter, shared by all
//! readers with that filter.

use super::messages::{EncodedMessages, EncodedRun, EntryAlerts, WriteMessage};
use lodewatch_core::domain::update::Position;
use lodewatch_core::domain::{Filter, Seq};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many filters a block keeps messages for. A reader with a further filter encodes messages for
/// itself, of the entries that it has not read yet.
const FILTERS_MAX: usize = 16;

/// The largest block of which a reader may encode messages for itself, in bytes. The messages of a
/// larger one, which has a large entry, are shared or read from the archive in pieces.
const OWN_MESSAGES_BYTES_MAX: usize = 1024 * 1024;

/// What a reader gets from a block.
#[derive(Debug)]
pub(super) enum BlockRead {
    /// The messages after the position; `None` if no alert matches the filter.
    Messages(Option<EncodedRun>),
    /// Neither shared nor small enough: the reader must read the archive.
    TooLarge,
}

/// The alerts of consecutive entries.
#[derive(Debug)]
pub(super) struct Block {
    entries: Vec<Arc<EntryAlerts>>,
    /// The last entry with alerts.
    pub(super) last: Seq,
    /// Size of the alerts, in bytes.
    pub(super) bytes: usize,
    by_filter: Mutex<Vec<Arc<FilteredMessages>>>,
}

/// The messages of a block for one filter.
#[derive(Debug)]
struct FilteredMessages {
    filter: Arc<Filter>,
    messages: EncodedMessages,
    /// How many of the block's entries are encoded.
    entries: usize,
    /// The memory of the messages, counted for as long as they are kept.
    _in_use: MemoryInUse,
}

/// The limit on memory for alerts and messages, and how much of it is in use, in bytes.
#[derive(Debug, Clone)]
pub(super) struct MemoryBudget {
    pub(super) used: Arc<AtomicUsize>,
    pub(super) max: usize,
}

/// Bytes counted in a [`MemoryBudget`] until this is dropped.
#[derive(Debug)]
struct MemoryInUse {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl Block {
    /// `before` with further entries appended; messages that were already made are kept.
    pub(super) fn extended(
        before: Option<&Self>,
        added: impl IntoIterator<Item = EntryAlerts>,
    ) -> Self {
        let mut block =
            Self { entries: Vec::new(), last: Seq::ZERO, bytes: 0, by_filter: Mutex::default() };
        if let Some(before) = before {
            block.entries.clone_from(&before.entries);
            block.bytes = before.bytes;
            block.by_filter().clone_from(&before.by_filter());
        }
        for entry in added {
            block.bytes = block.bytes.saturating_add(entry.bytes());
            block.last = entry.entry;
            block.entries.push(Arc::new(entry));
        }
        block
    }

    /// The messages after a position, up to the end of the block.
    pub(super) fn read_after(
        &self,
        position: Position,
        filter: &Arc<Filter>,
        write: &WriteMessage,
        budget: &MemoryBudget,
    ) -> BlockRead {
        let is_room = budget.used.load(Ordering::Relaxed).saturating_add(self.bytes) <= budget.max;
        let is_large = self.bytes > OWN_MESSAGES_BYTES_MAX;
        let mut by_filter = self.by_filter();
        let found = by_filter
            .iter()
            .position(|kept| Arc::ptr_eq(&kept.filter, filter) || kept.filter == *filter);
        if let Some(kept) = found.and_then(|at| by_filter.get_mut(at)) {
            if kept.entries < self.entries.len() {
                if is_large && !is_room {
                    return BlockRead::TooLarge;
                }
                *kept = Arc::new(self.encode_rest(kept, write, budget));
            }
            return BlockRead::Messages(kept.messages.run_after(position));
        }
        if is_room && by_filter.len() < FILTERS_MAX {
            let none = FilteredMessages {
                filter: Arc::clone(filter),
                messages: EncodedMessages::default(),
                entries: 0,
                _in_use: MemoryInUse::count(budget, 0),
            };
            let kept = Arc::new(self.encode_rest(&none, write, budget));
            by_filter.push(Arc::clone(&kept));
            return BlockRead::Messages(kept.messages.run_after(position));
        }
        drop(by_filter);
        if is_large {
            return BlockRead::TooLarge;
        }
        let unread = self.entries.partition_point(|entry| entry.entry <= position.entry);
        let entries = self.entries.iter().skip(unread).map(AsRef::as_ref);
        let own = EncodedMessages::default().extended(entries, filter, write);
        BlockRead::Messages(own.run_after(position))
    }

    /// Encodes the entries that `kept` does not have yet.
    fn encode_rest(
        &self,
        kept: &FilteredMessages,
        write: &WriteMessage,
        budget: &MemoryBudget,
    ) -> FilteredMessages {
        let entries = self.entries.iter().skip(kept.entries).map(AsRef::as_ref);
        let messages = kept.messages.extended(entries, &kept.filter, write);
        FilteredMessages {
            filter: Arc::clone(&kept.filter),
            _in_use: MemoryInUse::count(budget, messages.bytes()),
            messages,
            entries: self.entries.len(),
        }
    }

    fn by_filter(&self) -> MutexGuard<'_, Vec<Arc<FilteredMessages>>> {
        self.by_filter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryInUse {
    fn count(budget: &MemoryBudget, bytes: usize) -> Self {
        budget.used.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, used: Arc::clone(&budget.used) }
    }
}

impl Drop for MemoryInUse {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
