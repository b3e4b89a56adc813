//! Webhooks: one POST an alert, as an event of `CloudEvents` 1.0, signed as Standard Webhooks has it.
//!
//! ```text
//! content-type: application/cloudevents+json
//! webhook-id: the event's id, the same at every try: what a receiver tells repeats by
//! webhook-timestamp: the second of this try
//! webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body)), one for each secret
//! ```
//!
//! The next alert is sent once this one was answered with 2xx. Whatever is no answer, and 408, 425, 429 and 5xx, is tried again for
//! as long as it takes; any other answer ends the forwarder, because passing an alert over is a person's decision: `--skip`.

use super::cloud_event;
use super::receiver::{Failure, Receiver, wait};
use super::{Error, Secrets};
use crate::clock::Clock;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{Alert, Start, SubscribeRequest};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use lodewatch_client::StateFile;
use lodewatch_client::{Backoff, Servers, StreamEvent, Subscription};
use serde::{Deserialize, Serialize};

/// What to hand on, and where to.
#[derive(Debug)]
pub struct Webhook {
    /// Who gets it.
    pub receiver: Receiver,
    /// What it knows us by; `None` signs nothing.
    pub secrets: Option<Secrets>,
    /// How far we are.
    pub state_file: StateFile,
    /// Which alerts, and where to start where nothing was handed on yet.
    pub request: SubscribeRequest,
    /// Alerts, by sequence, that are passed over.
    pub skip: Vec<u64>,
}

/// How far it is. Persisted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Handed {
    /// Everything up to here was handed on.
    cursor: String,
    /// And so were alerts after it, up to this one: an entry may have several.
    sequence: u64,
}

/// Hands alerts on until something ends it.
///
/// # Errors
///
/// Where the server or the receiver refuses for good, or the state cannot be saved.
pub async fn run(servers: Servers, clock: &Clock, mut webhook: Webhook) -> Result<(), Error> {
    let mut handed: Handed = webhook.state_file.load()?;
    // Where the state cannot be saved, nothing is sent.
    webhook.state_file.save(&handed)?;
    let mut request = std::mem::take(&mut webhook.request);
    if !handed.cursor.is_empty() {
        request.cursor.clone_from(&handed.cursor);
        request.set_start(Start::Cursor);
    }
    let mut subscription = Subscription::new(servers, request);
    loop {
        let next = subscription.next().await;
        let response = match next.map_err(|status| Error::Subscription(Box::new(status)))? {
            StreamEvent::Message(response) => *response,
            StreamEvent::Disconnected(status) => {
                tracing::warn!(%status, "the server is lost; trying again");
                continue;
            }
        };
        if let Some(Message::FellBehind(behind)) = &response.message {
            tracing::warn!(entries = behind.entries, "behind; reading history");
        }
        if let Some(Message::Alerts(alerts)) = response.message {
            let before = handed.sequence;
            for alert in alerts.alerts.iter().filter(|alert| alert.sequence > before) {
                if webhook.skip.contains(&alert.sequence) {
                    tracing::warn!(sequence = alert.sequence, "an alert is passed over, as told");
                } else {
                    webhook.hand_over(clock, alert).await?;
                }
                handed.sequence = alert.sequence;
                webhook.state_file.save(&handed)?;
            }
        }
        // Empty while a snapshot is on its way.
        if !response.cursor.is_empty() && response.cursor != handed.cursor {
            handed.cursor = response.cursor;
            webhook.state_file.save(&handed)?;
        }
    }
}

impl Webhook {
    /// Tries until it is taken.
    async fn hand_over(&mut self, clock: &Clock, alert: &Alert) -> Result<(), Error> {
        let (id, body) = (cloud_event::id(alert), Bytes::from(cloud_event::of(alert)));
        let mut backoff = Backoff::new();
        loop {
            let headers = self.headers(&id, clock.now().millis().div_euclid(1000), &body);
            let posted =
                self.receiver.post("", cloud_event::CONTENT_TYPE, &headers, body.clone()).await;
            match posted {
                Ok(()) => return Ok(()),
                Err(Failure::Passing(least)) => wait(&mut backoff, least).await,
                Err(Failure::Refused(why)) => {
                    let sequence = alert.sequence;
                    let what = format!("alert {sequence}");
                    let instead = format!(", or passes it over with --skip {sequence}");
                    return Err(Error::Refused { what, why, instead });
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
