//! What becomes of a line: one of three, and none is lost silently.

use thiserror::Error;

use super::Record;
use super::loss::Loss;

/// The outcome of one line or message. Record + foreign + malformed = read.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart once per line, never stored"
)]
pub enum Parsed<'a> {
    /// A record this parser knows.
    Record(Record<'a>),
    /// Something else, left alone and counted by kind.
    Foreign(Foreign),
    /// Ours, but broken.
    Malformed(Malformed),
}

/// Why a line holds no record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// Nothing on it.
    Empty,
    /// No audit record at all.
    NotAudit,
    /// An audit record of another type.
    Type(u16),
    /// An audit record of a type whose name has no number here.
    UnknownType,
    /// An access-vector record of another module or object class.
    OtherAvc,
    /// Looks like a record, but another program wrote it into its own log.
    OtherProgram,
    /// Says that records were lost.
    Loss(Loss),
}

impl Foreign {
    /// A short name, for counting.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAudit => "not_audit",
            Self::Type(_) => "other_type",
            Self::UnknownType => "unknown_type",
            Self::OtherAvc => "other_avc",
            Self::OtherProgram => "other_program",
            Self::Loss(_) => "loss",
        }
    }
}

/// What is wrong with a line that should have been a record.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Cut short inside a quoted value.
    #[error("a quoted value has no end; the line was cut short")]
    UnterminatedQuote,
    /// Ends where every kernel writes on.
    #[error("the record was cut short: {0} is missing or incomplete")]
    CutShort(&'static str),
    /// The stamp is no `seconds.milliseconds:serial`.
    #[error("the audit time stamp cannot be read")]
    BadStamp,
    /// This field should hold a number.
    #[error("the field {0} holds no valid number")]
    BadNumber(&'static str),
    /// `apparmor=` or `avc:` is followed by a word that is no verdict.
    #[error("unknown verdict")]
    UnknownVerdict,
    /// A record of a type of ours that says nothing.
    #[error("the record has no fields")]
    Empty,
    /// `SELinux`: no `{ permission … }`.
    #[error("the access vector names no permission")]
    NoPermission,
    /// Longer than any record can be.
    #[error("the line is longer than {} bytes", super::MAX_LINE)]
    TooLong,
    /// Began as a journal entry in JSON.
    #[error("the journal entry is no valid JSON object")]
    BadJson,
    /// Began as a journal entry in the export format.
    #[error("the journal export entry is broken")]
    BadExport,
}
