//! One watch of markets: what differs from what was sent last, looked up when the reader is ready for it.
//!
//! ```text
//! head rings ─► reader ready? ─► the state as it is now ─► markets unlike those sent last ─► one message
//! ```
//!
//! Architecture invariant: nothing is queued. Between two moments a stream keeps a digest of each market that it sent; values
//! that were overtaken before the reader was ready were never made.

use super::api::Api;
use super::deadline::Deadline;
use super::limits::StreamPermit;
use super::market_service::{known_markets, viewpoint};
use super::parse::WatchMarkets;
use super::{pb, render, status};
use crate::domain::{MarketKey, Seq};
use futures_core::Stream;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Status;
use xxhash_rust::xxh3::xxh3_128;

/// The messages of one watch.
pub(super) type WatchStream =
    Pin<Box<dyn Stream<Item = Result<pb::WatchMarketsResponse, Status>> + Send>>;

/// Markets of one message, so that clients with the usual limit of 4 MiB can read it.
const MARKETS_MAX: usize = 100;

/// What a stream has sent of each market: a digest of its last value.
type Sent = BTreeMap<MarketKey, u128>;

/// The state at one moment, as far as it is news to a stream.
pub(super) struct News {
    seq: Seq,
    journal_time: prost_types::Timestamp,
    markets: Vec<(MarketKey, pb::Market)>,
}

/// Everything, as for a stream that has sent nothing.
///
/// # Errors
///
/// Where the policy in force does not know the destination.
pub(super) fn first(api: &Api, wanted: &WatchMarkets) -> Result<News, Status> {
    news(api, wanted, &Sent::new())
}

/// Sends what is news, from `first` on.
pub(super) fn open(
    api: Arc<Api>,
    wanted: WatchMarkets,
    first: News,
    permit: StreamPermit,
    deadline: Deadline,
) -> WatchStream {
    let stream = async_stream::try_stream! {
        // Given back when the stream ends, however it ends.
        let _permit = permit;
        let mut over = pin!(deadline.passed());
        let mut head = api.view.ring().head();
        let every = Duration::from_secs(u64::from(wanted.heartbeat_seconds));
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = Sent::new();
        let mut found = first;
        let mut due = true;
        loop {
            let seq = found.seq;
            if due || !found.markets.is_empty() {
                for message in messages(&api, found, &mut sent) {
                    yield message;
                    heartbeat.reset();
                }
            }
            due = tokio::select! {
                biased;
                () = api.drain.cancelled() => Err(status::draining()),
                () = &mut over => Err(status::deadline()),
                // The sender lives as long as the ring, which the view holds.
                _ = head.wait_for(|head| *head > seq) => Ok(false),
                _ = heartbeat.tick() => Ok(true),
            }?;
            found = news(&api, &wanted, &sent)?;
        }
    };
    Box::pin(stream)
}

/// The markets asked for that are not as they were sent last. One that nothing is known of any more is unknown.
fn news(api: &Api, wanted: &WatchMarkets, sent: &Sent) -> Result<News, Status> {
    api.view.look(|state| {
        let viewpoint = viewpoint(state, &wanted.destination)?;
        let known: BTreeSet<MarketKey> =
            known_markets(state).into_iter().chain(sent.keys().copied()).collect();
        let asked_for = known.into_iter().filter(|key| wanted.filter.covers(*key));
        let markets = asked_for.map(|key| (key, viewpoint.market(key)));
        Ok(News {
            seq: state.seq(),
            journal_time: render::timestamp(state.now()),
            markets: markets.filter(|(key, one)| sent.get(key) != Some(&digest(one))).collect(),
        })
    })
}

/// The news as messages, at least one; they count as sent.
fn messages(api: &Api, news: News, sent: &mut Sent) -> Vec<pb::WatchMarketsResponse> {
    sent.extend(news.markets.iter().map(|(key, market)| (*key, digest(market))));
    let mut markets = news.markets.into_iter().map(|(_, market)| market).peekable();
    let mut messages = Vec::new();
    while messages.is_empty() || markets.peek().is_some() {
        messages.push(pb::WatchMarketsResponse {
            cursor: api.cursor(news.seq),
            markets: markets.by_ref().take(MARKETS_MAX).collect(),
            more: markets.peek().is_some(),
            journal_time: Some(news.journal_time),
        });
    }
    messages
}

fn digest(market: &pb::Market) -> u128 {
    xxh3_128(&market.encode_to_vec())
}
