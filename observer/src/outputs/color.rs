//! When to colour, and what in which colour.

use std::{fmt::Display, io::IsTerminal};

use crate::finding::Verdict;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to colour what goes to this stream.
    pub fn on(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let unset = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                unset && stream.is_terminal()
            }
        }
    }
}

/// A way to write, as the numbers of `ESC [ … m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tint {
    /// As the terminal has it.
    Plain,
    /// Less than the rest.
    Dim,
    /// More than the rest.
    Bold,
    /// What may become worse.
    Warning,
    /// As a verdict.
    Verdict(Verdict),
}

impl Tint {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Bold => "1",
            // As on the page and the dashboards: red, orange, purple, blue, green.
            Self::Warning => "33",
            Self::Verdict(Verdict::Pending) => "35",
            Self::Verdict(Verdict::Ok) => "32",
            Self::Verdict(Verdict::Harmless) => "36",
            Self::Verdict(Verdict::Degraded) => "1;33",
            Self::Verdict(Verdict::Fatal) => "1;31",
        }
    }

    /// The text in this tint, or as it is where there is to be no colour.
    pub fn paint(self, text: impl Display, color: bool) -> String {
        let code = self.code();
        if color && !code.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// A verdict in its colour.
pub fn verdict(verdict: Verdict, color: bool) -> String {
    Tint::Verdict(verdict).paint(verdict, color)
}
