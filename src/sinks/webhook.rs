//! Webhooks: one POST per alert, as an event of `CloudEvents` 1.0, signed by Standard Webhooks.
//!
//! ```text
//! content-type: application/cloudevents+json
//! webhook-id: the event's id, the same at every attempt: a receiver deduplicates by it
//! webhook-timestamp: the second of this attempt
//! webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body)), one for each secret
//! ```
//!
//! The next alert is sent once this one was answered with 2xx. A request without an answer, and
//! 408, 425, 429 and 5xx, are retried until they succeed. Any other answer ends the forwarder,
//! because to skip an alert is a person's decision: `--skip`.

use super::cloud_event;
use super::receiver::{PostError, Receiver, wait};
use super::{Error, Secrets};
use crate::clock::Clock;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use lodewatch_client::StateFile;
use lodewatch_client::{Backoff, Servers, StreamEvent, Subscription};
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Alert, Start, SubscribeRequest};
use serde::{Deserialize, Serialize};

/// The alerts to forward, and where to.
#[derive(Debug)]
pub struct Webhook {
    pub receiver: Receiver,
    /// The secrets that sign; `None` sends no signature.
    pub secrets: Option<Secrets>,
    pub state_file: StateFile,
    /// The alerts, and where to start where the state file has no cursor yet.
    pub request: SubscribeRequest,
    /// The sequences of alerts to skip.
    pub skip: Vec<u64>,
}

/// How far forwarding got. Persisted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryPosition {
    /// Every alert up to here was delivered.
    cursor: String,
    /// So were alerts after it, up to this sequence: an entry may have several.
    sequence: u64,
}

/// Forwards alerts until an error ends it.
///
/// # Errors
///
/// Where the server rejects the subscription, the receiver rejects an alert, or the state cannot be
/// saved.
pub async fn run(servers: Servers, clock: &Clock, mut webhook: Webhook) -> Result<(), Error> {
    let mut position: DeliveryPosition = webhook.state_file.load()?;
    // Fails here, before anything is sent, where the state file cannot be written.
    webhook.state_file.save(&position)?;
    let mut request = std::mem::take(&mut webhook.request);
    if !position.cursor.is_empty() {
        request.cursor.clone_from(&position.cursor);
        request.set_start(Start::Cursor);
    }
    let mut subscription = Subscription::new(servers, request);
    loop {
        let next = subscription.next().await;
        let response = match next.map_err(|status| Error::Subscription(Box::new(status)))? {
            StreamEvent::Message(response) => *response,
            StreamEvent::Disconnected(status) => {
                tracing::warn!(%status, "disconnected from the server, reconnecting");
                continue;
            }
        };
        if let Some(Message::FellBehind(behind)) = &response.message {
            tracing::warn!(entries = behind.entries, "lagging, reading history");
        }
        if let Some(Message::Alerts(alerts)) = response.message {
            let before = position.sequence;
            for alert in alerts.alerts.iter().filter(|alert| alert.sequence > before) {
                if webhook.skip.contains(&alert.sequence) {
                    tracing::warn!(sequence = alert.sequence, "skipped an alert by request");
                } else {
                    webhook.deliver(clock, alert).await?;
                }
                position.sequence = alert.sequence;
                webhook.state_file.save(&position)?;
            }
        }
        // Empty before the end of a snapshot.
        if !response.cursor.is_empty() && response.cursor != position.cursor {
            position.cursor = response.cursor;
            webhook.state_file.save(&position)?;
        }
    }
}

impl Webhook {
    /// Retries until the receiver accepts or rejects the alert.
    async fn deliver(&mut self, clock: &Clock, alert: &Alert) -> Result<(), Error> {
        let (id, body) = (cloud_event::id(alert), Bytes::from(cloud_event::render(alert)));
        let mut backoff = Backoff::new();
        loop {
            let headers = self.headers(&id, clock.now().millis().div_euclid(1000), &body);
            let posted =
                self.receiver.post("", cloud_event::CONTENT_TYPE, &headers, body.clone()).await;
            match posted {
                Ok(()) => return Ok(()),
                Err(PostError::Unavailable(at_least)) => wait(&mut backoff, at_least).await,
                Err(PostError::Rejected(why)) => {
                    let sequence = alert.sequence;
                    let what = format!("alert {sequence}");
                    let advice = format!(", or skip the alert with --skip {sequence}");
                    return Err(Error::Rejected { what, why, advice });
                }
            }
        }
    }

    fn headers(&self, id: &str, second: i64, body: &[u8]) -> HeaderMap {
        let header = |name, value: String| {
            let value = HeaderValue::from_str(&value).expect("base64, digits and commas");
            (HeaderName::from_static(name), value)
        };
        let mut headers = HeaderMap::from_iter([
            header("webhook-id", id.to_owned()),
            header("webhook-timestamp", second.to_string()),
        ]);
        let signature = self.secrets.as_ref().map(|secrets| secrets.sign(id, second, body));
        headers.extend(signature.map(|signature| header("webhook-signature", signature)));
        headers
    }
}
