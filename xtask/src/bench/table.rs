//! The table: what was measured, what the bar is, and whether it holds.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::figures::Spread;
use crate::cmd;

const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --write` -->\n";
const HEADING: &str = "\n### ";
const END: &str = "<!-- end of figures -->\n";

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// There is none: it is labelled as what it is.
    None,
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Bar {
    fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(limit) => Some(value <= limit),
            Self::AtLeast(limit) => Some(value >= limit),
        }
    }

    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(limit) => format!("≤ {limit}"),
            Self::AtLeast(limit) => format!("≥ {limit}"),
        }
    }
}

struct Row {
    what: String,
    figure: Spread,
    unit: &'static str,
    bar: Bar,
}

/// All rows, by section.
#[derive(Default)]
pub struct Table(Vec<(String, Vec<Row>)>);

impl Table {
    /// Begins a section.
    pub fn section(&mut self, name: &str) {
        self.0.push((name.to_owned(), Vec::new()));
    }

    /// Adds a row to the last section.
    pub fn row(&mut self, what: impl Into<String>, figure: Spread, unit: &'static str, bar: Bar) {
        let row = Row {
            what: what.into(),
            figure,
            unit,
            bar,
        };
        eprintln!("  {}: {}", row.what, describe(&row));
        if let Some((_, rows)) = self.0.last_mut() {
            rows.push(row);
        }
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        self.sections().map(|(_, text)| text).collect()
    }

    /// Each section's name and Markdown.
    fn sections(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, rows)| {
            let mut text = format!("{HEADING}{name}\n\n");
            let _ = writeln!(text, "| what | measured (least to most) | bar | holds |");
            let _ = writeln!(text, "|---|---|---|---|");
            for row in rows {
                let holds = match row.bar.holds(row.figure.median) {
                    None => "",
                    Some(true) => "yes",
                    Some(false) => "**no**",
                };
                let (what, bar) = (&row.what, row.bar.text());
                let _ = writeln!(text, "| {what} | {} | {bar} | {holds} |", describe(row));
            }
            (name.as_str(), text)
        })
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let row = |section: &str, row: &Row| {
            json!({
                "section": section,
                "what": row.what,
                "median": row.figure.median,
                "least": row.figure.least,
                "most": row.figure.most,
                "unit": row.unit,
                "bar": row.bar.text(),
                "holds": row.bar.holds(row.figure.median),
            })
        };
        let sections = self.0.iter();
        let rows = sections.flat_map(|(name, rows)| rows.iter().map(move |one| row(name, one)));
        json!({ "schema": "capwatch.bench/1", "rows": rows.collect::<Vec<_>>() })
    }

    /// Puts the sections between the marks of a document, in place of those of
    /// the same name.
    ///
    /// # Errors
    /// When the document has no marks.
    pub fn write_into(&self, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
        let (before, rest) = text
            .split_once(BEGIN)
            .context("no mark where figures begin")?;
        let (old, after) = rest.split_once(END).context("no mark where figures end")?;
        let figures = self.merged(old, &machine()?);
        fs::write(file, format!("{before}{BEGIN}{figures}\n{END}{after}"))?;
        Ok(())
    }

    /// The sections of a text, with those of this table in place of older ones.
    fn merged(&self, old: &str, machine: &str) -> String {
        let mut kept: Vec<(&str, String)> = Vec::new();
        for section in old.split(HEADING).skip(1) {
            let name = section.lines().next().unwrap_or_default();
            kept.push((name, format!("{HEADING}{}\n", section.trim_end())));
        }
        for (name, text) in self.sections() {
            let (heading, rows) = text.split_at(HEADING.len() + name.len() + 1);
            let text = format!("{heading}\n{machine}{rows}");
            match kept.iter_mut().find(|(other, _)| *other == name) {
                Some((_, older)) => *older = text,
                None => kept.push((name, text)),
            }
        }
        kept.into_iter().map(|(_, text)| text).collect()
    }
}

/// On what it was measured, and when.
fn machine() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("no {path}"));
    let release = read("/proc/sys/kernel/osrelease")?;
    let cpus = read("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unnamed processor", |line| {
        line.trim_start_matches(['\t', ' ', ':'])
    });
    let count = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let date = cmd::stdout(std::process::Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let commit = cmd::stdout(
        std::process::Command::new("git")
            .args(["describe", "--always", "--dirty"])
            .current_dir(cmd::workspace()),
    )?;
    Ok(format!(
        "Measured on {} at {} on a virtual machine with {count} × {model}, Linux {}.\n",
        date.trim(),
        commit.trim(),
        // What comes after is the machine's owner's name for it.
        release.split('-').next().unwrap_or_default().trim()
    ))
}

fn describe(row: &Row) -> String {
    let Spread {
        median,
        least,
        most,
    } = row.figure;
    let (unit, figure) = (row.unit, number(median));
    if (most - least).abs() < f64::EPSILON {
        format!("{figure} {unit}")
    } else {
        format!("{figure} {unit} ({} to {})", number(least), number(most))
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_older_self() {
        let mut table = Table::default();
        table.section("storm");
        table.row("counted", Spread::one(2.0), "", Bar::None);
        let old = "\n### parser\n\nold\n\n| a |\n\n### storm\n\n| b |\n";
        let text = table.merged(old, "Measured.\n");
        let start = "\n### parser\n\nold\n\n| a |\n\n### storm\n\nMeasured.\n\n| what";
        assert!(text.starts_with(start), "{text}");
        assert!(!text.contains("| b |"), "{text}");
        assert_eq!(table.merged(&text, "Measured.\n"), text);
    }

    #[test]
    fn a_bar_that_is_not_met_is_reported() {
        let mut table = Table::default();
        table.section("x");
        table.row("slow", Spread::one(1.4), "×", Bar::AtMost(1.3));
        table.row("fast", Spread::one(12.0), "×", Bar::AtLeast(10.0));
        table.row("shown", Spread::one(250.0), "ns", Bar::None);
        let text = table.markdown();
        assert!(
            text.contains("| slow | 1.40 × | ≤ 1.3 | **no** |"),
            "{text}"
        );
        assert!(text.contains("| fast | 12.0 × | ≥ 10 | yes |"), "{text}");
        assert!(text.contains("| shown | 250 ns |  |  |"), "{text}");
        assert_eq!(table.json()["rows"][0]["holds"], false);
    }
}
