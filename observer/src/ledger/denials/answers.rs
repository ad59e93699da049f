//! Rows as a stream of version 1 has them.

use std::collections::{BTreeMap, HashMap};

use super::Parts;
use crate::{
    finding::{Denial, Row, Scope},
    ledger::folded::is_of_lsm,
    observation::identity,
};

/// Rows that are kept in full: several times what the kernel has room for.
const MAX_ROWS: usize = 12_288;
/// Rows beyond those, whose counts alone are kept.
const MAX_BEYOND: usize = 1 << 20;

/// Rows that a stream of version 1 reports, by their name in it.
///
/// They can't be among the kernel's rows, because such a stream has answers instead of
/// observations. A row has its supervisor's name, its container and its sentence; the
/// key of the kernel's row (cgroup, owner's slot, rule's number, profile's address) is not
/// in it, and its name is that key's hash. An answer made again from what is left would
/// be another one. A replayed ledger has these rows or the kernel's, never both.
#[derive(Default)]
pub(super) struct Answers {
    rows: BTreeMap<String, Denial>,
    /// How many denials the rows have that found no room among these.
    beyond: HashMap<u64, u64>,
}

impl Answers {
    /// The rows of a scope and those within it.
    pub(super) fn rows(&self, scope: Scope) -> impl Iterator<Item = &Denial> {
        self.rows.values().filter(move |row| scope.takes(row.scope))
    }

    /// How many denials by an LSM these rows have.
    pub(super) fn by_lsm(&self, scope: Scope) -> u64 {
        let rows = self.rows(scope).filter(|row| is_of_lsm(row));
        rows.map(|row| row.count).sum()
    }

    /// Takes a row's state in place of what was known of it; says whether there was
    /// room for it.
    pub(super) fn set(&mut self, row: Row, parts: &mut Parts) -> bool {
        let Row {
            row,
            folded,
            denial,
        } = row;
        if folded && !self.is_beyond(&row) {
            self.rows.remove(&row);
            parts[denial.scope as usize].add(&row, denial);
            return true;
        }
        if self.has_room_for(&row) {
            self.rows.insert(row, denial);
            return true;
        }
        self.count_beyond(&row, denial, parts)
    }

    /// Takes one denial; says whether there was room for it. It counts until the row's
    /// next state, which has it in; in a stream that was cut short there is none.
    pub(super) fn add(&mut self, name: &str, denial: &Denial, parts: &mut Parts) -> bool {
        if !self.has_room_for(name) {
            // Its next state has it in.
            return self.is_beyond(name) || self.count_beyond(name, denial.clone(), parts);
        }
        match self.rows.get_mut(name) {
            Some(known) if known.last < denial.last => {
                known.count += denial.count;
                known.last = denial.last;
            }
            None => {
                self.rows.insert(name.to_owned(), denial.clone());
            }
            // The state has it in.
            Some(_) => {}
        }
        true
    }

    /// Counts the state of a row that there is no room for; the worthiest of them
    /// are kept with what they had grown by.
    fn count_beyond(&mut self, row: &str, mut denial: Denial, parts: &mut Parts) -> bool {
        let name = identity(&row);
        if self.beyond.len() >= MAX_BEYOND && !self.beyond.contains_key(&name) {
            return false;
        }
        let known = self.beyond.insert(name, denial.count).unwrap_or_default();
        denial.count = denial.count.saturating_sub(known);
        let part = &mut parts[denial.scope as usize];
        if denial.count == 0 {
            self.beyond.insert(name, known);
        } else if known == 0 {
            part.add(row, denial);
        } else {
            part.grow(&denial);
        }
        true
    }

    fn has_room_for(&self, name: &str) -> bool {
        let room = self.rows.len() < MAX_ROWS && !self.is_beyond(name);
        room || self.rows.contains_key(name)
    }

    fn is_beyond(&self, name: &str) -> bool {
        self.beyond.contains_key(&identity(&name))
    }
}
