//! One watch of markets: those that changed since they were sent last, looked up when the reader is
//! ready for them.
//!
//! ```text
//! new head ─► reader ready? ─► the newest snapshot ─► markets that changed ─► one message
//! ```
//!
//! Architecture invariant: nothing is queued. Between two messages a stream keeps a digest of each
//! market that it sent; values that were replaced before the reader was ready are never sent.

use super::stream_timer::max_age;
use crate::access::Revocation;
use crate::grpc::backend::{Api, MarketSnapshot, market_digest, viewpoint};
use crate::grpc::codec::parse::WatchMarketsParams;
use crate::grpc::transport::Deadline;
use crate::grpc::{pb, status};
use futures_core::Stream;
use lodewatch_core::domain::MarketKey;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tonic::Status;

pub(in crate::grpc) type WatchStream =
    Pin<Box<dyn Stream<Item = Result<pb::WatchMarketsResponse, Status>> + Send>>;

/// Markets of one message, so that it fits the usual limit of clients, 4 MiB.
const MARKETS_MAX: usize = 100;

/// The digest of each market as it was sent last.
type SentDigests = BTreeMap<MarketKey, u128>;

/// Sends every market of `first`, then those that change.
pub(in crate::grpc) fn watch_markets(
    api: Arc<Api>,
    wanted: WatchMarketsParams,
    first: Arc<MarketSnapshot>,
    revocation: Revocation,
    deadline: Deadline,
) -> WatchStream {
    let stream = async_stream::try_stream! {
        let mut over = pin!(deadline.passed());
        let mut aged = pin!(max_age(api.stream_age_max).passed());
        let mut head = api.view.ring().watch_applied();
        let every = Duration::from_secs(u64::from(wanted.heartbeat_seconds));
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = SentDigests::new();
        let mut due = true;
        let mut snapshot = first;
        loop {
            let (seq, next_at) = (snapshot.seq, snapshot.next_at);
            let changed = changed_markets(&api, &wanted, &snapshot, &sent)?;
            if due || !changed.is_empty() {
                for message in messages(&api, &snapshot, changed, &mut sent) {
                    yield message;
                    heartbeat.reset();
                }
            }
            // A slow reader must not hold a snapshot meanwhile.
            drop(snapshot);
            let newer = async {
                // The sender lives as long as the ring, which the view holds.
                let moved = head.wait_for(|head| *head > seq).await.map(|_| ());
                moved.expect("the ring holds the sender of its head");
                sleep_until(next_at).await;
            };
            due = tokio::select! {
                biased;
                () = api.drain.cancelled() => Err(status::draining()),
                () = revocation.revoked() => Err(status::credentials_revoked()),
                () = &mut over => Err(status::deadline()),
                () = &mut aged => Err(status::stream_aged()),
                () = newer => Ok(false),
                _ = heartbeat.tick() => Ok(true),
            }?;
            snapshot = api.market_snapshots.get(&api.view, &wanted.destination, seq).await?;
        }
    };
    Box::pin(stream)
}

/// The requested markets that differ from what was sent last. One that is no longer known is sent
/// as unknown.
fn changed_markets(
    api: &Api,
    wanted: &WatchMarketsParams,
    snapshot: &MarketSnapshot,
    sent: &SentDigests,
) -> Result<Vec<(MarketKey, u128, pb::Market)>, Status> {
    let requested = snapshot.markets.iter().filter(|(key, ..)| wanted.filter.covers(*key));
    let changed = requested.filter(|(key, digest, _)| sent.get(key) != Some(digest));
    let mut markets: Vec<_> = changed.cloned().collect();
    let is_gone = |key: &&MarketKey| {
        snapshot.markets.binary_search_by_key(*key, |(known, ..)| *known).is_err()
    };
    for key in sent.keys().filter(is_gone) {
        let market = api.view.read_state(|state| {
            Ok::<_, Status>(viewpoint(state, &wanted.destination)?.market(*key))
        })?;
        let digest = market_digest(&market);
        if sent.get(key) != Some(&digest) {
            markets.push((*key, digest, market));
        }
    }
    Ok(markets)
}

/// The markets as messages, at least one; from then on they count as sent.
fn messages(
    api: &Api,
    snapshot: &MarketSnapshot,
    changed: Vec<(MarketKey, u128, pb::Market)>,
    sent: &mut SentDigests,
) -> Vec<pb::WatchMarketsResponse> {
    sent.extend(changed.iter().map(|(key, digest, _)| (*key, *digest)));
    let mut markets = changed.into_iter().map(|(.., market)| market).peekable();
    let mut messages = Vec::new();
    while messages.is_empty() || markets.peek().is_some() {
        messages.push(pb::WatchMarketsResponse {
            cursor: api.cursor(snapshot.seq),
            markets: markets.by_ref().take(MARKETS_MAX).collect(),
            more: markets.peek().is_some(),
            journal_time: Some(snapshot.journal_time),
        });
    }
    messages
}
