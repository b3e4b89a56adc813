//! A histogram that many threads observe without waiting for each other: every message to every subscriber is observed.

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

/// Upper bounds for numbers of things: 0 to a million.
const NUMBERS: &[u64] = &[0, 1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];

/// How many observations there were of up to each of some bounds. Clones share them.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Rising; what is past the last of them is counted as well.
    bounds: &'static [u64],
    /// One for each bound, and one more.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    /// How many of what is observed make one of what is shown.
    per_one: f64,
}

impl Histogram {
    fn new(bounds: &'static [u64], per_one: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum: AtomicU64::new(0), per_one }))
    }

    /// Of durations, shown in seconds.
    pub fn of_durations() -> Self {
        Self::new(DURATIONS, 1e9)
    }

    /// Of numbers of things.
    pub fn of_numbers() -> Self {
        Self::new(NUMBERS, 1.0)
    }

    /// Takes a duration down.
    pub fn took(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes a number down.
    pub fn count(&self, number: usize) {
        self.observe(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn observe(&self, value: u64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.0.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Forgets all, and takes these numbers down: for what is counted anew whenever Prometheus asks.
    pub fn replace(&self, numbers: impl Iterator<Item = u64>) {
        for count in &self.0.counts {
            count.store(0, Ordering::Relaxed);
        }
        self.0.sum.store(0, Ordering::Relaxed);
        numbers.for_each(|number| self.observe(number));
    }
}

/// Of numbers.
impl Default for Histogram {
    fn default() -> Self {
        Self::of_numbers()
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Inner { bounds, counts, sum, per_one } = &*self.0;
        let bounds = bounds.iter().map(|bound| as_shown(*bound) / per_one);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = as_shown(sum.load(Ordering::Relaxed)) / per_one;
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
    reason = "Prometheus' numbers are floats"
)]
fn as_shown(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::prometheus_text::encode;
    use prometheus_client::registry::Registry;

    fn shown(histogram: &Histogram) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("seconds", "Help", histogram.clone());
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_is_observed_counts_up_to_the_bound_that_it_does_not_pass() {
        let histogram = Histogram::of_durations();
        for micros in [1, 50, 51, 60_000_000] {
            histogram.took(Duration::from_micros(micros));
        }
        let text = shown(&histogram);
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
    fn what_is_counted_anew_replaces_what_was_there() {
        let histogram = Histogram::of_numbers();
        histogram.replace([0, 5, 5].into_iter());
        histogram.replace([0, 3].into_iter());
        let text = shown(&histogram);
        for line in ["seconds_bucket{le=\"0\"} 1\n", "seconds_sum 3.0\n", "seconds_count 2\n"] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }
}
