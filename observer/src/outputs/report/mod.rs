//! A report in the form that its reader wants.

mod junit;
mod markdown;
mod table;
pub mod text;
mod words;

use std::io::{self, Write};

use crate::finding::{Gate, Report};

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For a person
    #[default]
    Text,
    /// JSON
    Json,
    /// Markdown, for a CI job's summary
    Markdown,
    /// `JUnit` XML, for a CI job's test report
    Junit,
}

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub struct Style<'a> {
    /// The form.
    pub form: Form,
    /// Whether text is coloured.
    pub color: bool,
    /// Columns of the terminal that text is for; none in a file.
    pub columns: Option<usize>,
    /// Which findings are failures in a test report.
    pub gate: &'a Gate,
}

/// Writes a report.
///
/// # Errors
/// When it can't be written.
pub fn write(mut out: impl Write, report: &Report, style: Style<'_>) -> io::Result<()> {
    match style.form {
        Form::Text => {
            out.write_all(text::render(report, style.color, style.columns).as_bytes())?;
        }
        Form::Json => {
            serde_json::to_writer_pretty(&mut out, report)?;
            out.write_all(b"\n")?;
        }
        Form::Markdown => out.write_all(markdown::render(report).as_bytes())?,
        Form::Junit => out.write_all(junit::render(report, style.gate).as_bytes())?,
    }
    out.flush()
}

#[cfg(test)]
mod tests;
