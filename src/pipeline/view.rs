//! What the rest of the server sees of the pipeline.

use super::digest::Divergence;
use crate::archive;
use crate::fanout::Ring;
use crate::journal;
use lodewatch_core::domain::{Entry, Seq, Timestamp};
use lodewatch_core::engine::{AlertSink, State};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait before an operation is retried that failed on a full disk or an unreachable
/// journal.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// An entry that may cause more alerts than this is applied to a copy of the state. Below it,
/// readers wait for milliseconds; a copy of a large state takes as long.
const COPY_ALERTS_MIN: u64 = 20_000;

/// Why journal entries are not applied. Everything before them is served.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stall {
    /// The next entry is damaged and can never be applied.
    #[error(transparent)]
    Damaged(journal::Error),
    /// There is no space to archive the alerts; the entries are applied once there is.
    #[error(transparent)]
    Full(archive::Error),
    /// Another replica derived a different state from the journal: entries that are already applied
    /// may be wrong as well.
    #[error(transparent)]
    Diverged(Divergence),
}

impl Stall {
    /// Whether no further entry will be applied.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Diverged(_) => true,
            Self::Full(_) => false,
        }
    }
}

/// A handle to the state, the alerts and the progress of the pipeline. Cheap to clone.
#[derive(Clone)]
pub struct PipelineView {
    pub(super) state: Arc<RwLock<State>>,
    pub(super) ring: Arc<Ring>,
    pub(super) archive: archive::ArchiveReader,
    pub(super) next_deadline_rx: watch::Receiver<Option<Timestamp>>,
    pub(super) stall_rx: watch::Receiver<Option<Stall>>,
}

impl PipelineView {
    /// Reads the state. The pipeline waits meanwhile, so `read` must be quick.
    pub fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies the next entry. One that may cause many alerts is applied to a copy of the state, so
    /// that readers do not wait for it.
    pub(super) fn apply<T>(
        &self,
        entry: &Entry,
        sink: AlertSink<'_>,
        read: impl FnOnce(&State) -> T,
    ) -> T {
        let is_large = |state: &State| state.entry_alerts_max(entry) > COPY_ALERTS_MIN;
        let copy = self.read_state(|state| is_large(state).then(|| state.clone()));
        let lock = || self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(mut copy) = copy else {
            let mut state = lock();
            state.apply_with(entry, sink);
            return read(&state);
        };
        copy.apply_with(entry, sink);
        let result = read(&copy);
        let before = std::mem::replace(&mut *lock(), copy);
        drop(before);
        result
    }

    /// The alerts of the latest entries.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// All alerts. Calls block on the disk.
    pub fn archive(&self) -> &archive::ArchiveReader {
        &self.archive
    }

    /// The last entry that is applied and whose alerts can be read.
    pub fn applied(&self) -> Seq {
        self.ring.applied()
    }

    /// Waits until an entry is applied and its alerts can be read.
    ///
    /// # Errors
    ///
    /// The stall that keeps the entry from being applied.
    pub async fn wait_for(&self, entry: Seq) -> Result<(), Stall> {
        tokio::select! {
            biased;
            () = self.ring.wait_for(entry) => Ok(()),
            stall = self.wait_for_stall(|_| true) => Err(stall),
        }
    }

    /// Why entries are not applied; `None` if they are.
    pub fn stall(&self) -> Option<Stall> {
        self.stall_rx.borrow().clone()
    }

    /// Whether no further entry will be applied.
    pub fn is_stopped(&self) -> bool {
        self.stall_rx.borrow().as_ref().is_some_and(Stall::is_final)
    }

    /// The divergence, if another replica derived a different state: nothing here can then be
    /// trusted.
    pub fn divergence(&self) -> Option<Divergence> {
        match &*self.stall_rx.borrow() {
            Some(Stall::Diverged(divergence)) => Some(*divergence),
            Some(Stall::Damaged(_) | Stall::Full(_)) | None => None,
        }
    }

    /// Waits for a final stall: without end while the journal is intact.
    pub async fn stopped(&self) -> Stall {
        self.wait_for_stall(Stall::is_final).await
    }

    async fn wait_for_stall(&self, which: impl Fn(&Stall) -> bool) -> Stall {
        let mut stall_rx = self.stall_rx.clone();
        let found = stall_rx.wait_for(|stall| stall.as_ref().is_some_and(&which)).await;
        match found.map(|stall| stall.clone()) {
            Ok(Some(stall)) => stall,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until everything that is due by `now` is applied and its alerts can be read.
    pub async fn wait_for_due(&self, now: Timestamp) {
        let mut applied_rx = self.ring.watch_applied();
        let is_done = |applied: &Seq| {
            // The state is ahead of what can be read while an entry's alerts are being archived.
            let (seq, due) = self.read_state(|state| (state.seq(), state.next_deadline()));
            seq <= *applied && due.is_none_or(|due| due > now)
        };
        applied_rx.wait_for(is_done).await.expect("this view holds the ring, which sends");
    }
}
