//! Rows of denials as a recorded stream tells them: no kernel counts here.

use std::collections::BTreeMap;

use crate::finding::{Denial, Row};

/// Rows by their name in the stream.
#[derive(Clone, Debug, Default)]
pub struct ToldRows {
    rows: BTreeMap<String, Row>,
}

impl ToldRows {
    /// Takes a row's state in place of what was known of it.
    pub fn set(&mut self, row: Row) {
        self.rows.insert(row.row.clone(), row);
    }

    /// Takes one denial. It counts until the row's next state is told, which has
    /// it in; in a stream that was cut short there is none.
    pub fn add(&mut self, name: &str, denial: &Denial) {
        match self.rows.get_mut(name) {
            Some(known) if known.denial.last < denial.last => {
                known.denial.count += denial.count;
                known.denial.last = denial.last;
            }
            // The state has it in.
            Some(_) => {}
            None => {
                let row = Row {
                    row: name.to_owned(),
                    folded: false,
                    denial: denial.clone(),
                };
                self.rows.insert(name.to_owned(), row);
            }
        }
    }

    /// The rows that a report lists.
    pub fn listed(&self) -> impl Iterator<Item = &Denial> {
        let rows = self.rows.values().filter(|row| !row.folded);
        rows.map(|row| &row.denial)
    }

    /// How many denials a security module gave.
    pub fn by_lsm(&self) -> u64 {
        let of_lsm =
            |row: &&Row| matches!(row.denial.layer.as_str(), "apparmor" | "selinux" | "lsm");
        let rows = self.rows.values().filter(of_lsm);
        rows.map(|row| row.denial.count).sum()
    }
}
