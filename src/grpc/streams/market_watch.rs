//! One watch of markets: those that changed since they were sent last, looked up when the reader is
//! ready for them.
//!
//! ```text
//! new head ─► reader ready? ─► the newest snapshot ─► markets that changed ─► one message
//!                  ▲───────────────── more changed ◄─────────────────────────────┘
//! ```
//!
//! Architecture invariant: nothing is queued. Between two messages a stream keeps a digest of each
//! market that it sent, and no snapshot; values that were replaced before the reader was ready are
//! never sent.

use super::stream_timer::max_age;
use crate::access::Revocation;
use crate::grpc::backend::{Api, MarketSnapshot, market_digest};
use crate::grpc::codec::pages::Page;
use crate::grpc::codec::parse::WatchMarketsParams;
use crate::grpc::codec::render::unknown_market;
use crate::grpc::transport::Deadline;
use crate::grpc::{pb, status};
use futures_core::Stream;
use lodewatch_core::domain::MarketKey;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tonic::Status;

pub(in crate::grpc) type WatchStream =
    Pin<Box<dyn Stream<Item = Result<pb::WatchMarketsResponse, Status>> + Send>>;

/// Markets of one message.
const MARKETS_MAX: usize = 100;

/// A market with its digest.
type KeyedMarket = (MarketKey, u128, pb::Market);

/// What was sent on a stream.
#[derive(Default)]
struct SentMarkets {
    /// The digest of each market as it was sent last.
    digests: BTreeMap<MarketKey, u128>,
    /// The markets that were sent since the last message without `more`: each once, so that a
    /// reader that is slower than the changes still gets to the end.
    round: BTreeSet<MarketKey>,
}

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
        let mut sent = SentMarkets::default();
        let mut due = true;
        let mut snapshot = first;
        loop {
            let (seq, next_at) = (snapshot.seq, snapshot.next_at);
            loop {
                let (markets, more) = next_markets(&wanted, &snapshot, &mut sent);
                let journal_time = Some(snapshot.journal_time);
                // A slow reader must not hold a snapshot meanwhile.
                let kept = Arc::downgrade(&snapshot);
                drop(snapshot);
                if due || !markets.is_empty() {
                    let cursor = api.cursor(seq);
                    yield pb::WatchMarketsResponse { cursor, markets, more, journal_time };
                    heartbeat.reset();
                    due = false;
                }
                if !more {
                    break;
                }
                snapshot = match kept.upgrade() {
                    Some(kept) => kept,
                    None => api.market_snapshots.get(&api.view, &wanted.destination, seq).await?,
                };
            }
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

/// The next markets that differ from what was sent last, as many as one message has, and whether
/// more follow in this round. From then on they count as sent. A market that is no longer known is
/// sent as unknown.
fn next_markets(
    wanted: &WatchMarketsParams,
    snapshot: &MarketSnapshot,
    sent: &mut SentMarkets,
) -> (Vec<pb::Market>, bool) {
    let gone = gone_markets(wanted, snapshot, sent);
    let requested = snapshot.markets.iter().filter(|(key, ..)| wanted.filter.covers(*key));
    let is_due = |(key, digest, _): &&KeyedMarket| {
        !sent.round.contains(key) && sent.digests.get(key) != Some(digest)
    };
    let mut due = requested.chain(&gone).filter(is_due).peekable();
    let page = Page::of_stream(MARKETS_MAX).fill(&mut due, |(.., market)| market.encoded_len());
    let more = due.peek().is_some();
    sent.digests.extend(page.iter().map(|(key, digest, _)| (*key, *digest)));
    if more {
        sent.round.extend(page.iter().map(|(key, ..)| *key));
    } else {
        sent.round.clear();
    }
    (page.into_iter().map(|(.., market)| market.clone()).collect(), more)
}

/// The markets that were sent and are no longer known.
fn gone_markets(
    wanted: &WatchMarketsParams,
    snapshot: &MarketSnapshot,
    sent: &SentMarkets,
) -> Vec<KeyedMarket> {
    let is_gone = |key: &&MarketKey| {
        snapshot.markets.binary_search_by_key(*key, |(known, ..)| *known).is_err()
    };
    let gone = sent.digests.keys().filter(is_gone).map(|key| {
        let market = unknown_market(&wanted.destination, *key);
        (*key, market_digest(&market), market)
    });
    gone.collect()
}
