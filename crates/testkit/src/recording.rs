//! Readers that record every message: one that implements the contract's loop by hand, and the
//! library's client.

use crate::PATIENCE;
use lodewatch_client::{Servers, StreamEvent, Subscription};
use lodewatch_core::domain::{Filter, Mineral};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{AlertFilter, Start, SubscribeRequest, SubscribeResponse};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tonic::Status;

/// Seconds between heartbeats.
const HEARTBEAT_SECONDS: u32 = 1;
/// Two missing heartbeats mean a dead stream.
const SILENCE: Duration = Duration::from_secs(2);
/// Minimum delay between two streams.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The messages of one stream.
#[derive(Debug, Default)]
pub struct Stream {
    /// The cursor it resumed from; empty: the start that the subscriber chose.
    pub from: String,
    pub messages: Vec<SubscribeResponse>,
    /// The arrival time of each.
    pub arrivals: Vec<Instant>,
    /// Its final status; `None` if the subscriber left.
    pub end: Option<Status>,
}

/// A subscriber's request, and everything that it received.
#[derive(Debug)]
pub struct Recording {
    pub minerals: Vec<&'static str>,
    pub start: Start,
    pub streams: Vec<Stream>,
}

impl Recording {
    /// The filter as the engine knows it.
    pub fn filter(&self) -> Filter {
        let minerals = self.minerals.iter().map(|name| Mineral::parse(name).unwrap()).collect();
        Filter { minerals, ..Filter::default() }
    }

    /// The longest time between two messages, across all streams.
    pub fn silence(&self) -> Duration {
        let arrivals: Vec<Instant> =
            self.streams.iter().flat_map(|stream| &stream.arrivals).copied().collect();
        arrivals.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
    }
}

/// A subscriber's filter and start.
#[derive(Debug, Clone)]
pub struct Wish {
    pub minerals: Vec<&'static str>,
    pub start: Start,
    /// For `Start::Cursor`.
    pub cursor: String,
}

impl Wish {
    pub fn all() -> Self {
        Self { minerals: Vec::new(), start: Start::Oldest, cursor: String::new() }
    }

    pub fn request(&self) -> SubscribeRequest {
        SubscribeRequest {
            filter: Some(AlertFilter {
                minerals: self.minerals.iter().map(ToString::to_string).collect(),
                ..AlertFilter::default()
            }),
            start: self.start.into(),
            cursor: self.cursor.clone(),
            heartbeat_seconds: HEARTBEAT_SECONDS,
            ..SubscribeRequest::default()
        }
    }

    fn recording(&self) -> Recording {
        Recording { minerals: self.minerals.clone(), start: self.start, streams: Vec::new() }
    }
}

/// The cursor at which all may leave; empty until it is known.
pub type End = watch::Receiver<String>;

/// The contract's loop, written by hand. Ends at the cursor `end`.
pub async fn by_hand(address: String, wish: Wish, mut end: End) -> Recording {
    let mut recording = wish.recording();
    let mut request = wish.request();
    let mut pace = interval(AGAIN_AFTER);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let mut stream = Stream { from: request.cursor.clone(), ..Stream::default() };
        let ended = read(&address, &request, &mut stream, &mut end).await;
        if let Some(cursor) =
            stream.messages.iter().map(|one| &one.cursor).rfind(|cursor| !cursor.is_empty())
        {
            request.start = Start::Cursor.into();
            request.cursor.clone_from(cursor);
        }
        stream.end = ended.err();
        let left = stream.end.is_none();
        recording.streams.push(stream);
        if left {
            return recording;
        }
    }
}

/// One stream, to its end or to the cursor at which to leave.
async fn read(
    address: &str,
    request: &SubscribeRequest,
    stream: &mut Stream,
    end: &mut End,
) -> Result<(), Status> {
    if !request.cursor.is_empty() && *end.borrow() == request.cursor {
        return Ok(());
    }
    let silent = |_: Elapsed| Status::unavailable("two heartbeats are missing");
    let opening = async {
        let channel = lodewatch_client::connect(address)
            .await
            .map_err(|e| Status::unavailable(e.to_string()))?;
        AlertServiceClient::new(channel).subscribe(request.clone()).await
    };
    let mut messages = timeout(SILENCE, opening).await.map_err(silent)??.into_inner();
    let mut at = request.cursor.clone();
    let mut last = Instant::now();
    loop {
        let message = tokio::select! {
            message = timeout_at(last + SILENCE, messages.message()) => message.map_err(silent)??,
            _ = end.changed() => {
                if *end.borrow_and_update() == at {
                    return Ok(());
                }
                continue;
            }
        };
        let message = message.ok_or_else(|| Status::unavailable("the stream ended"))?;
        last = Instant::now();
        at.clone_from(&message.cursor);
        stream.arrivals.push(last);
        stream.messages.push(message);
        if *end.borrow() == at && !at.is_empty() {
            return Ok(());
        }
    }
}

/// The library's subscription. Ends at the cursor `end`.
pub async fn by_client(address: String, wish: Wish, mut end: End) -> Recording {
    let mut recording = wish.recording();
    let servers = Servers::parse([address.as_str()]).unwrap();
    let mut subscription = Subscription::new(servers, wish.request());
    let mut stream = Stream { from: wish.cursor, ..Stream::default() };
    let mut at = String::new();
    loop {
        tokio::select! {
            next = subscription.next() => match next.unwrap() {
                StreamEvent::Message(message) => {
                    if !message.cursor.is_empty() {
                        at.clone_from(&message.cursor);
                    }
                    let away = matches!(message.message, Some(Message::GoAway(_)));
                    stream.arrivals.push(Instant::now());
                    stream.messages.push(*message);
                    if away {
                        let next = Stream { from: at.clone(), ..Stream::default() };
                        recording.streams.push(std::mem::replace(&mut stream, next));
                    }
                }
                StreamEvent::Disconnected(status) => {
                    stream.end = Some(status);
                    let next = Stream { from: at.clone(), ..Stream::default() };
                    recording.streams.push(std::mem::replace(&mut stream, next));
                }
            },
            changed = end.changed() => changed.unwrap(),
        }
        if *end.borrow() == at && !at.is_empty() {
            recording.streams.push(stream);
            return recording;
        }
    }
}

/// Waits for a recording, with a time limit.
pub async fn finish(reader: tokio::task::JoinHandle<Recording>) -> Recording {
    timeout(PATIENCE, reader).await.expect("a subscriber gets to the end in time").unwrap()
}
