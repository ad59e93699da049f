//! Aligned columns, as wide as their cells, or as a terminal allows.

use crate::{
    clean::clean,
    outputs::fit::{pad, pad_left, pieces, width, wrap},
};

/// Space between two columns.
const GAP: &str = "  ";
/// Columns are not made narrower than this to fit a terminal.
const NARROWEST: usize = 10;
/// Before what is below a row.
const INDENT: &str = "    ";

/// On which side a column's text begins.
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

/// A row as a person reads it.
pub struct Row {
    /// The first cell, as wide as its column.
    pub first: String,
    /// What follows it on the same line.
    pub rest: String,
    /// The lines below: what did not fit.
    pub below: Vec<String>,
}

impl<const N: usize> Table<N> {
    pub fn new(columns: [(&'static str, Side); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row. A recorded stream may hold anything, so every cell is made safe.
    pub fn push(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| clean(&cell).into_owned()));
    }

    /// Whether the table fits a terminal of so many columns as it is.
    pub fn fits(&self, terminal: usize) -> bool {
        taken(&self.widths()) <= terminal
    }

    /// The heading and the rows. Where a terminal is too narrow, long cells go on in the next
    /// line; where that is not enough, the last columns are lines below their row.
    pub fn lines(self, terminal: Option<usize>) -> (String, Vec<Row>) {
        let mut widths = self.widths().to_vec();
        if let Some(terminal) = terminal {
            while !self.narrow(&mut widths, terminal) && widths.len() > 1 {
                widths = self.widths()[..widths.len() - 1].to_vec();
            }
        }
        let names = self.columns.map(|(name, _)| name.to_owned());
        let heading = self.across(&widths, &names).concat();
        let rows = self.rows.iter().map(|row| self.row(row, &widths, terminal));
        (heading.trim_end().to_owned(), rows.collect())
    }

    /// What each column takes where nothing is cut.
    fn widths(&self) -> [usize; N] {
        let mut widths = self.columns.map(|(name, _)| width(name));
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }

    /// Makes columns of words narrower until all fit, first between words, then within them;
    /// false where they don't fit then either.
    fn narrow(&self, widths: &mut [usize], terminal: usize) -> bool {
        let names = self.columns.map(|(name, _)| width(name).max(NARROWEST));
        let mut whole = names;
        for row in &self.rows {
            for (longest, cell) in whole.iter_mut().zip(row) {
                let words = cell.split(' ').map(width);
                *longest = words.fold(*longest, usize::max);
            }
        }
        for floors in [whole, names] {
            while taken(widths) > terminal {
                let columns = widths.iter_mut().zip(&self.columns).zip(floors);
                let wide = columns
                    .filter(|((wide, (_, side)), floor)| *side == Side::Left && **wide > *floor);
                match wide.max_by_key(|((wide, _), _)| **wide) {
                    Some(((wide, _), _)) => *wide -= 1,
                    None => break,
                }
            }
        }
        taken(widths) <= terminal
    }

    /// The cells side by side, each after the first with the space before it.
    fn across(&self, widths: &[usize], cells: &[String]) -> Vec<String> {
        let columns = self.columns.iter().zip(widths).zip(cells).enumerate();
        let padded = columns.map(|(at, (((_, side), wide), cell))| {
            let cell = match side {
                Side::Right => pad_left(cell, *wide),
                Side::Left => pad(cell, *wide),
            };
            if at == 0 {
                cell
            } else {
                format!("{GAP}{cell}")
            }
        });
        padded.collect()
    }

    fn row(&self, cells: &[String; N], widths: &[usize], terminal: Option<usize>) -> Row {
        let pieces: Vec<Vec<String>> = cells
            .iter()
            .zip(widths)
            .map(|(cell, wide)| pieces(cell, *wide))
            .collect();
        let tallest = pieces.iter().map(Vec::len).max().unwrap_or(1);
        let line = |at: usize| {
            let cells = pieces.iter().map(|cell| cell.get(at).cloned());
            let cells: Vec<_> = cells.map(Option::unwrap_or_default).collect();
            self.across(widths, &cells)
        };
        let mut top = line(0).into_iter();
        let first = top.next().unwrap_or_default();
        let mut below: Vec<_> = (1..tallest)
            .map(|at| line(at).concat().trim_end().to_owned())
            .collect();
        let left_over = self.columns.iter().zip(cells).skip(widths.len());
        for ((name, _), cell) in left_over.filter(|(_, cell)| *cell != "-") {
            let text = format!("{}: {cell}", name.to_lowercase());
            below.push(wrap(&text, INDENT, terminal));
        }
        Row {
            first,
            rest: top.collect::<String>().trim_end().to_owned(),
            below,
        }
    }
}

fn taken(widths: &[usize]) -> usize {
    let gaps = widths.len().saturating_sub(1) * GAP.len();
    widths.iter().sum::<usize>() + gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(terminal: Option<usize>) -> String {
        let mut table = Table::new([
            ("NAME", Side::Left),
            ("COUNT", Side::Right),
            ("WHY", Side::Left),
        ]);
        table.push(["a".into(), "7".into(), "not in the effective set".into()]);
        table.push(["a_name_of_twenty_one_".into(), "12".into(), "-".into()]);
        let (heading, rows) = table.lines(terminal);
        let mut lines = vec![heading];
        for row in rows {
            lines.push(row.first + &row.rest);
            lines.extend(row.below);
        }
        lines.join("\n") + "\n"
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let whole = shown(None);
        assert_eq!(whole.lines().count(), 3);
        assert_eq!(whole, shown(Some(54)));
        insta::assert_snapshot!(whole, @r"
        NAME                   COUNT  WHY
        a                          7  not in the effective set
        a_name_of_twenty_one_     12  -
        ");
    }

    #[test]
    fn long_cells_go_on_in_the_next_line() {
        insta::assert_snapshot!(shown(Some(40)), @r"
        NAME                   COUNT  WHY
        a                          7  not in the
                                      effective
                                      set
        a_name_of_twenty_one_     12  -
        ");
    }

    #[test]
    fn a_column_without_room_is_a_line_below_its_row() {
        insta::assert_snapshot!(shown(Some(24)), @r"
        NAME               COUNT
        a                      7
            why: not in the
            effective set
        a_name_of_twenty_     12
        one_
        ");
        for terminal in 22..100 {
            let text = shown(Some(terminal));
            let widest = text.lines().map(width).max().unwrap();
            assert!(widest <= terminal, "{terminal}: {text}");
        }
    }
}
