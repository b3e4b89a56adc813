//! One watch of markets: what differs from what was sent last, looked up when the reader is ready for it.
//!
//! ```text
//! head rings ─► reader ready? ─► the newest board ─► markets unlike those sent last ─► one message
//! ```
//!
//! Architecture invariant: nothing is queued. Between two messages a stream keeps a digest of each market that it sent;
//! values that were overtaken before the reader was ready are never sent.

use super::api::Api;
use super::deadline::Deadline;
use super::limits::StreamPermit;
use super::market_board::{self, Board};
use super::market_service::viewpoint;
use super::parse::WatchMarkets;
use super::{pb, status};
use crate::access::Admission;
use crate::domain::MarketKey;
use futures_core::Stream;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tonic::Status;

/// The messages of one watch.
pub(super) type WatchStream =
    Pin<Box<dyn Stream<Item = Result<pb::WatchMarketsResponse, Status>> + Send>>;

/// Markets of one message, so that clients with the usual limit of 4 MiB can read it.
const MARKETS_MAX: usize = 100;

/// What a stream has sent of each market: a digest of its last value.
type Sent = BTreeMap<MarketKey, u128>;

/// Sends what is news, from everything on `first`.
pub(super) fn open(
    api: Arc<Api>,
    wanted: WatchMarkets,
    first: Arc<Board>,
    permit: StreamPermit,
    admission: Admission,
    deadline: Deadline,
) -> WatchStream {
    let stream = async_stream::try_stream! {
        // Given back when the stream ends, however it ends.
        let _permit = permit;
        let mut over = pin!(deadline.passed());
        let mut head = api.view.ring().watch_applied();
        let every = Duration::from_secs(u64::from(wanted.heartbeat_seconds));
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = Sent::new();
        let mut due = true;
        let mut board = first;
        loop {
            let (seq, next_at) = (board.seq, board.next_at);
            let news = news(&api, &wanted, &board, &sent)?;
            if due || !news.is_empty() {
                for message in messages(&api, &board, news, &mut sent) {
                    yield message;
                    heartbeat.reset();
                }
            }
            // A reader that is slow holds no board meanwhile.
            drop(board);
            let newer = async {
                // The sender lives as long as the ring, which the view holds.
                let rung = head.wait_for(|head| *head > seq).await.map(|_| ());
                rung.expect("the ring rings its own doorbell");
                sleep_until(next_at).await;
            };
            due = tokio::select! {
                biased;
                () = api.drain.cancelled() => Err(status::draining()),
                () = admission.ended() => Err(status::admission_ended()),
                () = &mut over => Err(status::deadline()),
                () = newer => Ok(false),
                _ = heartbeat.tick() => Ok(true),
            }?;
            board = api.boards.look(&api, &wanted.destination, seq)?;
        }
    };
    Box::pin(stream)
}

/// The markets asked for that are not as they were sent last. One that nothing is known of any more is unknown.
fn news(
    api: &Api,
    wanted: &WatchMarkets,
    board: &Board,
    sent: &Sent,
) -> Result<Vec<(MarketKey, u128, pb::Market)>, Status> {
    let asked_for = board.markets.iter().filter(|(key, ..)| wanted.filter.covers(*key));
    let changed = asked_for.filter(|(key, digest, _)| sent.get(key) != Some(digest));
    let mut news: Vec<_> = changed.cloned().collect();
    let is_gone =
        |key: &&MarketKey| board.markets.binary_search_by_key(*key, |(known, ..)| *known).is_err();
    for key in sent.keys().filter(is_gone) {
        let market = api
            .view
            .read_state(|state| Ok::<_, Status>(viewpoint(state, &wanted.destination)?.market(*key)))?;
        let digest = market_board::digest(&market);
        if sent.get(key) != Some(&digest) {
            news.push((*key, digest, market));
        }
    }
    Ok(news)
}

/// The news as messages, at least one; they count as sent.
fn messages(
    api: &Api,
    board: &Board,
    news: Vec<(MarketKey, u128, pb::Market)>,
    sent: &mut Sent,
) -> Vec<pb::WatchMarketsResponse> {
    sent.extend(news.iter().map(|(key, digest, _)| (*key, *digest)));
    let mut markets = news.into_iter().map(|(.., market)| market).peekable();
    let mut messages = Vec::new();
    while messages.is_empty() || markets.peek().is_some() {
        messages.push(pb::WatchMarketsResponse {
            cursor: api.cursor(board.seq),
            markets: markets.by_ref().take(MARKETS_MAX).collect(),
            more: markets.peek().is_some(),
            journal_time: Some(board.journal_time),
        });
    }
    messages
}
