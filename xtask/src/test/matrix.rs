//! Kernel × mechanism × test: what came of each, kept from run to run, and the
//! table that `docs/kernels.md` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::report::Tally;
use crate::cmd;
use crate::vm::Arch;

/// Between these lines the table is written.
const MARKS: [&str; 2] = ["<!-- cargo xtask kernels: begin -->", "<!-- end -->"];

/// A note that begins so is a row of the table in `docs/containers.md`.
const ROW: &str = "| ";

/// Which mechanisms a kernel has, and why not the others.
pub fn mechanism(series: &str, arch: Arch, mechanism: &str) -> Result<(), &'static str> {
    match mechanism {
        "fexit" if arch == Arch::Arm64 && series == "6.1" => {
            Err("arm64 has no BPF trampolines before 6.4")
        }
        "tracepoint" if series != "7.x" => Err("the tracepoint `cap_capable` came with 6.14"),
        _ => Ok(()),
    }
}

/// One row of the table: a kernel, and the mechanism that was forced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Release series, as asked for.
    pub series: String,
    /// The emulated processor.
    pub arch: &'static str,
    /// The mechanism; `any` for tests that force none.
    pub mechanism: String,
}

/// What came of a test on one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Passed, failed and skipped checks.
    Ran(u32, u32, u32),
    /// The kernel has no such mechanism, for this reason.
    NotThere(String),
}

/// What came of all.
#[derive(Debug, Default)]
pub struct Matrix {
    cells: BTreeMap<(Row, String), Cell>,
    /// What the machines said of themselves, by kernel.
    notes: BTreeMap<(String, &'static str), BTreeSet<String>>,
}

impl Matrix {
    /// Enters a run.
    pub fn ran(&mut self, row: Row, test: &str, tally: &Tally) {
        let notes = self
            .notes
            .entry((row.series.clone(), row.arch))
            .or_default();
        notes.extend(tally.notes.iter().cloned());
        let cell = Cell::Ran(tally.passed, tally.failed, tally.skipped);
        self.cells.insert((row, test.to_owned()), cell);
    }

    /// Enters what can't be run.
    pub fn not_there(&mut self, row: Row, test: &str, why: &str) {
        let cell = Cell::NotThere(why.to_owned());
        self.cells.insert((row, test.to_owned()), cell);
    }

    /// Whether nothing was entered.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The table, in Markdown.
    pub fn table(&self) -> String {
        let tests: BTreeSet<&str> = self.cells.keys().map(|(_, test)| test.as_str()).collect();
        let rows: BTreeSet<&Row> = self.cells.keys().map(|(row, _)| row).collect();
        let mut rows: Vec<&Row> = rows.into_iter().collect();
        rows.sort_by_key(|row| (row.arch != "x86_64", version(&row.series), &row.mechanism));
        let mut lines = vec![
            format!("| kernel | mechanism | {} |", join(&tests)),
            format!("|---|---|{}", "---|".repeat(tests.len())),
        ];
        let mut reasons = BTreeSet::new();
        for row in rows {
            let cells = tests.iter().map(|test| {
                let cell = self.cells.get(&(row.clone(), (*test).to_owned()));
                if let Some(Cell::NotThere(why)) = cell {
                    reasons.insert(why.as_str());
                }
                describe(cell)
            });
            let cells = cells.collect::<Vec<_>>().join(" | ");
            let Row {
                series,
                arch,
                mechanism,
            } = row;
            lines.push(format!("| {series} {arch} | {mechanism} | {cells} |"));
        }
        if !reasons.is_empty() {
            let reasons: Vec<&str> = reasons.into_iter().collect();
            lines.push(format!("\nNot there: {}.", reasons.join("; ")));
        }
        lines.push(String::new());
        for ((series, arch), notes) in &self.notes {
            let notes = notes.iter().filter(|note| !note.starts_with(ROW));
            lines.extend(notes.map(|note| format!("- {series} {arch}: {note}")));
        }
        lines.join("\n") + "\n"
    }

    /// What `tests/vm/runtimes.sh` showed of each way to run a container.
    pub fn containers(&self) -> Option<String> {
        let notes = self.notes.values().flatten();
        let rows: BTreeSet<&str> = notes
            .map(String::as_str)
            .filter(|note| note.starts_with(ROW))
            .collect();
        if rows.is_empty() {
            return None;
        }
        let mut lines = vec![
            "| run by | version | id | name | image | `version` | pod | capabilities asked for | remedy, followed |",
            "|---|---|---|---|---|---|---|---|---|",
        ];
        lines.extend(rows);
        Some(lines.join("\n") + "\n")
    }

    /// Adds this to what earlier runs left, so kernels can be run one by one.
    pub fn keep(&self) -> Result<()> {
        let mut all = Self::kept()?;
        all.cells.extend(self.cells.clone());
        // A run of few tests says little; what an earlier one said still holds.
        let noted = self.notes.iter().filter(|(_, notes)| !notes.is_empty());
        all.notes
            .extend(noted.map(|(of, notes)| (of.clone(), notes.clone())));
        let mut lines = Vec::new();
        for ((row, test), cell) in &all.cells {
            let Row {
                series,
                arch,
                mechanism,
            } = row;
            let cell = match cell {
                Cell::Ran(passed, failed, skipped) => format!("{passed}\t{failed}\t{skipped}"),
                Cell::NotThere(why) => why.clone(),
            };
            lines.push(format!("{series}\t{arch}\t{mechanism}\t{test}\t{cell}\n"));
        }
        for ((series, arch), notes) in &all.notes {
            let notes = notes.iter();
            lines.extend(notes.map(|note| format!("{series}\t{arch}\tnote\t{note}\n")));
        }
        fs::write(file(), lines.concat()).context("cannot keep the kernels' results")
    }

    fn kept() -> Result<Self> {
        let text = match fs::read_to_string(file()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context("cannot read the kernels' results"),
        };
        let mut matrix = Self::default();
        for line in text.lines() {
            matrix
                .parse(line)
                .with_context(|| format!("{line:?} is no result"))?;
        }
        Ok(matrix)
    }

    fn parse(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split('\t').collect();
        let arch = ["x86_64", "arm64"]
            .into_iter()
            .find(|arch| words.get(1) == Some(arch))?;
        let row = |series: &str, mechanism: &str| Row {
            series: series.to_owned(),
            arch,
            mechanism: mechanism.to_owned(),
        };
        match words.as_slice() {
            [series, _, "note", note] => {
                let notes = self.notes.entry(((*series).to_owned(), arch)).or_default();
                notes.insert((*note).to_owned());
            }
            [series, _, mechanism, test, why] => self.not_there(row(series, mechanism), test, why),
            [series, _, mechanism, test, passed, failed, skipped] => {
                let number = |text: &str| text.parse().ok();
                let cell = Cell::Ran(number(passed)?, number(failed)?, number(skipped)?);
                let key = (row(series, mechanism), (*test).to_owned());
                self.cells.insert(key, cell);
            }
            _ => return None,
        }
        Some(())
    }
}

/// `cargo xtask kernels`: writes the table of what was run into the docs.
pub fn write_docs() -> Result<()> {
    let matrix = Matrix::kept()?;
    ensure!(
        !matrix.is_empty(),
        "no kernel was run: `cargo xtask test --full --ring 3`"
    );
    write(&matrix.table(), "docs/kernels.md")?;
    let Some(containers) = matrix.containers() else {
        println!("docs/containers.md stays: `--full --only runtimes` was not run");
        return Ok(());
    };
    write(&containers, "docs/containers.md")
}

/// Puts a table into a document, between its marks.
fn write(table: &str, document: &'static str) -> Result<()> {
    let path = cmd::workspace().join(document);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {document}"))?;
    let date = cmd::stdout(Command::new("date").arg("+%F"))?;
    let date = date.trim();
    let text = replace(&text, &format!("\nWritten on {date}.\n\n{table}\n"))
        .with_context(|| format!("{document} has no place for the table"))?;
    fs::write(&path, text)?;
    println!("{table}");
    Ok(())
}

fn replace(text: &str, table: &str) -> Option<String> {
    let (head, rest) = text.split_once(MARKS[0])?;
    let (_, tail) = rest.split_once(MARKS[1])?;
    Some(format!("{head}{}{table}{}{tail}", MARKS[0], MARKS[1]))
}

fn file() -> PathBuf {
    cmd::target_dir().join("kernels.tsv")
}

fn join(tests: &BTreeSet<&str>) -> String {
    tests.iter().copied().collect::<Vec<_>>().join(" | ")
}

fn describe(cell: Option<&Cell>) -> String {
    match cell {
        None => "–".to_owned(),
        Some(Cell::NotThere(_)) => "not there".to_owned(),
        Some(Cell::Ran(passed, 0, 0)) => format!("{passed} ok"),
        Some(Cell::Ran(passed, 0, skipped)) => format!("{passed} ok, {skipped} skipped"),
        Some(Cell::Ran(passed, failed, _)) => format!("{passed} ok, **{failed} failed**"),
    }
}

/// `5.10` before `6.1` before `6.12` before `7.x`.
fn version(series: &str) -> (u32, u32) {
    let mut numbers = series
        .split('.')
        .map(|word| word.parse().unwrap_or(u32::MAX));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(series: &str, mechanism: &str) -> Row {
        Row {
            series: series.to_owned(),
            arch: "x86_64",
            mechanism: mechanism.to_owned(),
        }
    }

    #[test]
    fn the_table_is_sorted_by_version_and_says_why_not() {
        let mut matrix = Matrix::default();
        let mut tally = Tally::pass();
        tally.notes.push("Debian 6.12.1".to_owned());
        matrix.ran(row("6.12", "fexit"), "scenarios", &tally);
        matrix.ran(row("6.1", "kprobe"), "scenarios", &Tally::pass());
        matrix.not_there(row("6.1", "tracepoint"), "scenarios", "too old");
        let table = matrix.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "| kernel | mechanism | scenarios |");
        assert_eq!(lines[2], "| 6.1 x86_64 | kprobe | 1 ok |");
        assert_eq!(lines[3], "| 6.1 x86_64 | tracepoint | not there |");
        assert_eq!(lines[4], "| 6.12 x86_64 | fexit | 1 ok |");
        assert!(table.contains("Not there: too old."));
        assert!(table.contains("- 6.12 x86_64: Debian 6.12.1"));
    }

    #[test]
    fn rows_of_containers_have_a_table_apart() {
        let mut matrix = Matrix::default();
        let mut tally = Tally::pass();
        matrix.ran(row("6.12", "any"), "units", &tally);
        assert_eq!(matrix.containers(), None);
        tally.notes = vec!["Debian 6.12.1".to_owned(), "| LXC | 5.0.2 |".to_owned()];
        matrix.ran(row("6.12", "any"), "runtimes", &tally);
        let containers = matrix.containers().unwrap_or_default();
        assert!(containers.ends_with("|\n| LXC | 5.0.2 |\n"), "{containers}");
        assert!(!containers.contains("Debian"), "{containers}");
        let kernels = matrix.table();
        assert!(!kernels.contains("LXC"), "{kernels}");
        assert!(
            kernels.contains("- 6.12 x86_64: Debian 6.12.1"),
            "{kernels}"
        );
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        let mut matrix = Matrix::default();
        for line in [
            "6.1\tx86_64\tkprobe\tscenarios\t45\t0\t1",
            "6.1\tarm64\tfexit\tscenarios\tno trampolines",
            "6.1\tx86_64\tnote\tDebian 6.1",
        ] {
            assert!(matrix.parse(line).is_some(), "{line}");
        }
        assert!(
            matrix
                .parse("6.1\tmips\tkprobe\tscenarios\t1\t0\t0")
                .is_none()
        );
        let table = matrix.table();
        assert!(
            table.contains("| 6.1 x86_64 | kprobe | 45 ok, 1 skipped |"),
            "{table}"
        );
        assert!(
            table.contains("| 6.1 arm64 | fexit | not there |"),
            "{table}"
        );
    }

    #[test]
    fn the_table_replaces_the_old_one() {
        let text = format!("a\n{}\nold\n{}\nb\n", MARKS[0], MARKS[1]);
        let new = replace(&text, "new").expect("the marks are there");
        assert_eq!(new, format!("a\n{}new{}\nb\n", MARKS[0], MARKS[1]));
        assert_eq!(replace("no marks", "new"), None);
    }
}
