//! Metrics of `lodewatch feed`, by feed. The labels are the feeds of its file.

use super::server::{encode_registry, new_registry};
use super::unix_seconds;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Labels = [(&'static str, String); 1];
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;

/// All metrics of a process that keeps feeds in sync. Clones share the metrics.
#[derive(Debug, Clone, Default)]
pub struct FeedMetrics {
    interval: Seconds,
    in_sync: Seconds,
    published: Seconds,
    failing: Family<Labels, Gauge>,
    updates: Family<[(&'static str, String); 2], Counter>,
}

impl FeedMetrics {
    /// Adds a feed that is read at this interval. `published_at_ms` is when an update of it was
    /// last published, in Unix milliseconds.
    pub fn add_feed(&self, feed: &str, interval: Duration, published_at_ms: i64) {
        let labels = [("feed", feed.to_owned())];
        self.interval.get_or_create(&labels).set(interval.as_secs_f64());
        self.in_sync.get_or_create(&labels).set(0.0);
        self.published.get_or_create(&labels).set(unix_seconds(published_at_ms));
        self.failing.get_or_create(&labels).set(0);
    }

    /// Sets how many files of a feed cannot be synced, at this instant in Unix milliseconds. At 0
    /// the feed is in sync.
    pub fn set_failing(&self, feed: &str, failing: usize, at_ms: i64) {
        let labels = [("feed", feed.to_owned())];
        self.failing.get_or_create(&labels).set(i64::try_from(failing).unwrap_or(i64::MAX));
        if failing == 0 {
            self.in_sync.get_or_create(&labels).set(unix_seconds(at_ms));
        }
    }

    /// Counts updates that were published, by outcome, at this instant in Unix milliseconds.
    pub fn count_published(&self, feed: &str, outcomes: [(&'static str, usize); 3], at_ms: i64) {
        self.published.get_or_create(&[("feed", feed.to_owned())]).set(unix_seconds(at_ms));
        for (outcome, count) in outcomes {
            let labels = [("feed", feed.to_owned()), ("outcome", outcome.to_owned())];
            let updates = self.updates.get_or_create_owned(&labels);
            updates.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// The current values of all metrics, in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut registry = new_registry();
        let ours = registry.sub_registry_with_prefix("lodewatch_feed");
        for (name, help, seconds) in [
            ("interval_seconds", "Interval at which a feed is read", &self.interval),
            (
                "in_sync_timestamp_seconds",
                "When all of a feed was last in sync, as a Unix time; 0 if never",
                &self.in_sync,
            ),
            (
                "published_timestamp_seconds",
                "When an update of a feed was last published, as a Unix time; 0 if never",
                &self.published,
            ),
        ] {
            ours.register(name, help, seconds.clone());
        }
        let help =
            "Files of a feed, or the feed itself, that are not in sync; the log has the cause";
        ours.register("failing", help, self.failing.clone());
        ours.register("updates", "Published updates, by outcome", self.updates.clone());
        encode_registry(&registry)
    }
}
