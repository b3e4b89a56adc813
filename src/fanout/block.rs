//! A run of entries, and its messages for each filter that was asked for: made by the first who asks, shared by all.

use super::messages::{Frame, Messages, Slice, Write};
use crate::domain::update::Position;
use crate::domain::{Filter, Seq};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many filters a block keeps messages for. A reader with one more makes its own, of what it has not read yet.
const VIEWS_MAX: usize = 16;

/// The alerts of some entries that follow each other.
#[derive(Debug)]
pub(super) struct Block {
    frames: Vec<Arc<Frame>>,
    /// The last entry with alerts.
    pub(super) last: Seq,
    /// Size of the alerts, in bytes.
    pub(super) bytes: usize,
    views: Mutex<Vec<Arc<View>>>,
}

/// Messages of a block for one filter.
#[derive(Debug)]
struct View {
    filter: Arc<Filter>,
    messages: Messages,
    /// How many of the block's frames are in.
    frames: usize,
    /// What it adds to the memory in use, for as long as it is kept.
    _memory: Memory,
}

/// Bytes of a count that others share; taken off it when dropped.
#[derive(Debug)]
struct Memory {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

/// The memory for messages: how much is in use, and how much may be, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) used: Arc<AtomicUsize>,
    pub(super) max: usize,
}

impl Block {
    /// The block with further entries behind its own; messages already made are kept.
    pub(super) fn with(before: Option<&Self>, frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut block =
            Self { frames: Vec::new(), last: Seq::ZERO, bytes: 0, views: Mutex::default() };
        if let Some(before) = before {
            block.frames.clone_from(&before.frames);
            block.bytes = before.bytes;
            block.views().clone_from(&before.views());
        }
        for frame in frames {
            block.bytes = block.bytes.saturating_add(frame.bytes());
            block.last = frame.entry;
            block.frames.push(Arc::new(frame));
        }
        block
    }

    /// The messages after a place, up to the end of the block; `None` where the filter wants nothing of that.
    pub(super) fn after(
        &self,
        position: Position,
        filter: &Arc<Filter>,
        write: &Write,
        budget: &Budget,
    ) -> Option<Slice> {
        let mut views = self.views();
        let found = views
            .iter()
            .position(|view| Arc::ptr_eq(&view.filter, filter) || view.filter == *filter);
        if let Some(view) = found.and_then(|at| views.get_mut(at)) {
            if view.frames < self.frames.len() {
                *view = Arc::new(self.extend(view, write, budget));
            }
            return view.messages.after(position);
        }
        let is_room = views.len() < VIEWS_MAX
            && budget.used.load(Ordering::Relaxed).saturating_add(self.bytes) <= budget.max;
        if is_room {
            let none = View {
                filter: Arc::clone(filter),
                messages: Messages::default(),
                frames: 0,
                _memory: Memory::take(budget, 0),
            };
            let view = Arc::new(self.extend(&none, write, budget));
            views.push(Arc::clone(&view));
            return view.messages.after(position);
        }
        drop(views);
        let unread = self.frames.partition_point(|frame| frame.entry <= position.entry);
        let frames = self.frames.iter().skip(unread).map(AsRef::as_ref);
        Messages::default().with(frames, filter, write).after(position)
    }

    fn extend(&self, view: &View, write: &Write, budget: &Budget) -> View {
        let frames = self.frames.iter().skip(view.frames).map(AsRef::as_ref);
        let messages = view.messages.with(frames, &view.filter, write);
        View {
            filter: Arc::clone(&view.filter),
            _memory: Memory::take(budget, messages.bytes()),
            messages,
            frames: self.frames.len(),
        }
    }

    fn views(&self) -> MutexGuard<'_, Vec<Arc<View>>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn take(budget: &Budget, bytes: usize) -> Self {
        budget.used.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, of: Arc::clone(&budget.used) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
