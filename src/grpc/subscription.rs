//! One subscription: a reader's steps as messages, with heartbeats in between and a goodbye at the end.

use super::alert_service::{decode, read};
use super::api::Api;
use super::limits::StreamPermit;
use super::parse::{self, Subscribe};
use super::pb::{self, subscribe_response::Message};
use super::{render, status};
use crate::archive::Record;
use crate::domain::update::Position;
use crate::domain::{Filter, Seq};
use crate::engine::State;
use crate::fanout::{Reader, Step};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::Status;

/// The messages of one subscription.
pub(super) type SubscribeStream =
    Pin<Box<dyn Stream<Item = Result<pb::SubscribeResponse, Status>> + Send>>;

/// How long a reader that is sent away should wait before it comes again.
const RECONNECT_AFTER_MS: u32 = 1000;
/// Alerts in one message of a snapshot.
const SNAPSHOT_ALERTS: usize = 256;

/// Where the stream begins.
enum Begin {
    /// After a place.
    After(Position),
    /// With what is open now.
    Snapshot,
    /// With a word that the cursor is lost, then what is open now.
    Reset,
}

/// Checks the request and opens the stream.
pub(super) fn open(
    api: &Arc<Api>,
    request: &pb::SubscribeRequest,
    permit: StreamPermit,
) -> Result<SubscribeStream, Status> {
    let wanted = parse::subscribe(request)?;
    if api.drain.is_cancelled() {
        return Err(status::draining());
    }
    let begin = begin(api, &wanted)?;
    Ok(Box::pin(messages(Arc::clone(api), begin, wanted, permit)))
}

fn begin(api: &Api, wanted: &Subscribe) -> Result<Begin, Status> {
    match &wanted.start {
        parse::Start::Snapshot => Ok(Begin::Snapshot),
        parse::Start::Head => Ok(Begin::After(Position::at(api.view.head()))),
        parse::Start::Oldest => Ok(Begin::After(Position::at(api.view.archive().oldest()))),
        parse::Start::Cursor(text) => {
            let lost = |status: Status| {
                let gap = status.code() == tonic::Code::OutOfRange;
                if gap && wanted.reset_on_gap { Ok(Begin::Reset) } else { Err(status) }
            };
            match api.position("cursor", text) {
                Ok(position) if position.entry < api.view.archive().oldest() => {
                    lost(api.lost(text))
                }
                Ok(position) => Ok(Begin::After(position)),
                Err(status) => lost(status),
            }
        }
    }
}

fn messages(
    api: Arc<Api>,
    begin: Begin,
    wanted: Subscribe,
    permit: StreamPermit,
) -> impl Stream<Item = Result<pb::SubscribeResponse, Status>> {
    async_stream::try_stream! {
        // Given back when the stream ends, however it ends.
        let _permit = permit;
        let after = match begin {
            Begin::After(position) => {
                yield opened(&api, api.cursor_at(position), position);
                position
            }
            Begin::Snapshot | Begin::Reset => {
                let (entry, open) = api.view.look(|state: &State| (state.seq(), state.open_alerts()));
                api.reach(entry).await?;
                // Without a cursor: who resumed from it would miss the rest of the snapshot.
                yield opened(&api, String::new(), Position::at(entry));
                if matches!(begin, Begin::Reset) {
                    yield reset(&api);
                }
                let records = snapshot(&api, open.into_iter().collect(), &wanted.filter).await?;
                for part in records.chunks(SNAPSHOT_ALERTS) {
                    yield alerts(String::new(), part, false, true);
                }
                let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
                let end = Message::SnapshotEnd(pb::SnapshotEnd { count });
                yield message(api.cursor(entry), end);
                Position::at(entry)
            }
        };
        let (ring, archive) = (Arc::clone(api.view.ring()), api.view.archive().clone());
        let mut reader = Reader::new(ring, archive, wanted.filter, after);
        let every = Duration::from_secs(u64::from(wanted.heartbeat_seconds));
        // The runtime's time, not the journal's: a heartbeat says that the stream lives.
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                biased;
                () = api.drain.cancelled() => {
                    yield go_away(&api, reader.position());
                    break;
                }
                _ = heartbeat.tick() => {
                    yield beat(&api, &reader);
                    continue;
                }
                next = reader.next() => next.map_err(|error| status::archive(&error)),
                // Last: everything before the damage is handed over first.
                trouble = api.view.damaged() => Err(status::trouble(&trouble)),
            };
            let step = next?;
            let cursor = api.cursor_at(reader.position());
            yield match step {
                Step::Alerts { records, more } => alerts(cursor, &records, more, false),
                Step::CaughtUp => message(cursor, Message::CaughtUp(pb::CaughtUp {})),
                Step::FellBehind { entries } => {
                    message(cursor, Message::FellBehind(pb::FellBehind { entries }))
                }
            };
        }
    }
}

/// The latest alerts of open episodes that the filter wants, by sequence.
async fn snapshot(api: &Api, open: Vec<u64>, filter: &Filter) -> Result<Vec<Record>, Status> {
    let mut records = read(&api.view, move |archive| archive.get_many(&open)).await?;
    records.retain(|record| filter.wants(&record.facets));
    Ok(records)
}

fn message(cursor: String, message: Message) -> pb::SubscribeResponse {
    pb::SubscribeResponse { cursor, message: Some(message) }
}

fn alerts(cursor: String, records: &[Record], more: bool, snapshot: bool) -> pb::SubscribeResponse {
    let alerts = records.iter().map(decode).collect();
    message(cursor, Message::Alerts(pb::Alerts { alerts, more, snapshot }))
}

fn opened(api: &Api, cursor: String, start: Position) -> pb::SubscribeResponse {
    let policy =
        api.view.look(|state| state.adopted().map_or(Seq::ZERO, |adopted| adopted.version));
    let opened = pb::Opened {
        start_cursor: api.cursor_at(start),
        head_cursor: api.cursor(api.view.head()),
        server_time: Some(render::timestamp(api.clock.now())),
        policy_version: policy.0,
    };
    message(cursor, Message::Opened(opened))
}

fn beat(api: &Api, reader: &Reader) -> pb::SubscribeResponse {
    let beat = pb::Heartbeat {
        head_cursor: api.cursor(reader.head()),
        server_time: Some(render::timestamp(api.clock.now())),
    };
    message(api.cursor_at(reader.position()), Message::Heartbeat(beat))
}

fn go_away(api: &Api, position: Position) -> pb::SubscribeResponse {
    let reason = pb::GoAwayReason::Drain.into();
    let away = pb::GoAway { reason, reconnect_after_ms: RECONNECT_AFTER_MS };
    message(api.cursor_at(position), Message::GoAway(away))
}

fn reset(api: &Api) -> pb::SubscribeResponse {
    let reset = pb::Reset {
        oldest_cursor: api.cursor(api.view.archive().oldest()),
        head_cursor: api.cursor(api.view.head()),
    };
    message(String::new(), Message::Reset(reset))
}
