//! Compares what a subscriber saw with what it must see, and names the violated word of the
//! contract.

use crate::oracle::{Expected, Oracle, position};
use crate::recording::{Recording, Stream};
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Alerts, PublishRequest, PublishResponse, Start};
use prost::Message as _;

/// Checks everything that a subscriber recorded against the journal; it must have read to the
/// journal's head.
///
/// # Errors
///
/// The violated word, where and how.
pub fn recording(recording: &Recording, oracle: &Oracle) -> Result<(), String> {
    let filter = recording.filter();
    let wanted = oracle.alerts.iter().filter(|alert| filter.wants(&alert.facets)).collect();
    let snapshot_due = recording.start == Start::Snapshot;
    let mut check = Check { oracle, wanted, handed: None, snapshot_due };
    if recording.start == Start::Oldest {
        check.handed = Some(0);
    }
    for (number, stream) in recording.streams.iter().enumerate() {
        check.stream(stream).map_err(|broken| format!("stream {number}: {broken}"))?;
    }
    match check.handed {
        Some(handed) if handed == check.wanted.len() => Ok(()),
        Some(handed) => Err(format!("Reliable: {handed} of {} were delivered", check.wanted.len())),
        None => Err("the stream never began".to_owned()),
    }
}

struct Check<'a> {
    oracle: &'a Oracle,
    /// The alerts that match the filter, in order.
    wanted: Vec<&'a Expected>,
    /// The number of these that were received; `None` before the first cursor, and within a
    /// snapshot.
    handed: Option<usize>,
    /// No cursor may be delivered before the snapshot is complete.
    snapshot_due: bool,
}

impl Check<'_> {
    fn stream(&mut self, stream: &Stream) -> Result<(), String> {
        if !stream.from.is_empty() {
            let behind = self.behind(&stream.from);
            match self.handed {
                Some(handed) if handed != behind => {
                    return Err(format!(
                        "Resumable: resumes after {behind}, {handed} were delivered"
                    ));
                }
                _ => self.handed = Some(behind),
            }
        }
        let mut unfinished = None;
        for (number, response) in stream.messages.iter().enumerate() {
            let broken = |broken: String| format!("message {number}: {broken}");
            match response.message.as_ref().ok_or_else(|| broken("is empty".to_owned()))? {
                Message::Alerts(alerts) if alerts.snapshot => {}
                Message::Alerts(alerts) => {
                    self.alerts(alerts, &mut unfinished).map_err(broken)?;
                }
                Message::SnapshotEnd(_) => {
                    self.snapshot(&stream.messages[..=number]).map_err(broken)?;
                }
                _ => {}
            }
            if !response.cursor.is_empty() {
                self.cursor(&response.cursor).map_err(broken)?;
            }
        }
        Ok(())
    }

    /// Each alert is the next one that matches, and those of one entry are together.
    fn alerts(&mut self, alerts: &Alerts, unfinished: &mut Option<String>) -> Result<(), String> {
        let handed = self.handed.as_mut().ok_or("Reliable: alerts before any cursor")?;
        for alert in &alerts.alerts {
            let known = &self.oracle.alerts;
            if known.binary_search_by_key(&alert.sequence, |one| one.sequence).is_err() {
                return Err(format!("Never ahead: {} follows from no entry", alert.sequence));
            }
            let next = self.wanted.get(*handed).map_or(u64::MAX, |next| next.sequence);
            if alert.sequence < next {
                return Err(format!("Unique, Ordered: {} after {next} was due", alert.sequence));
            }
            if alert.sequence > next {
                return Err(format!("Reliable: {} came, {next} was passed over", alert.sequence));
            }
            if alert.encode_to_vec() != self.wanted[*handed].bytes {
                return Err(format!("Deterministic: {} has other bytes", alert.sequence));
            }
            *handed += 1;
        }
        let (Some(first), Some(last)) = (alerts.alerts.first(), alerts.alerts.last()) else {
            return Err("Atomic: a message of no alerts".to_owned());
        };
        if unfinished.take().is_some_and(|entry| entry != first.cursor) {
            return Err("Atomic: more of an entry was promised and did not come".to_owned());
        }
        if alerts.alerts.iter().any(|alert| alert.cursor != first.cursor) {
            return Err("Atomic: two entries in one message".to_owned());
        }
        let entry = position(&last.cursor).entry;
        let follows = self.wanted.get(*handed).is_some_and(|next| next.entry == entry);
        if follows && !alerts.more {
            return Err(format!("Atomic: entry {entry} was split and did not say so"));
        }
        *unfinished = alerts.more.then(|| last.cursor.clone());
        Ok(())
    }

    /// A cursor is neither ahead of nor behind the delivered alerts.
    fn cursor(&mut self, cursor: &str) -> Result<(), String> {
        if self.snapshot_due {
            return Err("Resumable: a cursor in the middle of a snapshot".to_owned());
        }
        let behind = self.behind(cursor);
        match self.handed {
            Some(handed) if behind > handed => {
                Err(format!("Bookmarkable: the cursor is after {behind}, {handed} were delivered"))
            }
            Some(handed) if behind < handed => {
                Err(format!("Unique: the cursor is after {behind}, {handed} were delivered"))
            }
            _ => {
                self.handed = Some(behind);
                Ok(())
            }
        }
    }

    /// A snapshot has the active alerts at the cursor of its end, from its `Opened` on.
    fn snapshot(
        &mut self,
        messages: &[lodewatch_proto::v1::SubscribeResponse],
    ) -> Result<(), String> {
        let end = messages.last().expect("the end is one of them");
        let at = position(&end.cursor).entry;
        let sent: Vec<u64> = messages
            .iter()
            .filter_map(|one| match &one.message {
                Some(Message::Alerts(alerts)) if alerts.snapshot => Some(&alerts.alerts),
                _ => None,
            })
            .flatten()
            .map(|alert| alert.sequence)
            .collect();
        let open = &self.oracle.open[usize::try_from(at.0).unwrap()];
        let expected: Vec<u64> = self
            .wanted
            .iter()
            .map(|alert| alert.sequence)
            .filter(|sequence| open.contains(sequence))
            .collect();
        self.handed = None;
        self.snapshot_due = false;
        if sent == expected {
            return Ok(());
        }
        Err(format!("a snapshot of {sent:?} at entry {at}, where {expected:?} were open"))
    }

    /// The number of matching alerts at or before a cursor.
    fn behind(&self, cursor: &str) -> usize {
        let position = position(cursor);
        self.wanted.partition_point(|alert| alert.is_behind(position))
    }
}

/// Checks that acknowledged batches are in the journal, with the reply that was sent.
///
/// # Errors
///
/// The batch that is missing or differs.
pub fn acknowledged(
    batches: &[(PublishRequest, PublishResponse)],
    oracle: &Oracle,
) -> Result<(), String> {
    for (request, response) in batches {
        let id = &request.request_id;
        let (entry, (first, count)) =
            oracle.batch(id).ok_or_else(|| format!("batch {id} was acknowledged and is gone"))?;
        let alerts: Vec<u64> = (first..first + count).collect();
        if position(&response.cursor).entry != entry || response.alert_sequences != alerts {
            return Err(format!("batch {id} was answered with {response:?}, it is entry {entry}"));
        }
    }
    Ok(())
}
