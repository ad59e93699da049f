//! How long findings take from the kernel to the ledger.

use serde::{Deserialize, Serialize};

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

    /// How many findings took no longer than each bound, in nanoseconds.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut cumulative = 0;
        BOUNDS
            .into_iter()
            .zip(self.counts)
            .map(move |(bound, count)| {
                cumulative += count;
                (bound, cumulative)
            })
    }

    /// How many there were, and how long all of them took, in nanoseconds.
    pub const fn total(&self) -> (u64, u64) {
        (self.count, self.sum)
    }
}
