//! Alerts and messages as bytes on the wire. A gRPC frame is a header of five bytes, then the
//! message. Each alert is encoded once, for the archive and for every subscriber.

use super::{render, tokens};
use crate::archive::AlertRecord;
use crate::grpc::pb;
use crate::pipeline::Encoding;
use bytes::{BufMut, Bytes, BytesMut};
use lodewatch_core::domain::update::{Cursor, Position};
use lodewatch_core::domain::{Alert, Epoch};
use prost::Message;
use prost::encoding::{self, WireType};
use std::sync::Arc;

/// One byte for "not compressed", four for the length.
const HEADER_BYTES: usize = 5;

/// Field number of `SubscribeResponse.alerts`.
const MESSAGE_ALERTS: u32 = 3;
/// Field number of `Alerts.alerts`.
const ALERTS: u32 = 1;

/// How the pipeline encodes alerts, and messages of alerts, for the journal of this epoch.
pub fn encoding(epoch: Epoch) -> Encoding {
    let cursor = move |position| tokens::render_cursor(&Cursor { epoch, position });
    Encoding {
        alert: Box::new(move |alert: &Alert| {
            let cursor = cursor(Position::at(alert.entry));
            let bytes = render::alert(alert, &cursor).encode_to_vec();
            debug_assert!(bytes.len() <= render::ALERT_BYTES_MAX, "{} bytes", bytes.len());
            bytes.into()
        }),
        message: Arc::new(move |bytes, records, end| {
            let rest = pb::Alerts { more: end.alerts > 0, ..pb::Alerts::default() };
            write_alerts(bytes, cursor(end), records, &rest);
        }),
    }
}

/// The alert that [`encoding`] made bytes of.
///
/// # Panics
///
/// For other bytes.
pub fn decode(bytes: &[u8]) -> pb::Alert {
    pb::Alert::decode(bytes).expect("the pipeline encoded them")
}

pub(in crate::grpc) fn frame(message: &pb::SubscribeResponse) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES.saturating_add(length));
    write_header(&mut bytes, length);
    message.encode(&mut bytes).expect("a buffer that grows has room");
    bytes.freeze()
}

/// Writes the frame of a message with a cursor and alerts, whose bytes are copied from the archive.
/// `rest` holds the other fields of the message.
pub(in crate::grpc) fn write_alerts(
    bytes: &mut BytesMut,
    cursor: String,
    records: &[&AlertRecord],
    rest: &pb::Alerts,
) {
    let cursor = pb::SubscribeResponse { cursor, message: None };
    let alerts = records.iter().map(|record| encoding::bytes::encoded_len(ALERTS, &record.bytes));
    let inner = alerts.fold(rest.encoded_len(), usize::saturating_add);
    let inner_length = u64::try_from(inner).expect("a message fits into memory");
    let length = [
        cursor.encoded_len(),
        encoding::key_len(MESSAGE_ALERTS),
        encoding::encoded_len_varint(inner_length),
        inner,
    ];
    write_header(bytes, length.into_iter().fold(0, usize::saturating_add));
    cursor.encode(bytes).expect("a buffer that grows has room");
    encoding::encode_key(MESSAGE_ALERTS, WireType::LengthDelimited, bytes);
    encoding::encode_varint(inner_length, bytes);
    for record in records {
        encoding::bytes::encode(ALERTS, &record.bytes, bytes);
    }
    rest.encode(bytes).expect("a buffer that grows has room");
}

fn write_header(bytes: &mut BytesMut, length: usize) {
    bytes.reserve(HEADER_BYTES.saturating_add(length));
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("a message is far smaller than 4 GiB"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use lodewatch_core::domain::Seq;
    use pb::subscribe_response::Message as Wire;
    use proptest::prelude::*;

    fn record(alert: &pb::Alert) -> AlertRecord {
        AlertRecord::sample(Seq(1), alert.sequence, "gallium", alert.encode_to_vec().into())
    }

    proptest! {
        #[test]
        fn a_message_put_together_is_the_message_encoded(
            cursor in "[a-zA-Z0-9_-]{0,40}",
            sentences in proptest::collection::vec(".{0,300}", 0..20),
            more: bool,
            snapshot: bool,
        ) {
            let alerts: Vec<pb::Alert> = (1..).zip(sentences).map(|(sequence, sentence)| {
                pb::Alert { sequence, sentence, ..pb::Alert::default() }
            }).collect();
            let records: Vec<AlertRecord> = alerts.iter().map(record).collect();
            let rest = pb::Alerts { alerts: Vec::new(), more, snapshot };
            let mut bytes = BytesMut::from(&b"before"[..]);
            write_alerts(&mut bytes, cursor.clone(), &records.iter().collect::<Vec<_>>(), &rest);
            let message = Some(Wire::Alerts(pb::Alerts { alerts, more, snapshot }));
            let expected = frame(&pb::SubscribeResponse { cursor, message });
            prop_assert_eq!(&bytes[6..], &expected[..]);
            prop_assert_eq!(expected.len(), HEADER_BYTES + usize::try_from(u32::from_be_bytes(expected[1..5].try_into().unwrap())).unwrap());
        }
    }
}
