//! A map that forgets the oldest entry when it is full.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// At most so many entries; a new one takes the place of the oldest.
#[derive(Debug)]
pub struct Recent<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// Empty, with room for `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    /// Enters, in place of what the key had.
    pub fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key, value).is_some() {
            return;
        }
        self.order.push_back(key);
        // Keys that were removed still stand in the order.
        while self.entries.len() > self.limit || self.order.len() > self.limit * 2 {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }

    /// An entry.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// An entry, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_nothing_grows() {
        let mut recent = Recent::new(3);
        for key in 0..10 {
            recent.insert(key, key);
        }
        assert_eq!(recent.len(), 3);
        assert_eq!(recent.get(&7), Some(&7));
        assert_eq!(recent.get(&6), None);
        for key in 0..100 {
            recent.insert(key, key);
            recent.remove(&key);
        }
        assert!(recent.order.len() <= 6);
    }
}
