//! `capwatch explain`: an error message as people paste it, and what can be
//! behind it: which program says so, the causes in order of likelihood, one
//! command that separates each from the others, and the remedy.
//!
//! The messages are data (`errors.toml`); `docs/errors.md` is made of the same.
//! An audit record in the text is explained as `replay` explains it.

mod page;
mod pattern;
mod table;

use std::{
    io::{self, IsTerminal as _, Read, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{args::Explain, form::DiagnosisForm};
use crate::{
    audit::{Parsed, parse_line},
    clean::clean,
    config::Rules,
};
use table::{Cause, Entry, Table};

/// The longest text that is looked at: an error message is a few lines.
const LONGEST: usize = 64 * 1024;
/// Entries that are shown in full.
const SHOWN: usize = 3;
/// Heading of causes that an errno, or a part of a record, does not separate.
const POSSIBLE: &str = "Possible causes. The text does not show which one it was:";
/// What to do after such a text.
const NEXT: &str = "as root, run the failing command under `capwatch record -- COMMAND` (with `--user NAME` \
    if it runs as another user). It shows each refusal with its layer. `capwatch doctor` checks what \
    capwatch can see on this host.";
/// Exit code of a text that nothing is known of.
const UNKNOWN: u8 = 1;

/// What is known of a text.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    schema: &'static str,
    known: bool,
    /// Sentences on the audit records in it.
    records: Vec<String>,
    /// Messages in it, the best fit first.
    errors: Vec<Fit<'a>>,
    /// Whether only the beginning of the text was looked at.
    cut: bool,
}

/// A message that was found in the text.
#[derive(Debug, Serialize)]
struct Fit<'a> {
    id: &'a str,
    #[serde(skip)]
    general: bool,
    /// The line of the text, or the text where it goes over several.
    line: String,
    program: &'a str,
    /// How it is known.
    examples: &'a [String],
    means: &'a str,
    causes: Vec<Cause>,
    source: &'a [String],
}

/// Runs the command.
pub fn run(options: &Explain, rules: Arc<Rules>) -> anyhow::Result<ExitCode> {
    let (text, cut) = text_of(&options.text)?;
    let table = Table::built_in()?;
    let mut answer = answer(&table, &text, rules);
    answer.cut = cut;
    let mut out = io::stdout().lock();
    match options.output {
        DiagnosisForm::Json => {
            serde_json::to_writer_pretty(&mut out, &answer)?;
            out.write_all(b"\n")?;
        }
        DiagnosisForm::Text => show(&mut out, &answer)?,
    }
    Ok(if answer.known {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNKNOWN)
    })
}

/// The text, and whether it was cut.
fn text_of(words: &[String]) -> anyhow::Result<(String, bool)> {
    let mut bytes = Vec::new();
    if words == ["-"] {
        if io::stdin().is_terminal() {
            bail!(
                "stdin is a terminal: give the message as an argument, or pipe it to `capwatch explain -`"
            );
        }
        let mut input = io::stdin().take(LONGEST as u64 + 1);
        input.read_to_end(&mut bytes).context("cannot read stdin")?;
    } else {
        bytes.extend(words.join(" ").bytes());
    }
    let cut = bytes.len() > LONGEST;
    bytes.truncate(LONGEST);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.trim().is_empty() {
        bail!("the text is empty: name the error message to explain");
    }
    Ok((text, cut))
}

fn answer<'a>(table: &'a Table, text: &str, rules: Arc<Rules>) -> Answer<'a> {
    let records = records(text, rules);
    let mut found = table.find(text);
    if found.iter().all(|(entry, _)| entry.general) {
        // A whole record explains itself.
        let rest: Vec<_> = text.lines().filter(|line| !holds_record(line)).collect();
        found = table.find(&rest.join("\n"));
    }
    let errors: Vec<_> = found
        .into_iter()
        .map(|(entry, line)| Fit::new(table, entry, line))
        .collect();
    Answer {
        schema: "capwatch.explain/1",
        known: !errors.is_empty() || !records.is_empty(),
        records,
        errors,
        cut: false,
    }
}

fn holds_record(line: &str) -> bool {
    match parse_line(line.as_bytes()) {
        Parsed::Record(record) => record.each().any(|record| record.is_about_capability()),
        _ => false,
    }
}

/// A sentence for each capability that records in the text show as denied.
fn records(text: &str, rules: Arc<Rules>) -> Vec<String> {
    if !text.lines().any(holds_record) {
        return Vec::new();
    }
    let input = io::Cursor::new(text.as_bytes().to_vec());
    let (report, _) = super::replay::report_of(Box::new(input), "the text", rules);
    let denials = report.denials.into_iter();
    denials.map(|denial| denial.explanation).collect()
}

impl<'a> Fit<'a> {
    fn new(table: &Table, entry: &'a Entry, line: String) -> Self {
        Self {
            id: &entry.id,
            general: entry.general,
            line,
            program: &entry.program,
            examples: &entry.examples,
            means: &entry.means,
            causes: table.causes(entry),
            source: &entry.source,
        }
    }
}

fn show(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    let Answer {
        schema: _,
        known,
        records,
        errors,
        cut,
    } = answer;
    if *cut {
        writeln!(out, "capwatch read only the first {LONGEST} bytes.\n")?;
    }
    if !known {
        return writeln!(
            out,
            "This message is unknown. The agent's page lists the known ones (/docs/errors).\nRun the failing command under `capwatch record -- COMMAND` to see \
             whether the kernel refused a capability."
        );
    }
    for sentence in records {
        writeln!(out, "Audit record: {}\n", clean(sentence))?;
    }
    for fit in errors.iter().take(SHOWN) {
        show_fit(out, fit)?;
    }
    let rest: Vec<_> = errors.iter().skip(SHOWN).map(|fit| fit.id).collect();
    if !rest.is_empty() {
        writeln!(
            out,
            "Also in the text: {} (/docs/errors on the agent's page)",
            rest.join(", ")
        )?;
    }
    Ok(())
}

fn show_fit(out: &mut impl Write, fit: &Fit<'_>) -> io::Result<()> {
    writeln!(out, "{}", clean(&fit.line))?;
    writeln!(out, "  Reported by {}: {}.", fit.program, fit.means)?;
    let heading = match (fit.general, fit.causes.len()) {
        (true, _) => POSSIBLE,
        (false, 1) => "Cause:",
        (false, _) => "Causes, most likely first:",
    };
    writeln!(out, "  {heading}")?;
    let sign = if fit.general {
        "suggests it"
    } else {
        "the cause if it shows"
    };
    for (number, cause) in fit.causes.iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, cause.what)?;
        writeln!(out, "     check: {}", cause.check)?;
        writeln!(out, "     {sign}: {}", cause.sign)?;
        writeln!(out, "     fix: {}", cause.fix)?;
    }
    if fit.general {
        writeln!(out, "  Next: {NEXT}")?;
    }
    writeln!(out, "  Sources: {}\n", fit.source.join(" "))
}

#[cfg(test)]
mod tests;
