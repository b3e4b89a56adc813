//! Requests to a gRPC server, and a counter of the messages in its reply.

use crate::message::framed;
use bytes::{Buf, Bytes, BytesMut};
use lodewatch_proto::v1::{AlertFilter, Exercises, Start, SubscribeRequest};
use prost::Message;

/// The header of a message, in bytes.
pub(crate) const HEADER_BYTES: usize = 5;
/// Messages with alerts are larger than this, all others smaller, in bytes.
const ALERTS_BYTES_MIN: usize = 300;

/// A server-streaming call.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) path: &'static str,
    /// The message with its header.
    pub(crate) request: Bytes,
    pub(crate) counter: Counter,
}

impl Wanted {
    /// All alerts from a cursor on.
    pub(crate) fn alerts(start: Start) -> Self {
        let filter = AlertFilter { exercises: Exercises::Include.into(), ..AlertFilter::default() };
        let request = SubscribeRequest {
            start: start.into(),
            filter: Some(filter),
            ..SubscribeRequest::default()
        };
        Self {
            path: "/lodewatch.v1.AlertService/Subscribe",
            request: framed(&request.encode_to_vec()).into(),
            counter: Counter::Sizes(Sizes::default()),
        }
    }
}

/// Counts the messages of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Counter {
    /// Messages with alerts, recognised by their size.
    Sizes(Sizes),
    /// Alerts in messages, counted by a function.
    Contents { rest: BytesMut, count: fn(Bytes) -> usize },
}

impl Counter {
    /// Counted items that end in this data.
    pub(crate) fn count(&mut self, data: Bytes) -> usize {
        match self {
            Self::Sizes(sizes) => sizes.count(data),
            Self::Contents { rest, count } => {
                rest.extend_from_slice(&data);
                let mut found = 0;
                while let Some(length) = rest.get(1..HEADER_BYTES) {
                    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
                    if rest.len() < HEADER_BYTES + length {
                        break;
                    }
                    rest.advance(HEADER_BYTES);
                    found += count(rest.split_to(length).freeze());
                }
                found
            }
        }
    }
}

/// Finds the ends of messages without storing them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    header: Vec<u8>,
    /// Remaining bytes of the message, and whether it has alerts.
    rest: usize,
    alerts: bool,
}

impl Sizes {
    /// Messages with alerts that end in this data.
    fn count(&mut self, mut data: Bytes) -> usize {
        let mut found = 0;
        loop {
            let here = self.rest.min(data.len());
            data.advance(here);
            self.rest -= here;
            if self.rest > 0 || data.is_empty() {
                return found + usize::from(self.rest == 0 && std::mem::take(&mut self.alerts));
            }
            found += usize::from(std::mem::take(&mut self.alerts));
            while self.header.len() < HEADER_BYTES && data.has_remaining() {
                self.header.push(data.get_u8());
            }
            if let [_, length @ ..] = self.header.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.rest = u32::from_be_bytes(length) as usize;
                self.alerts = self.rest >= ALERTS_BYTES_MIN;
                self.header.clear();
            }
        }
    }
}
