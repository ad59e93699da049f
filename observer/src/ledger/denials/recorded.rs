//! Rows as a recorded stream has them.

use super::{Denials, MAX_BEYOND, MAX_DETAILS, MAX_TOLD, of_lsm, of_total};
use crate::{
    finding::{Denial, Row, Scope},
    ledger::KernelRow,
    observation::{
        self, identity,
        stream::{CountedRow, CountedTotal},
    },
};

impl Denials {
    /// Takes a row's state of a recorded stream in place of what was known of it;
    /// says whether there was room for it.
    pub fn tell_row(&mut self, row: Row) -> bool {
        let Row {
            row,
            folded,
            denial,
        } = row;
        if folded && !self.is_beyond(&row) {
            self.told.remove(&row);
            self.folded[denial.scope as usize].add(&row, denial);
            return true;
        }
        if self.has_room_for(&row) {
            self.told.insert(row, denial);
            return true;
        }
        self.count_beyond(&row, denial)
    }

    /// Counts the state of a row that there is no room for; the worthiest of them
    /// are kept with what they had grown by.
    fn count_beyond(&mut self, row: &str, mut denial: Denial) -> bool {
        let name = identity(&row);
        if self.beyond.len() >= MAX_BEYOND && !self.beyond.contains_key(&name) {
            return false;
        }
        let known = self.beyond.insert(name, denial.count).unwrap_or_default();
        denial.count = denial.count.saturating_sub(known);
        if denial.count == 0 {
            self.beyond.insert(name, known);
        } else if known == 0 {
            self.folded[denial.scope as usize].add(row, denial);
        } else {
            self.folded[denial.scope as usize].grow(&denial);
        }
        true
    }

    /// Takes one denial of a recorded stream; says whether there was room for it. It
    /// counts until the row's next state is reported, which has it in; in a stream that
    /// was cut short there is none.
    pub fn tell(&mut self, name: &str, denial: &Denial) -> bool {
        if !self.has_room_for(name) {
            // Its next state has it in.
            return self.is_beyond(name) || self.count_beyond(name, denial.clone());
        }
        match self.told.get_mut(name) {
            Some(known) if known.last < denial.last => {
                known.count += denial.count;
                known.last = denial.last;
            }
            None => {
                self.told.insert(name.to_owned(), denial.clone());
            }
            // The state has it in.
            Some(_) => {}
        }
        true
    }

    fn has_room_for(&self, name: &str) -> bool {
        let room = self.told.len() < MAX_TOLD && !self.is_beyond(name);
        room || self.told.contains_key(name)
    }

    fn is_beyond(&self, name: &str) -> bool {
        self.beyond.contains_key(&identity(&name))
    }

    /// The kernel's rows of a scope, as a recording has them.
    pub fn counted_rows(&self, scope: Scope) -> Vec<CountedRow> {
        let rows = self.rows.iter();
        let rows = rows.filter(|(_, _, row)| scope.takes(*row));
        rows.map(|(row, tally, scope)| CountedRow {
            row: *row,
            count: tally.count,
            first: tally.first,
            last: tally.last,
            scope: *scope,
            like: self.is_alike(row),
            folded: false,
        })
        .collect()
    }

    /// The same of rows that the kernel is about to forget.
    pub fn folded_row(&self, row: &KernelRow) -> CountedRow {
        CountedRow {
            row: row.key,
            count: row.tally.count,
            first: row.tally.first,
            last: row.tally.last,
            scope: row.scope,
            like: self.is_alike(&row.key),
            folded: true,
        }
    }

    /// What found no row, of a scope, as a recording has it.
    pub fn counted_totals(&self, scope: Scope) -> Vec<CountedTotal> {
        let totals = self.totals.iter();
        let totals = totals.filter(|(total, _)| scope.takes(of_total(total)));
        totals
            .map(|(total, count)| CountedTotal {
                total: *total,
                count: *count,
            })
            .collect()
    }

    fn is_alike(&self, row: &observation::Row) -> bool {
        of_lsm(row.layer) && self.has_like(row)
    }

    /// Takes it from a recording that the log has others like this row.
    pub fn note_like(&mut self, row: observation::Row) {
        if self.likes.len() < MAX_DETAILS {
            self.likes.insert(row);
        }
    }
}
