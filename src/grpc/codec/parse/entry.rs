//! Entries of the journal, for import.

use super::publish;
use super::violations::{Checks, Path, Violations};
use crate::grpc::pb;
use crate::journal::codec;
use lodewatch_core::domain::update::{Sender, TraceContext, WriteScope};
use lodewatch_core::domain::{Entry, Mineral, Payload, Seq, Timestamp};
use pb::journal_entry::Payload as Wire;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The entry that follows another; `after` is that one's sequence and time.
///
/// # Errors
///
/// Every invalid field; an entry out of order, or earlier than the one before it.
pub fn entry(sent: &pb::JournalEntry, after: (Seq, Timestamp)) -> Result<Entry, Violations> {
    let (before, earliest) = after;
    let mut checks = Checks::default();
    let seq = before.next();
    if sent.entry != 0 && sent.entry != seq.0 {
        checks.add(
            "entry",
            format!("is {}, but must be {seq}: it follows entry {before}", sent.entry),
        );
    }
    let at = instant(&mut checks, "time".into(), sent.time.as_ref());
    if at.is_some_and(|at| at < earliest) {
        checks.add("time", format!("is earlier than the previous entry's, {earliest}"));
    }
    let mut payload = payload(&mut checks, sent.payload.as_ref())?;
    let sender = sent.sender.as_ref().and_then(|sent| sender(&mut checks, sent));
    let trace = sent.trace.as_ref().and_then(|sent| trace(&mut checks, sent));
    if let Some(Payload::Batch(batch)) = &mut payload {
        (batch.sender, batch.trace) = (sender, trace);
    } else {
        let beside = [("sender", sent.sender.is_some()), ("trace", sent.trace.is_some())];
        for (field, is_there) in beside {
            if is_there {
                checks.add(field, "must be empty: only batches have one");
            }
        }
    }
    checks.finish(at.zip(payload).map(|(at, payload)| Entry { seq, at, payload }))
}

fn payload(checks: &mut Checks, sent: Option<&Wire>) -> Result<Option<Payload>, Violations> {
    match sent {
        Some(Wire::Batch(batch)) => {
            if batch.request_id.is_empty() {
                checks.add("batch.request_id", "must be set: every batch of a journal has one");
            }
            publish(batch, Uuid::nil).map(|batch| Some(Payload::Batch(batch)))
        }
        Some(Wire::Policy(adopted)) => match codec::decode(&adopted.encoded) {
            Ok(policy @ Payload::PolicyAdopted { .. }) => Ok(Some(policy)),
            Ok(Payload::Batch(_) | Payload::Tick { .. }) => {
                checks.add("policy.encoded", "is not a policy");
                Ok(None)
            }
            Err(error) => {
                checks.add("policy.encoded", error);
                Ok(None)
            }
        },
        Some(Wire::Tick(tick)) => {
            let due = instant(checks, "tick.due".into(), tick.due.as_ref());
            Ok(due.map(|due| Payload::Tick { due }))
        }
        None => {
            checks.add("payload", "must be set to a batch, a policy or a tick");
            Ok(None)
        }
    }
}

fn sender(checks: &mut Checks, sent: &pb::Sender) -> Option<Sender> {
    let pb::Sender { name, own_feed_only, minerals } = sent;
    if name.is_empty() || name.len() > Sender::NAME_BYTES_MAX {
        checks.add("sender.name", format!("must have 1 to {} bytes", Sender::NAME_BYTES_MAX));
        return None;
    }
    let mut read = BTreeSet::new();
    for mineral in minerals {
        let mineral = Mineral::parse(mineral);
        let allowed = || "must be minerals of the catalogue".to_owned();
        read.insert(checks.require(mineral, "sender.minerals", allowed)?);
    }
    let write_scope = WriteScope { minerals: (!read.is_empty()).then_some(read) };
    Some(Sender { name: name.as_str().into(), write_scope: own_feed_only.then_some(write_scope) })
}

fn trace(checks: &mut Checks, sent: &pb::Trace) -> Option<TraceContext> {
    let read = |text: &str, digits| {
        // A sign would be read too.
        let is_whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok();
        number.filter(|number| is_whole && *number > 0)
    };
    let id = checks.require(read(&sent.trace_id, 32), "trace.trace_id", || {
        "must be 32 hexadecimal digits, not all of them 0".to_owned()
    });
    let span = read(&sent.span_id, 16).and_then(|span| u64::try_from(span).ok());
    let span = checks.require(span, "trace.span_id", || {
        "must be 16 hexadecimal digits, not all of them 0".to_owned()
    });
    Some(TraceContext { id: id?, span: span? })
}

/// An instant in whole milliseconds, between the years 1 and 9999.
fn instant(
    checks: &mut Checks,
    field: Path<'_>,
    sent: Option<&prost_types::Timestamp>,
) -> Option<Timestamp> {
    let millis = sent.and_then(|sent| {
        let millis =
            sent.seconds.checked_mul(1000)?.checked_add(i64::from(sent.nanos / 1_000_000))?;
        Some(Timestamp::from_millis(millis)).filter(|at| at.millis() == millis)
    });
    checks.require(millis, field, || "must be an instant between the years 1 and 9999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::codec::{json, render};
    use crate::journal::samples;
    use proptest::prelude::*;

    /// The digest is made anew from the content; the samples' is made up.
    fn without_digest(mut entry: Entry) -> Entry {
        if let Payload::Batch(batch) = &mut entry.payload {
            batch.digest = 0;
        }
        entry
    }

    /// Without policies: those of the samples wait longer than protobuf can say.
    fn batches_and_ticks() -> impl Strategy<Value = Payload> {
        let is_none =
            |payload: &Payload| matches!(payload, Payload::Batch(_) | Payload::Tick { .. });
        samples::payloads().prop_filter("no policy", is_none)
    }

    proptest! {
        #[test]
        fn an_exported_entry_is_imported_unchanged(
            payload in batches_and_ticks(),
            seq in 1_u64..u64::MAX,
            millis in -62_135_596_800_000_i64..253_402_214_400_000,
        ) {
            let (seq, at) = (Seq(seq), Timestamp::from_millis(millis));
            let before = Entry { seq, at, payload };
            let line = json::to_json(&render::entry(&before));
            let sent = json::from_json(&line).unwrap();
            // Some samples are such as no feed can send.
            if let Ok(after) = entry(&sent, (Seq(seq.0 - 1), at)) {
                prop_assert_eq!(without_digest(after), without_digest(before));
            }
        }
    }

    #[test]
    fn every_kind_of_entry_is_exported_and_imported() {
        let at = Timestamp::from_millis(1_733_216_400_123);
        let batches =
            [samples::batch(), samples::report_removals(), samples::sent(), samples::traced()];
        for payload in batches.into_iter().chain([samples::policy(), samples::tick()]) {
            let before = Entry { seq: Seq(9), at, payload };
            let sent = json::from_json(&json::to_json(&render::entry(&before))).unwrap();
            let after = entry(&sent, (Seq(8), at)).unwrap();
            assert_eq!(without_digest(after), without_digest(before));
        }
    }

    #[test]
    fn every_invalid_field_of_a_line_is_named() {
        let at = |millis| Timestamp::from_millis(millis);
        let sent: pb::JournalEntry = json::from_json(
            r#"{"entry":"7","time":"1970-01-01T00:00:00Z","policy":{"encoded":"AQI="}}"#,
        )
        .unwrap();
        let faults = entry(&sent, (Seq(3), at(1))).unwrap_err();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["entry", "time", "policy.encoded"]);
        let empty = entry(&pb::JournalEntry::default(), (Seq(3), at(1))).unwrap_err();
        let fields: Vec<_> = empty.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["time", "payload"]);
    }

    #[test]
    fn a_trace_is_complete_and_belongs_to_a_batch() {
        let faults = |payload, (trace_id, span_id): (&str, &str)| {
            let at = Timestamp::from_millis(1);
            let mut sent = render::entry(&Entry { seq: Seq(4), at, payload });
            sent.trace = Some(pb::Trace { trace_id: trace_id.into(), span_id: span_id.into() });
            let faults = entry(&sent, (Seq(3), at)).unwrap_err();
            faults.iter().map(|fault| fault.field.clone()).collect::<Vec<_>>()
        };
        let sound = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert_eq!(faults(samples::tick(), sound), ["trace"]);
        let both = ["trace.trace_id", "trace.span_id"];
        for faulty in [
            ("", ""),
            ("4bf92f", "00f067aa0ba902b700"),
            ("00000000000000000000000000000000", "0000000000000000"),
            ("+bf92f3577b34da6a3ce929d0e0e4736", "+0f067aa0ba902b7"),
        ] {
            assert_eq!(faults(samples::batch(), faulty), both, "{faulty:?}");
        }
    }
}
