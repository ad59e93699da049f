//! Rows of denials as a recorded stream tells them: no kernel counts here.

use std::collections::BTreeMap;

use super::denials::Folded;
use crate::finding::{Denial, Row};

/// Rows by their name in the stream.
pub struct ToldRows {
    rows: BTreeMap<String, Denial>,
    /// Those that count no more.
    folded: Folded,
}

impl ToldRows {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            folded: Folded::new(),
        }
    }

    /// Takes a row's state in place of what was known of it.
    pub fn set(&mut self, row: Row) {
        let Row {
            row,
            folded,
            denial,
        } = row;
        if folded {
            self.rows.remove(&row);
            self.folded.add(&row, denial);
        } else {
            self.rows.insert(row, denial);
        }
    }

    /// Takes one denial. It counts until the row's next state is told, which has
    /// it in; in a stream that was cut short there is none.
    pub fn add(&mut self, name: &str, denial: &Denial) {
        match self.rows.get_mut(name) {
            Some(known) if known.last < denial.last => {
                known.count += denial.count;
                known.last = denial.last;
            }
            // The state has it in.
            Some(_) => {}
            None => {
                self.rows.insert(name.to_owned(), denial.clone());
            }
        }
    }

    /// The rows that still count.
    pub fn listed(&self) -> impl Iterator<Item = &Denial> {
        self.rows.values()
    }

    /// Those that count no more.
    pub(super) const fn folded(&self) -> &Folded {
        &self.folded
    }

    /// How many denials a security module gave.
    pub fn by_lsm(&self) -> u64 {
        let of_lsm = |row: &&Denial| matches!(row.layer.as_str(), "apparmor" | "selinux" | "lsm");
        let rows = self.rows.values().filter(of_lsm);
        rows.map(|row| row.count).sum::<u64>() + self.folded.by_lsm()
    }
}
