//! Handing alerts over to subscribers. Counted for every message to everyone, so nothing here waits for anything.

use super::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// What is handed over. Clones share it.
#[derive(Debug, Clone)]
pub struct Delivery {
    alerts: Counter,
    messages: Counter,
    wait: Histogram,
    fell_behind: Counter,
}

impl Default for Delivery {
    fn default() -> Self {
        let (alerts, messages) = (Counter::default(), Counter::default());
        Self { alerts, messages, wait: Histogram::of_durations(), fell_behind: Counter::default() }
    }
}

impl Delivery {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Alerts that were handed over, an alert to every subscriber counted";
        ours.register("alerts_delivered", help, self.alerts.clone());
        let help = "Messages of alerts that were handed over";
        ours.register("messages_delivered", help, self.messages.clone());
        let help = "How long alerts waited from when their entry was durable and read until they were handed over to a \
                    connection, for subscribers served from memory; the oldest of those handed over at once";
        ours.register("delivery_wait_seconds", help, self.wait.clone());
        let help = "How often a subscriber fell so far behind that it was served from the archive";
        ours.register("subscribers_fell_behind", help, self.fell_behind.clone());
    }

    /// Messages of alerts are handed over, of which the oldest waited so long; not known for what the archive has.
    pub fn handed(&self, messages: u64, alerts: u64, waited: Option<Duration>) {
        self.messages.inc_by(messages);
        self.alerts.inc_by(alerts);
        if let Some(waited) = waited {
            self.wait.took(waited);
        }
    }

    /// A subscriber is served from the archive again.
    pub fn fell_behind(&self) {
        self.fell_behind.inc();
    }
}
