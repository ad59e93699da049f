//! What is reported about the tests: steps, checks, and the last line.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

/// One thing that a test looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Check {
    /// It is as it should be.
    Ok(String),
    /// It isn't, for this reason.
    NotOk(String, String),
    /// It couldn't be looked at, for this reason.
    Skip(String, String),
    /// No check: something that the docs say of where it ran.
    Note(String),
}

/// How many checks there were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As they should be.
    pub passed: u32,
    /// Not so.
    pub failed: u32,
    /// Not looked at.
    pub skipped: u32,
    /// What was said of where the checks ran.
    pub notes: Vec<String>,
    lines: Vec<String>,
}

impl Tally {
    /// The tally of one check that passed.
    pub fn pass() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// Counts a check of `run`.
    pub fn add(&mut self, run: &str, check: Check) {
        let line = match check {
            Check::Ok(name) => {
                self.passed += 1;
                format!("ok      {run}: {name}")
            }
            Check::NotOk(name, why) => {
                self.failed += 1;
                format!("FAILED  {run}: {name}: {why}")
            }
            Check::Skip(name, why) => {
                self.skipped += 1;
                format!("skipped {run}: {name}: {why}")
            }
            Check::Note(text) => return self.notes.push(text),
        };
        self.lines.push(line);
    }

    /// Adds another tally.
    pub fn extend(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            skipped,
            notes,
            lines,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
        self.notes.extend(notes);
        self.lines.extend(lines);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.passed + self.failed + self.skipped == 0
    }
}

/// The last line, which other programs read.
impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Runs steps and reports them.
#[derive(Default)]
pub struct Report {
    total: Tally,
}

impl Report {
    /// Runs a step; an error is a failure of the step, and the next one runs.
    pub fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Tally>) {
        println!("== {name}");
        let begun = Instant::now();
        let result = run();
        self.ended(name, begun.elapsed(), result);
    }

    /// Reports how a step ended; an error is a failure of it.
    pub fn ended(&mut self, name: &str, took: Duration, result: Result<Tally>) {
        let tally = result.unwrap_or_else(|error| {
            let mut tally = Tally::default();
            tally.add(name, Check::NotOk("error".into(), format!("{error:#}")));
            tally
        });
        for line in &tally.lines {
            println!("   {line}");
        }
        let outcome = if tally.failed > 0 { "FAILED" } else { "ok" };
        println!(
            "== {name}: {outcome} ({tally}) in {:.1} s",
            took.as_secs_f64()
        );
        self.total.extend(tally);
    }

    /// Leaves a step out, and says why.
    pub fn skip(&mut self, name: &str, why: &str) {
        println!("== {name}: skipped: {why}");
        self.total.skipped += 1;
    }

    /// Repeats what failed, ends with the sum, and says whether all is well.
    pub fn finish(self) -> bool {
        println!();
        for line in self
            .total
            .lines
            .iter()
            .filter(|line| line.starts_with("FAILED"))
        {
            println!("{line}");
        }
        println!("{}", self.total);
        self.total.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_skips_only_where_there_are() {
        let mut tally = Tally::pass();
        assert_eq!(tally.to_string(), "1 passed, 0 failed");
        tally.add("t", Check::Skip("a".into(), "no root".into()));
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 1 skipped");
    }
}
