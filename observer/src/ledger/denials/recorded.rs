//! Rows as a recorded stream has them.

use super::{Denials, MAX_DETAILS, of_lsm, of_total};
use crate::{
    finding::{Denial, Row, Scope},
    ledger::KernelRow,
    observation::{
        self,
        stream::{CountedRow, CountedTotal},
    },
};

impl Denials {
    /// Takes a row's state of a stream of version 1 in place of what was known of it;
    /// says whether there was room for it.
    pub fn set_answer(&mut self, row: Row) -> bool {
        self.answers.set(row, &mut self.folded)
    }

    /// Takes one denial of a stream of version 1; says whether there was room for it.
    pub fn add_answer(&mut self, name: &str, denial: &Denial) -> bool {
        self.answers.add(name, denial, &mut self.folded)
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
