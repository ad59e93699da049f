//! How long findings take from the kernel to the ledger.

use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};
use serde::{Deserialize, Serialize};

use super::number;
use crate::time::seconds;

/// Upper bounds in nanoseconds.
const BOUNDS: [u64; 9] = [
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: u64,
}

impl Latency {
    /// Enters one finding's latency in nanoseconds.
    pub fn observe(&mut self, nanoseconds: u64) {
        self.count += 1;
        self.sum += nanoseconds;
        if let Some(index) = BOUNDS.iter().position(|bound| nanoseconds <= *bound) {
            self.counts[index] += 1;
        }
    }

    /// The metric.
    pub fn family(&self) -> MetricFamily {
        let mut cumulative = 0;
        let buckets = BOUNDS.iter().zip(self.counts).map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(*bound));
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.count);
        histogram.set_sample_sum(number(self.sum) / 1e9);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name("capwatch_event_latency_seconds".to_owned());
        family.set_help("From the kernel's event to the ledger.".to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut latency = Latency::default();
        for nanoseconds in [50_000, 200_000, 60_000_000_000] {
            latency.observe(nanoseconds);
        }
        let family = latency.family();
        let histogram = family.get_metric()[0].get_histogram().clone();
        let counts: Vec<_> = histogram
            .get_bucket()
            .iter()
            .map(Bucket::cumulative_count)
            .collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(histogram.get_sample_count(), 3);
    }
}
