//! A report in the form that its reader wants.

mod junit;
mod markdown;
mod runner;
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
    let shown = |character: char| character.escape_unicode().to_string();
    let text = match style.form {
        Form::Text => {
            let text = text::render(report, style.color, style.columns);
            runner::disarm(&text, shown)
        }
        Form::Json => {
            let text = serde_json::to_string_pretty(report)?;
            // The same value: these characters stand in strings alone.
            runner::disarm(&text, |character| {
                format!("\\u{:04x}", u32::from(character))
            }) + "\n"
        }
        Form::Markdown => runner::disarm(&markdown::render(report), shown),
        Form::Junit => runner::disarm(&junit::render(report, style.gate), |character| {
            format!("&#{};", u32::from(character))
        }),
    };
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests;
