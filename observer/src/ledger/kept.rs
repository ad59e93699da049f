//! Findings that are kept in full: a bounded number, chosen by worth.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

/// What a finding is worth keeping by.
pub trait Worth {
    /// How bad it is: what is worse is kept.
    fn rank(&self) -> u8;

    /// What makes two of them alike: the first of its kind is kept before those
    /// that say the same again.
    fn kind(&self) -> impl Hash;
}

/// The place of a finding among the others; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: u8,
    /// Whether no other of its kind was kept when it came.
    first: bool,
    /// In which order they came.
    number: u64,
}

struct Entry<T> {
    place: Place,
    kind: u64,
    finding: T,
}

/// Findings by their name.
pub struct Kept<T> {
    /// In boxes: a table has up to twice as many places as entries.
    entries: HashMap<String, Box<Entry<T>>>,
    places: BTreeMap<Place, String>,
    kinds: HashMap<u64, usize>,
    limit: usize,
}

impl<T: Worth> Kept<T> {
    /// None yet, and room for so many.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            places: BTreeMap::new(),
            kinds: HashMap::new(),
            limit,
        }
    }

    /// The finding of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name).map(|entry| &entry.finding)
    }

    /// Keeps a finding, in place of its earlier state; the least worthy goes where
    /// there is no room. `number` says in which order they came.
    pub fn put(&mut self, name: &str, number: u64, finding: T) {
        let number = self.remove(name).unwrap_or(number);
        let mut hasher = DefaultHasher::new();
        finding.kind().hash(&mut hasher);
        let kind = hasher.finish();
        let alike = self.kinds.entry(kind).or_default();
        let place = Place {
            rank: finding.rank(),
            first: *alike == 0,
            number,
        };
        *alike += 1;
        self.places.insert(place, name.to_owned());
        let entry = Entry {
            place,
            kind,
            finding,
        };
        self.entries.insert(name.to_owned(), Box::new(entry));
        if self.entries.len() > self.limit
            && let Some(least) = self.places.values().next().cloned()
        {
            self.remove(&least);
        }
    }

    /// Gives its number back.
    fn remove(&mut self, name: &str) -> Option<u64> {
        let Entry { place, kind, .. } = *self.entries.remove(name)?;
        self.places.remove(&place);
        if let Some(alike) = self.kinds.get_mut(&kind) {
            *alike -= 1;
            if *alike == 0 {
                self.kinds.remove(&kind);
            }
        }
        Some(place.number)
    }

    /// All of them with their numbers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let entries = self.entries.values();
        entries.map(|entry| (entry.place.number, &entry.finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u8, &'static str);

    impl Worth for Thing {
        fn rank(&self) -> u8 {
            self.0
        }

        fn kind(&self) -> impl Hash {
            self.1
        }
    }

    fn names(kept: &Kept<Thing>) -> Vec<String> {
        let mut entries: Vec<_> = kept.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.place.number);
        entries.iter().map(|(name, _)| (*name).clone()).collect()
    }

    #[test]
    fn the_worst_then_the_first_of_its_kind_then_the_newest_stay() {
        let mut kept = Kept::new(4);
        kept.put("bad", 0, Thing(9, "a"));
        kept.put("first", 1, Thing(1, "b"));
        for number in 2..1_000 {
            kept.put(&format!("same {number}"), number, Thing(1, "b"));
        }
        kept.put("other", 1_000, Thing(1, "c"));
        assert_eq!(names(&kept), ["bad", "first", "same 999", "other"]);
        assert_eq!(kept.kinds.len(), 3);
    }

    #[test]
    fn one_that_is_reported_again_keeps_its_number_and_no_room_more() {
        let mut kept = Kept::new(2);
        kept.put("a", 0, Thing(1, "x"));
        kept.put("b", 1, Thing(1, "x"));
        kept.put("a", 2, Thing(5, "y"));
        assert_eq!(names(&kept), ["a", "b"]);
        assert_eq!(kept.places.len(), 2);
        kept.put("c", 3, Thing(1, "x"));
        assert!(kept.get("a").is_some_and(|thing| thing.0 == 5));
        assert_eq!(names(&kept).len(), 2);
    }
}
