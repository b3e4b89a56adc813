//! Alertmanager's API, version 2: an active alert fires, and is repeated while it is active,
//! because Alertmanager resolves an alert that is not repeated within its `resolve_timeout`.
//!
//! All Alertmanagers of a cluster get every alert, as from Prometheus: they share silences and
//! notifications, not alerts. An alert counts as delivered once one of them accepts it; the others
//! get it with the next repeat.
//!
//! An episode that opened and closed while no Alertmanager was available is sent, and mostly
//! notifies no one: Alertmanager only sends what still fires after its `group_wait`. `lodewatch
//! alerts` lists every episode.

use super::Error;
use super::firing::{FiringAlert, FiringAlerts};
use super::receiver::{PostError, Receiver, wait};
use crate::clock::Clock;
use bytes::Bytes;
use futures_util::future::join_all;
use http::HeaderMap;
use lodewatch_client::StateFile;
use lodewatch_client::{Backoff, Servers, StreamEvent, Subscription};
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Alert, AlertFilter, OnGap, Start, SubscribeRequest, SubscribeResponse};
use serde::{Deserialize, Serialize};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// The path below the URL of an Alertmanager.
const PATH: &str = "/api/v2/alerts";
const REQUEST_ALERTS_MAX: usize = 64;

/// The alerts to forward, and where to.
#[derive(Debug)]
pub struct Alertmanager {
    /// At least one; all of them get every alert.
    pub receivers: Vec<Receiver>,
    pub state_file: StateFile,
    /// Only fields that stay the same during an episode, so that the end of every episode arrives.
    pub filter: AlertFilter,
    /// How often firing alerts are sent again: shorter than Alertmanager's `resolve_timeout`.
    pub repeat: Duration,
    /// The link of an alert, in which `{sequence}` stands for its sequence; `None` for no link.
    pub link: Option<String>,
}

/// How far forwarding got. Persisted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForwardState {
    /// Every alert up to here was delivered.
    cursor: String,
    firing: FiringAlerts,
    /// The alerts of a snapshot that is not complete yet.
    #[serde(skip)]
    snapshot: Vec<Alert>,
}

/// Forwards alerts until an error ends it.
///
/// # Errors
///
/// Where the server rejects the subscription, all receivers reject an alert, or the state cannot be
/// saved.
pub async fn run(servers: Servers, clock: &Clock, mut sink: Alertmanager) -> Result<(), Error> {
    let mut state: ForwardState = sink.state_file.load()?;
    // Fails here, before anything is sent, where the state file cannot be written.
    sink.state_file.save(&state)?;
    let start = if state.cursor.is_empty() { Start::Snapshot } else { Start::Cursor };
    let request = SubscribeRequest {
        filter: Some(std::mem::take(&mut sink.filter)),
        start: start.into(),
        cursor: state.cursor.clone(),
        // A snapshot has every active alert. Alerts that cleared before it are missing, which is
        // logged.
        on_gap: OnGap::Reset.into(),
        ..SubscribeRequest::default()
    };
    let mut subscription = Subscription::new(servers, request);
    let mut repeat = interval(sink.repeat);
    repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = {
            // One future for all repeats, so that it notices a silent server.
            let mut next = pin!(subscription.next());
            loop {
                tokio::select! {
                    next = &mut next => break next,
                    _ = repeat.tick() => {
                        let all = state.firing.all(clock.now());
                        sink.send(&all).await?;
                    }
                }
            }
        };
        match next.map_err(|status| Error::Subscription(Box::new(status)))? {
            StreamEvent::Message(response) => sink.handle(&mut state, clock, *response).await?,
            StreamEvent::Disconnected(status) => {
                tracing::warn!(%status, "disconnected from the server, reconnecting");
            }
        }
    }
}

impl Alertmanager {
    async fn handle(
        &mut self,
        state: &mut ForwardState,
        clock: &Clock,
        response: SubscribeResponse,
    ) -> Result<(), Error> {
        let now = clock.now();
        let changed = match response.message {
            Some(Message::Opened(_)) => {
                state.snapshot.clear();
                Vec::new()
            }
            Some(Message::Reset(_)) => {
                tracing::warn!(
                    "the server pruned alerts since the last run, notices may be missing"
                );
                Vec::new()
            }
            Some(Message::Alerts(alerts)) if alerts.snapshot => {
                state.snapshot.extend(alerts.alerts);
                Vec::new()
            }
            Some(Message::Alerts(alerts)) => {
                let alerts = alerts.alerts.iter();
                alerts.flat_map(|alert| state.firing.apply(alert, now)).collect()
            }
            Some(Message::SnapshotEnd(_)) => {
                state.firing.replace(&std::mem::take(&mut state.snapshot), now)
            }
            Some(Message::FellBehind(behind)) => {
                tracing::warn!(entries = behind.entries, "lagging, reading history");
                Vec::new()
            }
            Some(Message::CaughtUp(_) | Message::Heartbeat(_) | Message::GoAway(_)) | None => {
                Vec::new()
            }
        };
        self.send(&changed).await?;
        // Empty before the end of a snapshot.
        if !response.cursor.is_empty() && response.cursor != state.cursor {
            state.cursor = response.cursor;
            self.state_file.save(&*state)?;
        }
        Ok(())
    }

    /// Retries until one receiver accepts each request.
    async fn send(&mut self, firing: &[FiringAlert]) -> Result<(), Error> {
        for part in firing.chunks(REQUEST_ALERTS_MAX) {
            let alerts = part.iter().map(|alert| alert.render(self.link.as_deref()));
            let alerts = alerts.collect::<Vec<_>>();
            let body = serde_json::to_vec(&alerts).expect("alerts have a JSON form");
            self.post(&Bytes::from(body), part.len()).await?;
        }
        Ok(())
    }

    async fn post(&mut self, body: &Bytes, alerts: usize) -> Result<(), Error> {
        let mut backoff = Backoff::new();
        let none = HeaderMap::new();
        loop {
            let posts = self
                .receivers
                .iter_mut()
                .map(|receiver| receiver.post(PATH, "application/json", &none, body.clone()));
            let results = join_all(posts).await;
            if results.iter().any(Result::is_ok) {
                return Ok(());
            }
            let failures = results.into_iter().filter_map(Result::err);
            let (mut at_least, mut rejections) = (None, Vec::new());
            for failure in failures {
                match failure {
                    PostError::Unavailable(wait) => {
                        at_least =
                            Some(at_least.map_or(wait, |shortest: Duration| shortest.min(wait)));
                    }
                    PostError::Rejected(why) => rejections.push(why),
                }
            }
            let Some(at_least) = at_least else {
                let (what, why) = (format!("a request of {alerts} alerts"), rejections.join("; "));
                return Err(Error::Rejected { what, why, advice: String::new() });
            };
            wait(&mut backoff, at_least).await;
        }
    }
}
