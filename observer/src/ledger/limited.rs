//! Counters by key, of which there are never more than a limit.

use std::{collections::HashMap, hash::Hash};

/// Counters by key. Once the limit is reached a new key counts in the overflow
/// key, so that the sum stays right, and the overflow is counted.
#[derive(Clone, Debug)]
pub struct Limited<K> {
    counts: HashMap<K, u64>,
    limit: usize,
    overflowed: u64,
}

impl<K: Eq + Hash + Clone> Limited<K> {
    /// No counters, and room for `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            counts: HashMap::new(),
            limit,
            overflowed: 0,
        }
    }

    /// Adds to a key's counter, or to that of `overflow` where there is no room.
    pub fn add(&mut self, key: K, count: u64, overflow: impl FnOnce(&K) -> K) {
        if self.counts.len() < self.limit || self.counts.contains_key(&key) {
            *self.counts.entry(key).or_default() += count;
            return;
        }
        self.overflowed += count.max(1);
        *self.counts.entry(overflow(&key)).or_default() += count;
    }

    /// Every counter.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.counts.iter().map(|(key, count)| (key, *count))
    }

    /// A key's counter.
    pub fn get(&self, key: &K) -> u64 {
        self.counts.get(key).copied().unwrap_or_default()
    }

    /// How much went to the overflow key.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_stays_right_when_keys_run_out() {
        let mut counts = Limited::new(2);
        for key in ["a", "b", "c", "d", "a"] {
            counts.add(key, 1, |_| "overflow");
        }
        assert_eq!(counts.get(&"a"), 2);
        assert_eq!(counts.get(&"overflow"), 2);
        assert_eq!(counts.overflowed(), 2);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 5);
    }
}
