//! Entries of the journal, for export.

use super::{policy, timestamp, update};
use crate::domain::update::{Sender, TraceContext};
use crate::domain::{Batch, Entry, Payload};
use crate::grpc::pb;
use crate::journal::codec;
use pb::journal_entry::Payload as Wire;
use uuid::Uuid;

/// An entry: parsing it again gives the same entry.
pub fn entry(entry: &Entry) -> pb::JournalEntry {
    let payload = match &entry.payload {
        Payload::Batch(one) => Wire::Batch(batch(one)),
        Payload::PolicyAdopted { policy: one, .. } => Wire::Policy(pb::AdoptedPolicy {
            policy: Some(policy(one, entry.seq, entry.at)),
            encoded: codec::encode(&entry.payload)
                .expect("it was an entry, so it is not too large"),
        }),
        Payload::Tick { due } => Wire::Tick(pb::Tick { due: Some(timestamp(*due)) }),
    };
    let (sender, trace) = match &entry.payload {
        Payload::Batch(batch) => (batch.sender.as_ref().map(sender), batch.trace.map(trace)),
        Payload::PolicyAdopted { .. } | Payload::Tick { .. } => (None, None),
    };
    let (time, payload) = (Some(timestamp(entry.at)), Some(payload));
    pb::JournalEntry { entry: entry.seq.0, time, payload, sender, trace }
}

fn sender(sender: &Sender) -> pb::Sender {
    let minerals = sender.write_scope.as_ref().and_then(|scope| scope.minerals.as_ref());
    pb::Sender {
        name: sender.name.to_string(),
        own_feed_only: sender.write_scope.is_some(),
        minerals: minerals.into_iter().flatten().map(ToString::to_string).collect(),
    }
}

fn trace(trace: TraceContext) -> pb::Trace {
    pb::Trace { trace_id: trace.id_text(), span_id: format!("{:016x}", trace.span) }
}

fn batch(batch: &Batch) -> pb::PublishRequest {
    pb::PublishRequest {
        request_id: Uuid::from_u128(batch.request_id.0).to_string(),
        feed: batch.feed.to_string(),
        updates: batch.updates.iter().map(update).collect(),
        exercise: batch.exercise,
    }
}
