//! A histogram that many threads update without locks: every message to every subscriber is
//! observed.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds for durations, in nanoseconds: 50 µs to 10 s.
const DURATIONS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Upper bounds for counts: 0 to a million.
const COUNTS: &[u64] = &[0, 1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];

/// A histogram with fixed buckets. Clones share them.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper bounds, ascending, without the last bucket's `+Inf`.
    bounds: &'static [u64],
    /// One per bound, and one for `+Inf`.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    /// Observed units per exported unit: 1e9 for nanoseconds that are exported as seconds.
    per_one: f64,
}

impl Histogram {
    fn new(bounds: &'static [u64], per_one: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0), per_one }))
    }

    /// A histogram of durations, exported in seconds.
    pub fn of_durations() -> Self {
        Self::new(DURATIONS, 1e9)
    }

    /// A histogram of counts.
    pub fn of_counts() -> Self {
        Self::new(COUNTS, 1.0)
    }

    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn observe_count(&self, count: usize) {
        self.observe(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn observe(&self, value: u64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.0.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Replaces all observations with these counts: for values that are read anew at every scrape.
    pub fn replace(&self, counts: impl Iterator<Item = u64>) {
        for bucket in &self.0.counts {
            bucket.store(0, Ordering::Relaxed);
        }
        self.0.sum.store(0, Ordering::Relaxed);
        counts.for_each(|count| self.observe(count));
    }
}

/// A histogram of counts.
impl Default for Histogram {
    fn default() -> Self {
        Self::of_counts()
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Buckets { bounds, counts, sum, per_one } = &*self.0;
        let bounds = bounds.iter().map(|bound| as_float(*bound) / per_one);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = as_float(sum.load(Ordering::Relaxed)) / per_one;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Prometheus' values are floats"
)]
fn as_float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::prometheus_text::encode;
    use prometheus_client::registry::Registry;

    fn exported(histogram: &Histogram) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("seconds", "Help", histogram.clone());
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn an_observation_counts_in_every_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::of_durations();
        for micros in [1, 50, 51, 60_000_000] {
            histogram.observe_duration(Duration::from_micros(micros));
        }
        let text = exported(&histogram);
        for line in [
            "seconds_bucket{le=\"5e-05\"} 2\n",
            "seconds_bucket{le=\"0.0001\"} 3\n",
            "seconds_bucket{le=\"10\"} 3\n",
            "seconds_bucket{le=\"+Inf\"} 4\n",
            "seconds_sum 60.000102\n",
            "seconds_count 4\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }

    #[test]
    fn replace_discards_earlier_observations() {
        let histogram = Histogram::of_counts();
        histogram.replace([0, 5, 5].into_iter());
        histogram.replace([0, 3].into_iter());
        let text = exported(&histogram);
        for line in ["seconds_bucket{le=\"0\"} 1\n", "seconds_sum 3.0\n", "seconds_count 2\n"] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }
}
