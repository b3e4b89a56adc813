//! Publishes one content in batches, under ids that are made of its key.

use super::FileContent;
use crate::grpc::json;
use lodewatch_client::{Connection, Publisher, Servers, list_all_threats};
use lodewatch_core::domain::Slug;
use lodewatch_proto::v1::update::Update as Kind;
use lodewatch_proto::v1::{
    ListThreatsRequest, Outcome, PublishRequest, PublishResponse, Threat, Update,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use tonic::Status;
use tonic_types::StatusExt;
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

pub const BATCH_UPDATES: usize = 100;

/// A call failed, so that a content was not published, or only in part.
#[derive(Debug)]
pub(super) struct SendError {
    pub(super) status: Box<Status>,
    /// Which updates were sent, such as `lines 1 to 100 (updates[0] is line 1)`; empty for a call
    /// without updates.
    pub(super) updates: String,
}

/// Publishes batch by batch. The same content under the same key gets the same answers again, as
/// long as the server keeps them: for the last 2,000 batches of this identity at least.
pub(super) async fn send(
    servers: &Servers,
    publisher: &mut Publisher,
    feed: &Slug,
    key: Uuid,
    content: &mut FileContent,
) -> Result<Outcomes, SendError> {
    if content.needs_revisions {
        let error = |status| SendError { status: Box::new(status), updates: String::new() };
        let connected = servers.connect().await;
        let channel = connected.map_err(|why| error(Status::unavailable(why.to_string())))?;
        number_revisions(channel, &mut content.updates).await.map_err(error)?;
    }
    let mut outcomes = Outcomes::default();
    for (at, batch) in content.updates.chunks(BATCH_UPDATES).enumerate() {
        let mut request = PublishRequest {
            request_id: String::new(),
            feed: feed.to_string(),
            updates: batch.iter().map(|(_, update)| update.clone()).collect(),
            exercise: false,
        };
        request.request_id = request_id(key, at, &request).to_string();
        let response = publisher.publish(request).await.map_err(|status| {
            let (unit, (first, last)) = (content.unit, numbers(batch));
            let updates = format!("{unit}s {first} to {last} (updates[0] is {unit} {first})");
            SendError { status: Box::new(status), updates }
        })?;
        outcomes.add(&response);
    }
    Ok(outcomes)
}

/// The same id for the same batch only. The updates are part of it, because their revisions depend
/// on the record.
fn request_id(key: Uuid, at: usize, request: &PublishRequest) -> Uuid {
    let text = format!("{key} {at} {}", json::to_json(request));
    Builder::from_custom_bytes(xxh3_128(text.as_bytes()).to_be_bytes()).into_uuid()
}

/// The numbers of the first and the last update of a batch.
pub fn numbers(batch: &[(usize, Update)]) -> (usize, usize) {
    let number = |update: Option<&(usize, Update)>| update.map_or(0, |(number, _)| *number);
    (number(batch.first()), number(batch.last()))
}

impl SendError {
    /// What failed and why, with every invalid field.
    pub(super) fn explain(&self) -> String {
        let Self { status, updates } = self;
        if lodewatch_client::retry_delay(status).is_some() {
            return format!("the server is unavailable: {}", status.message());
        }
        let fields = status.get_details_bad_request();
        let fields = fields.map(|bad| bad.field_violations).unwrap_or_default();
        let mut why: Vec<String> =
            fields.iter().map(|bad| format!("{}: {}", bad.field, bad.description)).collect();
        if why.is_empty() {
            why.push(status.message().to_owned());
        }
        let what = if updates.is_empty() { "the call" } else { updates };
        format!("the server rejected {what}: {}", why.join("; "))
    }
}

/// How many updates had which outcome, and how many alerts they caused. Persisted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// Changed the record.
    pub applied: usize,
    /// Were in the record already.
    pub unchanged: usize,
    /// Were older than the record.
    pub superseded: usize,
    pub alerts: usize,
}

impl Outcomes {
    /// Adds the outcomes of a batch.
    pub fn add(&mut self, response: &PublishResponse) {
        for result in &response.results {
            match result.outcome() {
                Outcome::Applied => self.applied += 1,
                Outcome::Superseded => self.superseded += 1,
                Outcome::Unchanged | Outcome::Unspecified => self.unchanged += 1,
            }
        }
        let total = usize::try_from(response.alerts_total).unwrap_or(usize::MAX);
        self.alerts += total.max(response.alert_sequences.len());
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applied, unchanged, superseded, alerts } = self;
        write!(
            f,
            "{applied} applied, {unchanged} unchanged, {superseded} superseded; {alerts} alerts"
        )
    }
}

/// Numbers the revisions of threats: a changed threat gets the revision after the one in the
/// record, an unchanged one the revision that is there. So a list may be published again and again,
/// and only its changes are applied.
///
/// # Errors
///
/// The status of a request for the record.
pub async fn number_revisions(
    channel: Connection,
    updates: &mut [(usize, Update)],
) -> Result<(), Status> {
    let request = ListThreatsRequest { page_size: 1000, ..ListThreatsRequest::default() };
    let records = list_all_threats(channel, request).await?;
    let recorded: BTreeMap<String, Threat> = records
        .into_iter()
        .filter_map(|record| record.threat)
        .map(|threat| (threat.id.clone(), threat))
        .collect();
    for (_, update) in updates {
        let Some(Kind::Threat(threat)) = &mut update.update else { continue };
        let Some(known) = recorded.get(&threat.id) else { continue };
        threat.revision = known.revision;
        if threat != known {
            threat.revision = known.revision.saturating_add(1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tonic_types::ErrorDetails;

    #[test]
    fn an_unavailable_server_and_a_rejected_batch_have_different_messages() {
        let why = |status| {
            SendError { status: Box::new(status), updates: "lines 1 to 2".into() }.explain()
        };
        assert_eq!(why(Status::unavailable("gone")), "the server is unavailable: gone");
        assert_eq!(why(Status::permission_denied("no")), "the server rejected lines 1 to 2: no");
        let details = ErrorDetails::with_bad_request_violation("feed", "is none");
        let bad = Status::with_error_details(Code::InvalidArgument, "1 field", details);
        assert_eq!(why(bad), "the server rejected lines 1 to 2: feed: is none");
    }

    #[test]
    fn ids_are_the_same_for_the_same_batch_of_the_same_key_only() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let batch = |feed: &str| PublishRequest { feed: feed.to_owned(), ..Default::default() };
        let id = request_id(one, 0, &batch("a"));
        assert_eq!(id, request_id(one, 0, &batch("a")));
        assert_eq!(id.get_version_num(), 8, "a version for uses of one's own: RFC 9562");
        for differs in [
            request_id(other, 0, &batch("a")),
            request_id(one, 1, &batch("a")),
            request_id(one, 0, &batch("b")),
        ] {
            assert_ne!(id, differs);
        }
    }
}
