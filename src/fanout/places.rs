//! Where all readers stand, for those who ask how far they are behind.
//!
//! A reader that is not polled tells nothing by itself: a peer that does not read stops its stream. So everybody's place can be
//! looked at from outside. Moving one's own costs a store, and waits for nobody.

use crate::domain::Seq;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of all readers.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: BTreeMap<u64, Arc<AtomicU64>>,
}

/// The place of one reader, which is forgotten with it.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    entry: Arc<AtomicU64>,
}

impl Places {
    /// A place for one more reader, which has got as far as this entry.
    pub(super) fn take(&self, entry: Seq) -> Place {
        let mut taken = self.lock();
        let number = taken.next;
        taken.next = number.wrapping_add(1);
        let entry = Arc::new(AtomicU64::new(entry.0));
        taken.by_number.insert(number, Arc::clone(&entry));
        Place { number, entry }
    }

    /// Forgets a place.
    pub(super) fn leave(&self, place: &Place) {
        self.lock().by_number.remove(&place.number);
    }

    /// How far all readers have got.
    pub(super) fn entries(&self) -> Vec<Seq> {
        let taken = self.lock();
        taken.by_number.values().map(|entry| Seq(entry.load(Ordering::Relaxed))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The reader has got as far as this entry.
    pub(super) fn move_to(&self, entry: Seq) {
        self.entry.store(entry.0, Ordering::Relaxed);
    }
}
