//! What was reported recently, by its distinguishing key: bounded.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use super::MAX_KEPT;

/// The newest of something, of which a log may have others between.
pub(super) struct Recent<K, T> {
    pub(super) known: HashMap<K, T>,
    order: VecDeque<K>,
}

impl<K, T> Default for Recent<K, T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Recent<K, T> {
    pub(super) fn put(&mut self, key: K, one: T) {
        if self.known.insert(key, one).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn get(&self, key: K) -> Option<T> {
        self.known.get(&key).cloned()
    }

    /// Its place in the order is freed in turn.
    pub(super) fn remove(&mut self, key: &K) -> Option<T> {
        self.known.remove(key)
    }
}
