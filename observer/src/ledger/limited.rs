//! Counters by key, of which there are never more than a limit.

use std::{collections::HashMap, hash::Hash};

use serde::{Deserialize, Serialize};

/// Labels of the last resort, at most.
const MAX_LAST: usize = 64;

/// The labels of a counter, and those under which it counts where there is no
/// room for it.
pub trait Series: Eq + Hash + Clone {
    /// The same without what others can choose at will. There are few of these,
    /// and so a little room beyond the limit is theirs.
    #[must_use]
    fn coarse(&self) -> Self;

    /// The last resort: so few that there is always room.
    #[must_use]
    fn last_resort(&self) -> Self;
}

/// Counters by key. A key that was given a place keeps it; one that found none
/// counts under coarser labels for good, so no counter ever falls and the
/// sum stays right.
#[derive(Clone, Debug)]
pub struct Limited<K> {
    counts: HashMap<K, u64>,
    limit: usize,
    overflowed: u64,
}

impl<K: Series> Limited<K> {
    /// No counters, and room for `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            counts: HashMap::new(),
            limit,
            overflowed: 0,
        }
    }

    /// The key that counts for this one, which has a place from now on.
    pub fn place(&mut self, key: K) -> K {
        if self.counts.contains_key(&key) {
            return key;
        }
        if self.counts.len() < self.limit {
            self.counts.insert(key.clone(), 0);
            return key;
        }
        let coarse = key.coarse();
        if self.counts.len() < self.room() || self.counts.contains_key(&coarse) {
            self.counts.entry(coarse.clone()).or_default();
            return coarse;
        }
        let last = key.last_resort();
        self.counts.entry(last.clone()).or_default();
        last
    }

    /// Adds to a key's counter, or to that of the labels that count for it; returns
    /// those labels.
    pub fn add(&mut self, key: K, count: u64) -> K {
        if let Some(known) = self.counts.get_mut(&key) {
            *known += count;
            return key;
        }
        let wanted = key.clone();
        let placed = self.place(key);
        if placed != wanted {
            self.overflowed += count;
        }
        *self.counts.entry(placed.clone()).or_default() += count;
        placed
    }

    /// Labels of all kinds but the last resort.
    const fn room(&self) -> usize {
        self.limit.saturating_add(self.limit / 8 + 16)
    }

    /// Goes on from counters that were kept, in whatever order: each has its place again.
    /// With a lower limit, those that find none count as any other that finds none.
    pub fn restore(&mut self, saved: Counted<K>) {
        let room = self.room().saturating_add(MAX_LAST);
        for (key, count) in saved.counts {
            if self.counts.len() < room {
                *self.counts.entry(key).or_default() += count;
            } else {
                self.add(key, count);
            }
        }
        self.overflowed += saved.overflowed;
    }

    /// Every counter.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.counts.iter().map(|(key, count)| (key, *count))
    }

    /// A key's counter.
    pub fn get(&self, key: &K) -> u64 {
        self.counts.get(key).copied().unwrap_or_default()
    }

    /// How much was counted under other labels than its own.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

/// Counters, and how much was counted under other labels than its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted<K> {
    pub(super) counts: Vec<(K, u64)>,
    pub(super) overflowed: u64,
}

impl<K: Series> Counted<K> {
    pub(super) fn of(limited: &Limited<K>) -> Self {
        let counts = limited.iter();
        Self {
            counts: counts.map(|(key, count)| (key.clone(), count)).collect(),
            overflowed: limited.overflowed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Series for (&'static str, u32) {
        fn coarse(&self) -> Self {
            (self.0, u32::MAX)
        }

        fn last_resort(&self) -> Self {
            ("overflow", u32::MAX)
        }
    }

    #[test]
    fn the_sum_stays_right_when_keys_run_out() {
        let mut counts = Limited::new(2);
        for key in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("a", 1)] {
            counts.add(key, 1);
        }
        assert_eq!(counts.get(&("a", 1)), 2);
        assert_eq!(counts.get(&("a", u32::MAX)), 1);
        assert_eq!(counts.get(&("b", u32::MAX)), 1);
        assert_eq!(counts.overflowed(), 2);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 5);
    }

    #[test]
    fn what_was_kept_has_its_place_again_in_whatever_order_it_comes() {
        let mut counts = Limited::new(2);
        for name in ["a", "b", "c", "d"] {
            counts.add((name, 1), 5);
        }
        let mut saved = Counted::of(&counts);
        // The coarse ones first.
        saved
            .counts
            .sort_by_key(|((_, number), _)| u32::MAX - number);
        let mut next = Limited::new(2);
        next.restore(saved);
        for (key, count) in counts.iter() {
            assert_eq!(next.get(key), count, "{key:?}");
        }
        assert_eq!(next.overflowed(), counts.overflowed());
    }

    #[test]
    fn there_is_an_end_to_coarse_labels_too() {
        const NAMES: [&str; 40] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
            "r", "s", "t", "u", "v", "w", "x", "y", "z", "A", "B", "C", "D", "E", "F", "G", "H",
            "I", "J", "K", "L", "M", "N",
        ];
        let mut counts = Limited::new(4);
        for name in NAMES {
            counts.add((name, 1), 1);
        }
        assert_eq!(counts.iter().count(), 4 + 16 + 1);
        assert_eq!(counts.get(&("overflow", u32::MAX)), 20);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 40);
    }
}
