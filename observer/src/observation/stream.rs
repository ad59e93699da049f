//! Lines of a recording: what sources saw, in the order in which it was seen, and
//! what the kernel counted. Reading it again judges again.

use serde::{Deserialize, Serialize};

use super::{Observation, Row, Total, forms::nanos};
use crate::{
    config::Release,
    finding::{End, Episode, Header, LossEvent, Scope, Sources},
    time::Stamp,
};

/// Schema of a line.
pub const STREAM_SCHEMA: &str = "capwatch.stream/2";

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// [`STREAM_SCHEMA`]
    pub schema: String,
    /// When it was written.
    pub time: Stamp,
    /// What it says.
    #[serde(flatten)]
    pub says: Says,
}

impl Line {
    /// A line of the present schema.
    pub fn new(time: Stamp, says: Says) -> Self {
        Self {
            schema: STREAM_SCHEMA.to_owned(),
            time,
            says,
        }
    }
}

/// What a line says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "seen", rename_all = "lowercase")]
pub enum Says {
    /// Where the recording comes from; the first line.
    Header(Box<Header>),
    /// The rules that supervisors were recognised by.
    Rules(Box<RecordedRules>),
    /// Something that a source reported.
    Observed(Observation),
    /// Drops of a process that a log alone reported, and what became of it.
    Logged(Box<Logged>),
    /// Something was lost.
    Loss(LossEvent),
    /// The clock was looked at while something waited to be joined.
    Clock(#[serde(with = "nanos")] Stamp),
    /// A row of denials as the kernel counts it; the last line of a row counts.
    Row(Box<CountedRow>),
    /// Denials that found no row; the last line of each counts.
    Total(Box<CountedTotal>),
    /// The sources of audit records, and what was not seen, when something changed.
    Sources(Box<Sources>),
    /// The last line; without it the recording was cut short.
    End(Box<End>),
}

/// The rules that supervisors were recognised by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedRules {
    /// Their names by the numbers that owners have, from 1.
    pub names: Vec<String>,
    /// The user's own, as they were typed.
    pub supervisors: Vec<toml::Value>,
    /// The release of the host.
    pub release: Release,
}

/// Drops of a process that a log alone reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logged {
    /// When they ended.
    #[serde(with = "nanos")]
    pub time: Stamp,
    /// What the log says of them.
    pub episode: Episode,
}

/// A row of denials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedRow {
    /// What it counts.
    pub row: Row,
    /// Denials.
    pub count: u64,
    /// The first.
    #[serde(with = "nanos")]
    pub first: Stamp,
    /// The last.
    #[serde(with = "nanos")]
    pub last: Stamp,
    /// How far from the recorded command it is.
    pub scope: Scope,
    /// Whether the log has another denial of its profile and capability.
    pub like: bool,
    /// Whether the kernel counts it no more, since nobody is left who could.
    pub folded: bool,
}

/// Denials that found no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedTotal {
    /// What it counts.
    pub total: Total,
    /// Denials.
    pub count: u64,
}
