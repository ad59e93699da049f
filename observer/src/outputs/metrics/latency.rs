//! The time that findings take from the kernel to the ledger.

use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};

use super::number;
use crate::{state::Latency, time::seconds};

/// The metric.
pub fn family(latency: &Latency) -> MetricFamily {
    let buckets = latency.cumulative().map(|(bound, cumulative)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(bound));
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let (count, sum) = latency.total();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(number(sum) / 1e9);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name("capwatch_event_latency_seconds".to_owned());
    family.set_help("Time from the event in the kernel to the ledger.".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
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
        let family = family(&latency);
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
