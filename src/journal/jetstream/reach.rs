//! Whether the stream answers, and whether it is still the one that was read.
//!
//! A consumer can go on living on a server that is cut off from the others, and say nothing for ever. So the stream's leader,
//! which alone knows where the stream ends, is asked every second.

use super::super::Damage;
use super::message::Mark;
use super::proof;
use super::stream::Store;
use super::window::Window;
use crate::config::JetStream as Settings;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often the leader is asked.
const EVERY: Duration = Duration::from_secs(1);

/// So many answers in a row must show that messages are lost: a new leader may answer before it has caught up.
const LOST_ANSWERS: u32 = 10;

/// Every so many answers the durability is proved again.
const PROVE_EVERY: u32 = 60;

/// What asks.
pub(super) struct Watcher {
    pub(super) store: Store,
    pub(super) window: Arc<Window>,
    pub(super) settings: Settings,
    pub(super) reach: watch::Sender<bool>,
    pub(super) is_proven: watch::Sender<bool>,
}

impl Watcher {
    /// Asks until the stream is lost.
    pub(super) async fn run(self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The start has proved it just now.
        let (mut answers, mut lost) = (1_u32, 0_u32);
        loop {
            every.tick().await;
            let mark = *self.window.mark().borrow();
            let info = match self.store.info().await {
                Ok(info) => info,
                Err(error) => {
                    if self.reach.send_replace(false) {
                        tracing::error!(%error, "the journal is out of reach; what is known is served on");
                    }
                    continue;
                }
            };
            if !self.store.is_same(&info) {
                return self.end(mark, "another stream has its name".to_owned());
            }
            let (end, read) = (info.state.last_sequence, mark.message);
            if end >= read {
                lost = 0;
                if !self.reach.send_replace(true) {
                    tracing::info!("the journal is in reach again");
                }
                if answers.is_multiple_of(PROVE_EVERY) {
                    self.prove(&info).await;
                }
                answers = answers.wrapping_add(1);
                continue;
            }
            lost = lost.saturating_add(1);
            self.reach.send_replace(false);
            if lost >= LOST_ANSWERS {
                let what = format!("it ends with message {end}, although message {read} was read");
                return self.end(mark, what);
            }
        }
    }

    /// Nothing that is read from now on would be the journal that was read.
    fn end(&self, mark: Mark, what: String) {
        tracing::error!(what, "the journal is lost");
        self.reach.send_replace(false);
        self.window.end(self.store.damaged(mark.entry.next(), Damage::Replaced(what)));
    }

    /// Proves the durability again, and tells when the answer is another one.
    async fn prove(&self, info: &async_nats::jetstream::stream::Info) {
        let doubts = proof::doubts(&self.store, info, &self.settings.monitors).await;
        let is_proven = doubts.is_empty();
        if self.is_proven.send_replace(is_proven) == is_proven {
            return;
        }
        if is_proven {
            tracing::info!("every write is durable before it is acknowledged: proved");
        } else {
            let doubts = doubts.join("; ");
            tracing::error!(doubts, "what is acknowledged may be lost with the power");
        }
    }
}
