//! An entry on its way to subscribers.

use super::work::{Collector, Work};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;

/// The way of an entry's alerts from where they were made to its subscribers.
#[derive(Debug)]
pub struct Trail {
    collector: Arc<Collector>,
    /// Where they were made.
    within: SpanContext,
    since: Instant,
    /// So many deliveries are still told.
    deliveries: AtomicU32,
}

impl Trail {
    pub(super) fn new(collector: Arc<Collector>, within: SpanContext, deliveries: u32) -> Self {
        Self { collector, within, since: Instant::now(), deliveries: AtomicU32::new(deliveries) }
    }

    /// They are archived, for as long as this is held.
    pub fn archive(&self) -> Option<Work> {
        self.collector.begin(SpanBuilder::from_name("archive"), Some(&self.within))
    }

    /// They are handed over to a subscriber's connection.
    pub fn delivered(&self, subscriber: &str) {
        let left = self
            .deliveries
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            return;
        }
        let now = opentelemetry::time::now();
        let work = SpanBuilder::from_name("deliver")
            .with_kind(SpanKind::Producer)
            .with_start_time(now.checked_sub(self.since.elapsed()).unwrap_or(now))
            .with_attributes([KeyValue::new("lodewatch.subscriber", subscriber.to_owned())]);
        drop(self.collector.begin(work, Some(&self.within)));
    }
}
