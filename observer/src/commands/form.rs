//! The form in which a diagnosis is printed.

use clap::ValueEnum;

/// The form of a diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DiagnosisForm {
    /// For a person
    #[default]
    Text,
    /// JSON
    Json,
}
