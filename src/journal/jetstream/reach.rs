//! Whether the stream answers, and whether it is still the one that was read.
//!
//! A consumer can go on living on a server that is cut off from the others, and say nothing for ever. So the stream's leader,
//! which alone knows where the stream ends, is asked every second. A server that has lost the others answers all the same, though it
//! can take nothing: what it says of them tells.

use super::super::{Damage, Error};
use super::message::Mark;
use super::proof;
use super::stream::Store;
use super::window::Window;
use crate::config::JetStream as Settings;
use async_nats::jetstream::stream::{Info, PeerInfo};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often the leader is asked.
const EVERY: Duration = Duration::from_secs(1);

/// So many answers in a row must show that messages are lost: a new leader may answer before it has caught up.
const LOST_ANSWERS: u32 = 10;

/// A server that the leader has not heard of for so long, five heartbeats, acknowledges nothing.
const GONE: Duration = Duration::from_secs(5);

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
            let asked = self.store.info().await.and_then(|info| self.with_majority(info));
            let info = match asked {
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

    /// What is said of the stream, where most of the servers that keep it are together, so that something can be appended.
    fn with_majority(&self, info: Info) -> Result<Info, Error> {
        // A server by itself, without a cluster, says nothing of one.
        let Some(cluster) = &info.cluster else { return Ok(info) };
        let is_there = |peer: &&PeerInfo| !peer.offline && peer.active < GONE;
        let others = cluster.replicas.len();
        let followers = cluster.replicas.iter().filter(is_there).count();
        if cluster.leader.is_some() && followers >= others.div_ceil(2) {
            return Ok(info);
        }
        Err(self.store.unreachable(&"most of the servers that keep the stream are not together"))
    }

    /// Nothing that is read from now on would be the journal that was read.
    fn end(&self, mark: Mark, what: String) {
        tracing::error!(what, "the journal is lost");
        self.reach.send_replace(false);
        self.window.end(self.store.damaged(mark.entry.next(), Damage::Replaced(what)));
    }

    /// Proves the durability again, and tells when the answer is another one.
    async fn prove(&self, info: &Info) {
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
