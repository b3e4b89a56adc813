//! One subscription: the events of a reader as frames, with heartbeats in between and a `GoAway` at
//! the end.

use super::snapshot::SnapshotReader;
use super::stream_timer::{StreamTimer, TimerEvent};
use crate::access::Revocation;
use crate::archive::AlertRecord;
use crate::fanout::{Reader, ReaderEvent};
use crate::grpc::admission::Peer;
use crate::grpc::backend::Api;
use crate::grpc::codec::frames::{frame, write_alerts};
use crate::grpc::codec::parse::{self, StartPoint, SubscribeParams};
use crate::grpc::codec::render;
use crate::grpc::pb::{self, subscribe_response::Message};
use crate::grpc::status;
use crate::grpc::transport::Deadline;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use lodewatch_core::domain::Seq;
use lodewatch_core::domain::update::Position;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

/// How long a reader should wait after a `GoAway` before it reconnects.
const RECONNECT_AFTER_MS: u32 = 1000;

/// Where the stream begins, once its cursor is resolved.
enum StreamStart {
    After(Position),
    /// With the episodes that are open now.
    Snapshot,
    /// With a message that the cursor is lost, then like `Snapshot`.
    Reset,
}

/// Checks the request and opens the stream of its frames.
pub(in crate::grpc) async fn subscribe(
    api: &Arc<Api>,
    request: &Request<pb::SubscribeRequest>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + use<>, Status> {
    let wanted = parse::subscribe(request.get_ref())?;
    let every = Duration::from_secs(u64::from(wanted.heartbeat_seconds));
    let deadline = Deadline::of(request.extensions());
    let timer = StreamTimer::new(Instant::now(), every, deadline, api.stream_age_max);
    if api.drain.is_cancelled() {
        return Err(status::draining());
    }
    let start = resolve_start(api, &wanted).await?;
    let peer = Peer::of(request.extensions());
    let reading = (peer.name(), peer.revocation());
    Ok(frames(Arc::clone(api), start, wanted, timer, reading))
}

async fn resolve_start(api: &Api, wanted: &SubscribeParams) -> Result<StreamStart, Status> {
    match &wanted.start {
        StartPoint::Snapshot => Ok(StreamStart::Snapshot),
        StartPoint::Head => Ok(StreamStart::After(Position::at(api.view.applied()))),
        StartPoint::Oldest => Ok(StreamStart::After(Position::at(api.view.archive().oldest()))),
        StartPoint::Cursor(text) => {
            let lost = |status: Status| {
                let gap = status.code() == tonic::Code::OutOfRange;
                if gap && wanted.reset_on_gap { Ok(StreamStart::Reset) } else { Err(status) }
            };
            match api.resolve_cursor("cursor", text).await {
                Ok(position) if position.entry < api.view.archive().oldest() => {
                    lost(api.cursor_lost(text))
                }
                Ok(position) => Ok(StreamStart::After(position)),
                Err(status) => lost(status),
            }
        }
    }
}

fn frames(
    api: Arc<Api>,
    start: StreamStart,
    wanted: SubscribeParams,
    mut timer: StreamTimer,
    (name, revocation): (Arc<str>, Revocation),
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    async_stream::try_stream! {
        let filter = Arc::new(wanted.filter);
        let after = match start {
            StreamStart::After(position) => {
                yield opened(&api, api.cursor_at(position), position);
                position
            }
            StreamStart::Snapshot | StreamStart::Reset => {
                let (entry, open) = api.open_alerts.get(&api.view);
                api.wait_until_applied(entry).await?;
                // Without a cursor: resuming from it would miss the rest of the snapshot.
                yield opened(&api, String::new(), Position::at(entry));
                if matches!(start, StreamStart::Reset) {
                    yield reset(&api);
                }
                let mut snapshot = SnapshotReader::new(open, Arc::clone(&filter));
                let mut count = 0_u64;
                while let Some(records) = snapshot.next(&api).await? {
                    count = count.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
                    yield snapshot_part(&records);
                }
                let end = Message::SnapshotEnd(pb::SnapshotEnd { count });
                yield message(api.cursor(entry), end);
                Position::at(entry)
            }
        };
        let (ring, archive) = (Arc::clone(api.view.ring()), api.view.archive().clone());
        let mut reader = Reader::new(ring, archive, filter, after);
        let mut must_go = Box::pin(wait_for_go_away(api.drain.clone(), revocation.clone()));
        loop {
            if let Some(reason) = go_away_reason(&api, &revocation) {
                yield go_away(&api, reader.position(), reason);
                break;
            }
            // Asked first: a reader that lags always has a next event.
            let step = if timer.is_due(Instant::now()) {
                None
            } else {
                tokio::select! {
                    biased;
                    step = reader.next() => Some(step.map_err(|error| status::archive(&error))),
                    () = timer.wait() => None,
                    () = &mut must_go => continue,
                    // Last: every entry before the damage is delivered first.
                    stall = api.view.stopped() => Some(Err(status::stalled(&stall))),
                }
            };
            match step {
                Some(step) => yield encode_event(&api, &reader, &name, step?),
                None => match timer.take_event(Instant::now()) {
                    TimerEvent::Nothing => {}
                    TimerEvent::Heartbeat => yield heartbeat(&api, &reader),
                    TimerEvent::Deadline => Err(status::deadline())?,
                    TimerEvent::MaxAge => {
                        yield go_away(&api, reader.position(), pb::GoAwayReason::MaxAge);
                        break;
                    }
                },
            }
        }
    }
}

/// Why the reader must reconnect; `None` where it may stay.
fn go_away_reason(api: &Api, revocation: &Revocation) -> Option<pb::GoAwayReason> {
    if api.drain.is_cancelled() {
        return Some(pb::GoAwayReason::Drain);
    }
    revocation.is_revoked().then_some(pb::GoAwayReason::Credentials)
}

/// Waits until the server drains, or the credentials of the reader are revoked.
async fn wait_for_go_away(drain: CancellationToken, revocation: Revocation) {
    tokio::select! {
        () = drain.cancelled() => {}
        () = revocation.revoked() => {}
    }
}

fn encode_event(api: &Api, reader: &Reader, name: &str, step: ReaderEvent) -> Bytes {
    let event = |what| message(api.cursor_at(reader.position()), what);
    match step {
        ReaderEvent::Messages(messages) => {
            let waited = messages.since.map(|since| since.elapsed());
            api.metrics.delivery.count_delivery(messages.messages, messages.alerts, waited);
            for trace in messages.traces {
                trace.record_delivery(name);
            }
            messages.bytes
        }
        ReaderEvent::CaughtUp => event(Message::CaughtUp(pb::CaughtUp {})),
        ReaderEvent::FellBehind { entries } => {
            api.metrics.delivery.count_fell_behind();
            event(Message::FellBehind(pb::FellBehind { entries }))
        }
    }
}

fn message(cursor: String, message: Message) -> Bytes {
    frame(&pb::SubscribeResponse { cursor, message: Some(message) })
}

fn snapshot_part(records: &[AlertRecord]) -> Bytes {
    let mut bytes = BytesMut::new();
    let rest = pb::Alerts { snapshot: true, ..pb::Alerts::default() };
    write_alerts(&mut bytes, String::new(), &records.iter().collect::<Vec<_>>(), &rest);
    bytes.freeze()
}

fn opened(api: &Api, cursor: String, start: Position) -> Bytes {
    let policy =
        api.view.read_state(|state| state.adopted().map_or(Seq::ZERO, |adopted| adopted.version));
    let opened = pb::Opened {
        start_cursor: api.cursor_at(start),
        head_cursor: api.cursor(api.view.applied()),
        server_time: Some(render::timestamp(api.clock.now())),
        policy_version: policy.0,
    };
    message(cursor, Message::Opened(opened))
}

fn heartbeat(api: &Api, reader: &Reader) -> Bytes {
    let is_reachable = *api.journal.reachable().borrow();
    let heartbeat = pb::Heartbeat {
        head_cursor: if is_reachable { api.cursor(reader.applied()) } else { String::new() },
        server_time: Some(render::timestamp(api.clock.now())),
        journal_unreachable: !is_reachable,
    };
    message(api.cursor_at(reader.position()), Message::Heartbeat(heartbeat))
}

fn go_away(api: &Api, position: Position, reason: pb::GoAwayReason) -> Bytes {
    let away = pb::GoAway { reason: reason.into(), reconnect_after_ms: RECONNECT_AFTER_MS };
    message(api.cursor_at(position), Message::GoAway(away))
}

fn reset(api: &Api) -> Bytes {
    let reset = pb::Reset {
        oldest_cursor: api.cursor(api.view.archive().oldest()),
        head_cursor: api.cursor(api.view.applied()),
    };
    message(String::new(), Message::Reset(reset))
}
