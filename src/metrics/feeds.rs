//! What `lodewatch feed` does, by feed. Feeds are those that its file names.

use super::registry;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Labels = [(&'static str, String); 1];
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;

/// All metrics of a process that keeps feeds in sync. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    interval: Seconds,
    in_sync: Seconds,
    published: Seconds,
    troubled: Family<Labels, Gauge>,
    updates: Family<[(&'static str, String); 2], Counter>,
}

impl Feeds {
    /// A feed begins, and will be looked at so often; something of it was published at this instant, in Unix milliseconds.
    pub fn begins(&self, feed: &str, every: Duration, published_at_ms: i64) {
        let labels = [("feed", feed.to_owned())];
        self.interval.get_or_create(&labels).set(every.as_secs_f64());
        self.in_sync.get_or_create(&labels).set(0.0);
        self.published.get_or_create(&labels).set(seconds(published_at_ms));
        self.troubled.get_or_create(&labels).set(0);
    }

    /// So much of a feed is in trouble at this instant, in Unix milliseconds; where nothing is, the feed is in sync.
    pub fn stands(&self, feed: &str, troubled: usize, at_ms: i64) {
        let labels = [("feed", feed.to_owned())];
        self.troubled.get_or_create(&labels).set(i64::try_from(troubled).unwrap_or(i64::MAX));
        if troubled == 0 {
            self.in_sync.get_or_create(&labels).set(seconds(at_ms));
        }
    }

    /// Something was published at this instant, in Unix milliseconds; so many updates came to each outcome.
    pub fn published(&self, feed: &str, outcomes: [(&'static str, usize); 3], at_ms: i64) {
        self.published.get_or_create(&[("feed", feed.to_owned())]).set(seconds(at_ms));
        for (outcome, count) in outcomes {
            let labels = [("feed", feed.to_owned()), ("outcome", outcome.to_owned())];
            let updates = self.updates.get_or_create_owned(&labels);
            updates.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// All metrics as they are now, in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut registry = registry();
        let ours = registry.sub_registry_with_prefix("lodewatch_feed");
        for (name, help, seconds) in [
            ("interval_seconds", "How often a feed is looked at", &self.interval),
            (
                "in_sync_timestamp_seconds",
                "When all of a feed was looked at last and nothing was in trouble, as a Unix time; 0 where it never was",
                &self.in_sync,
            ),
            (
                "published_timestamp_seconds",
                "When something of a feed was published last, as a Unix time; 0 where nothing was",
                &self.published,
            ),
        ] {
            ours.register(name, help, seconds.clone());
        }
        let help = "Files of a feed, or the feed itself, that are not in sync; the log says why";
        ours.register("failing", help, self.troubled.clone());
        ours.register("updates", "Updates that were published, by outcome", self.updates.clone());
        let mut text = String::new();
        let written = prometheus_text::encode(&mut text, &registry);
        written.expect("a text can be written to");
        text
    }
}

fn seconds(millis: i64) -> f64 {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64()
}
