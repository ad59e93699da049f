//! Aligned columns, as wide as what is in them.

use crate::{
    clean::clean,
    outputs::fit::{pad, pad_left, width},
};

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table of so many columns.
pub struct Table<const N: usize> {
    columns: [(&'static str, Side); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub fn new(columns: [(&'static str, Side); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row. A recorded stream may hold anything, so that every cell is made safe.
    pub fn push(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| clean(&cell).into_owned()));
    }

    /// The heading and the rows, as lines of padded cells; the last column is
    /// not padded.
    pub fn lines(self) -> (String, Vec<[String; N]>) {
        let mut widths = self.columns.map(|(name, _)| width(name));
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let sides = self.columns.map(|(_, side)| side);
        let align = |cells: [String; N]| {
            let mut at = 0;
            cells.map(|cell| {
                let (side, wide) = (sides[at], widths[at]);
                at += 1;
                match side {
                    Side::Right => pad_left(&cell, wide),
                    Side::Left if at == N => cell,
                    Side::Left => pad(&cell, wide),
                }
            })
        };
        let heading = align(self.columns.map(|(name, _)| name.to_owned())).join("  ");
        (heading, self.rows.into_iter().map(align).collect())
    }
}
