//! One content, published: all of it, under ids that are made of its key.

use super::{Outcomes, Read, revisions};
use crate::domain::Slug;
use crate::grpc::json;
use crate::grpc::pb::{PublishRequest, Update};
use lodewatch_client::{Publisher, Servers};
use tonic::Status;
use tonic_types::StatusExt;
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

/// Updates in one batch.
pub const BATCH: usize = 100;

/// Why a content was not published, or not all of it.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What the server said.
    pub(super) status: Box<Status>,
    /// Which updates of the content it is about; empty where it is about none.
    pub(super) of: String,
}

/// Publishes batch by batch. Whoever does that again under the same key gets the same answers, for as long as the server keeps
/// them: the last 65,536 batches.
pub(super) async fn send(
    servers: &Servers,
    publisher: &mut Publisher,
    feed: &Slug,
    key: Uuid,
    read: &mut Read,
) -> Result<Outcomes, Refusal> {
    if read.numbers_revisions {
        let refusal = |status| Refusal { status: Box::new(status), of: String::new() };
        let connected = servers.connect().await;
        let channel = connected.map_err(|error| refusal(Status::unavailable(error.to_string())))?;
        revisions::number(channel, &mut read.updates).await.map_err(refusal)?;
    }
    let mut outcomes = Outcomes::default();
    for (at, batch) in read.updates.chunks(BATCH).enumerate() {
        let mut request = PublishRequest {
            request_id: String::new(),
            feed: feed.to_string(),
            updates: batch.iter().map(|(_, update)| update.clone()).collect(),
            exercise: false,
        };
        request.request_id = request_id(key, at, &request).to_string();
        let response = publisher.publish(request).await.map_err(|status| {
            let (unit, (first, last)) = (read.unit, numbers(batch));
            let of = format!("{unit}s {first} to {last} (updates[0] is {unit} {first}): ");
            Refusal { status: Box::new(status), of }
        })?;
        outcomes.add(&response);
    }
    Ok(outcomes)
}

/// The same for the same, and no other: what a batch says is part of it, because revisions depend on the record.
fn request_id(key: Uuid, at: usize, request: &PublishRequest) -> Uuid {
    let text = format!("{key} {at} {}", json::to_json(request));
    Builder::from_custom_bytes(xxh3_128(text.as_bytes()).to_be_bytes()).into_uuid()
}

/// The numbers of the first and the last update of a batch.
pub fn numbers(batch: &[(usize, Update)]) -> (usize, usize) {
    let number = |update: Option<&(usize, Update)>| update.map_or(0, |(number, _)| *number);
    (number(batch.first()), number(batch.last()))
}

impl Refusal {
    /// In words, every bad field among them.
    pub(super) fn why(&self) -> String {
        if lodewatch_client::retry_delay(&self.status).is_some() {
            return format!("the server takes nothing: {}", self.status.message());
        }
        let fields = self.status.get_details_bad_request();
        let fields = fields.map(|bad| bad.field_violations).unwrap_or_default();
        let said: Vec<String> = if fields.is_empty() {
            vec![self.status.message().to_owned()]
        } else {
            fields.iter().map(|bad| format!("{}: {}", bad.field, bad.description)).collect()
        };
        format!("the server refuses {}{}", self.of, said.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tonic_types::ErrorDetails;

    #[test]
    fn what_passes_is_told_apart_from_what_is_refused() {
        let why = |status| Refusal { status: Box::new(status), of: "lines 1 to 2: ".into() }.why();
        assert_eq!(why(Status::unavailable("gone")), "the server takes nothing: gone");
        assert_eq!(why(Status::permission_denied("no")), "the server refuses lines 1 to 2: no");
        let details = ErrorDetails::with_bad_request_violation("feed", "is none");
        let bad = Status::with_error_details(Code::InvalidArgument, "1 field", details);
        assert_eq!(why(bad), "the server refuses lines 1 to 2: feed: is none");
    }

    #[test]
    fn ids_are_the_same_for_the_same_batch_of_the_same_key_only() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let batch = |feed: &str| PublishRequest { feed: feed.to_owned(), ..Default::default() };
        let id = request_id(one, 0, &batch("a"));
        assert_eq!(id, request_id(one, 0, &batch("a")));
        assert_eq!(id.get_version_num(), 8, "made by whoever uses it: RFC 9562");
        for differs in [
            request_id(other, 0, &batch("a")),
            request_id(one, 1, &batch("a")),
            request_id(one, 0, &batch("b")),
        ] {
            assert_ne!(id, differs);
        }
    }
}
