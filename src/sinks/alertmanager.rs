//! Alertmanager's API, version 2: what is open fires, and is repeated while it does, since Alertmanager takes for resolved what it
//! has not heard of for its `resolve_timeout`.
//!
//! Several Alertmanagers of one cluster are all told everything, as Prometheus does it: they share silences and what was sent, not
//! alerts. It counts as handed over once one of them has taken it; the others hear of it with the next repeat.
//!
//! An episode that opened and closed while no Alertmanager could be reached is sent, and mostly pages nobody: Alertmanager sends
//! only what still fires when its `group_wait` is over. `lodewatch alerts` has it all.

use super::Error;
use super::firing::{Fire, Firing};
use super::receiver::{Failure, Receiver, wait};
use crate::clock::Clock;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{Alert, AlertFilter, OnGap, Start, SubscribeRequest, SubscribeResponse};
use bytes::Bytes;
use futures_util::future::join_all;
use http::HeaderMap;
use lodewatch_client::StateFile;
use lodewatch_client::{Backoff, Servers, StreamEvent, Subscription};
use serde::{Deserialize, Serialize};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Below the URL of an Alertmanager.
const PATH: &str = "/api/v2/alerts";
/// Alerts in one request.
const ALERTS_MAX: usize = 64;

/// What to hand on, and where to.
#[derive(Debug)]
pub struct Alertmanager {
    /// At least one; all of them are told.
    pub receivers: Vec<Receiver>,
    /// How far we are.
    pub state_file: StateFile,
    /// Which alerts: by what does not change while an episode is open, so that its end is heard.
    pub filter: AlertFilter,
    /// How often what fires is told again: shorter than Alertmanager's `resolve_timeout`.
    pub repeat: Duration,
    /// Where an alert's link leads to, `{sequence}` standing for the alert's; `None` gives it none.
    pub link: Option<String>,
}

/// How far it is. Persisted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    /// Everything up to here was handed on.
    cursor: String,
    /// What fires after it.
    firing: Firing,
    /// A snapshot that is not complete yet.
    #[serde(skip)]
    open: Vec<Alert>,
}

/// Hands alerts on until something ends it.
///
/// # Errors
///
/// Where the server or all receivers refuse for good, or the state cannot be saved.
pub async fn run(servers: Servers, clock: &Clock, mut to: Alertmanager) -> Result<(), Error> {
    let mut held: Held = to.state_file.load()?;
    // Where the state cannot be saved, nothing is sent.
    to.state_file.save(&held)?;
    let start = if held.cursor.is_empty() { Start::Snapshot } else { Start::Cursor };
    let request = SubscribeRequest {
        filter: Some(std::mem::take(&mut to.filter)),
        start: start.into(),
        cursor: held.cursor.clone(),
        // What fires now is told in any case; what came and went is in no snapshot, and said to be missing.
        on_gap: OnGap::Reset.into(),
        ..SubscribeRequest::default()
    };
    let mut subscription = Subscription::new(servers, request);
    let mut repeat = interval(to.repeat);
    repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = {
            // One future over all repeats, so that it sees how long the server has been silent.
            let mut next = pin!(subscription.next());
            loop {
                tokio::select! {
                    next = &mut next => break next,
                    _ = repeat.tick() => {
                        let all = held.firing.all(clock.now());
                        to.tell(&all).await?;
                    }
                }
            }
        };
        match next.map_err(|status| Error::Subscription(Box::new(status)))? {
            StreamEvent::Message(response) => to.take(&mut held, clock, *response).await?,
            StreamEvent::Disconnected(status) => {
                tracing::warn!(%status, "the server is lost; trying again")
            }
        }
    }
}

impl Alertmanager {
    async fn take(
        &mut self,
        held: &mut Held,
        clock: &Clock,
        response: SubscribeResponse,
    ) -> Result<(), Error> {
        let now = clock.now();
        let told = match response.message {
            Some(Message::Opened(_)) => {
                held.open.clear();
                Vec::new()
            }
            Some(Message::Reset(_)) => {
                tracing::warn!(
                    "the server no longer has all since the last run; notices may be missing"
                );
                Vec::new()
            }
            Some(Message::Alerts(alerts)) if alerts.snapshot => {
                held.open.extend(alerts.alerts);
                Vec::new()
            }
            Some(Message::Alerts(alerts)) => {
                let alerts = alerts.alerts.iter();
                alerts.flat_map(|alert| held.firing.take(alert, now)).collect()
            }
            Some(Message::SnapshotEnd(_)) => {
                held.firing.replace(&std::mem::take(&mut held.open), now)
            }
            Some(Message::FellBehind(behind)) => {
                tracing::warn!(entries = behind.entries, "behind; reading history");
                Vec::new()
            }
            Some(Message::CaughtUp(_) | Message::Heartbeat(_) | Message::GoAway(_)) | None => {
                Vec::new()
            }
        };
        self.tell(&told).await?;
        // Empty while a snapshot is on its way.
        if !response.cursor.is_empty() && response.cursor != held.cursor {
            held.cursor = response.cursor;
            self.state_file.save(&*held)?;
        }
        Ok(())
    }

    /// Tries until one of them has taken it.
    async fn tell(&mut self, fires: &[Fire]) -> Result<(), Error> {
        for part in fires.chunks(ALERTS_MAX) {
            let alerts = part.iter().map(|fire| fire.render(self.link.as_deref()));
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
            let (mut least, mut refusals) = (None, Vec::new());
            for failure in failures {
                match failure {
                    Failure::Passing(wait) => {
                        least = Some(least.map_or(wait, |least: Duration| least.min(wait)));
                    }
                    Failure::Refused(why) => refusals.push(why),
                }
            }
            let Some(least) = least else {
                let (what, why) = (format!("a request of {alerts} alerts"), refusals.join("; "));
                return Err(Error::Refused { what, why, instead: String::new() });
            };
            wait(&mut backoff, least).await;
        }
    }
}
