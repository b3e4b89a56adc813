//! Watches whether the stream answers, and whether it is still the stream that was read.
//!
//! A consumer can live on, silent for ever, on a server that is cut off from the others. So this
//! task asks the stream's leader every second, which alone knows where the stream ends. A server
//! that has lost the others still answers although it can store nothing; what it reports of its
//! peers reveals that.

use super::super::error::{Damage, Error};
use super::durability;
use super::message::StreamPosition;
use super::recent_groups::RecentGroups;
use super::stream::StreamClient;
use crate::config::JetStream as Settings;
use async_nats::jetstream::stream::{Info, PeerInfo};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often the leader is asked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How many answers in a row must show lost messages: a new leader may answer before it has caught
/// up.
const LOSS_ANSWERS_MIN: u32 = 10;

/// A server that the leader has not heard of for this long, five heartbeats, stores nothing.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// After how many answers the durability is verified again.
const DURABILITY_CHECK_ANSWERS: u32 = 60;

pub(super) struct StreamMonitor {
    pub(super) client: StreamClient,
    pub(super) recent: Arc<RecentGroups>,
    pub(super) settings: Settings,
    pub(super) reachable_tx: watch::Sender<bool>,
    pub(super) durability_tx: watch::Sender<bool>,
}

impl StreamMonitor {
    /// Asks until the stream is lost.
    pub(super) async fn run(self) {
        let mut interval = tokio::time::interval(CHECK_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The start has just verified the durability.
        let (mut answers, mut losses) = (1_u32, 0_u32);
        loop {
            interval.tick().await;
            let position = *self.recent.position().borrow();
            let asked = self.client.fetch_info().await;
            let info = match asked.and_then(|info| self.require_majority(info)) {
                Ok(info) => info,
                Err(error) => {
                    if self.reachable_tx.send_replace(false) {
                        tracing::error!(
                            %error,
                            "the journal is unreachable; still serving what was read"
                        );
                    }
                    continue;
                }
            };
            if !self.client.is_same_stream(&info) {
                return self.end(position, "another stream has its name".to_owned());
            }
            let (last, read) = (info.state.last_sequence, position.message);
            if last >= read {
                losses = 0;
                if !self.reachable_tx.send_replace(true) {
                    tracing::info!("the journal is reachable again");
                }
                if answers.is_multiple_of(DURABILITY_CHECK_ANSWERS) {
                    self.verify_durability(&info).await;
                }
                answers = answers.wrapping_add(1);
                continue;
            }
            losses = losses.saturating_add(1);
            self.reachable_tx.send_replace(false);
            if losses >= LOSS_ANSWERS_MIN {
                let cause =
                    format!("its last message is {last}, but message {read} was read before");
                return self.end(position, cause);
            }
        }
    }

    /// The leader's report, where a majority of the servers that store the stream are connected, so
    /// that something can be appended.
    fn require_majority(&self, info: Info) -> Result<Info, Error> {
        // A server without a cluster reports none.
        let Some(cluster) = &info.cluster else { return Ok(info) };
        let is_connected = |peer: &&PeerInfo| !peer.offline && peer.active < PEER_TIMEOUT;
        let others = cluster.replicas.len();
        let followers = cluster.replicas.iter().filter(is_connected).count();
        if cluster.leader.is_some() && followers >= others.div_ceil(2) {
            return Ok(info);
        }
        Err(self
            .client
            .unreachable(&"no majority of the servers that store the stream is connected"))
    }

    /// Ends the journal: nothing that is read from now on would belong to the journal that was
    /// read.
    fn end(&self, position: StreamPosition, cause: String) {
        tracing::error!(cause, "the journal's stream was replaced or has lost messages");
        self.reachable_tx.send_replace(false);
        self.recent.end(self.client.damaged(position.entry.next(), Damage::Replaced(cause)));
    }

    /// Verifies the durability again, and logs a change.
    async fn verify_durability(&self, info: &Info) {
        let faults = durability::find_faults(&self.client, info, &self.settings.monitors).await;
        let is_verified = faults.is_empty();
        if self.durability_tx.send_replace(is_verified) == is_verified {
            return;
        }
        if is_verified {
            tracing::info!("durability verified: every server syncs every write");
        } else {
            let faults = faults.join("; ");
            tracing::error!(
                faults,
                "durability not verified: acknowledged writes may be lost on power failure"
            );
        }
    }
}
