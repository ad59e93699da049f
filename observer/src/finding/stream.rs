//! Lines of a recorded stream beyond the events: what a report needs besides.

use serde::{Deserialize, Serialize};

use super::{Command, Denial, EVENT_SCHEMA, HookReport, Host, Scope, Scoped, SourceReport};
use crate::{sight::Sight, time::Stamp};

/// One line of a stream that is no event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateLine {
    /// [`EVENT_SCHEMA`]
    pub schema: String,
    /// When it was written.
    pub time: Stamp,
    /// What it says.
    #[serde(flatten)]
    pub state: State,
}

impl StateLine {
    /// A line of the present schema.
    pub fn new(time: Stamp, state: State) -> Self {
        Self {
            schema: EVENT_SCHEMA.to_owned(),
            time,
            state,
        }
    }
}

/// What a line says that is no event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum State {
    /// The first line.
    Header(Header),
    /// A row of denials as the kernel counts it.
    Row(Box<Row>),
    /// The sources of audit records, when something changed.
    Sources(Sources),
    /// The last line.
    End(End),
}

/// Where a stream comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of capwatch that writes it.
    pub version: String,
    /// The host that is watched.
    pub host: Host,
    /// Every hook that was asked for.
    pub hooks: Vec<HookReport>,
    /// Every source of audit records.
    pub sources: Vec<SourceReport>,
    /// Words of the command that is recorded; none where all of the host is.
    pub command: Option<Vec<String>>,
    /// Whose findings are reported; of a command whose stream has no such word, those
    /// of its tree.
    #[serde(default)]
    pub scope: Option<Scope>,
}

/// A row of denials in its present state; the last line of a row counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which row: `denial` lines name it too.
    pub row: String,
    /// Whether it is counted but listed no more, since its supervisor is gone.
    pub folded: bool,
    /// Its state.
    #[serde(flatten)]
    pub denial: Denial,
}

/// The sources of audit records as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// Every one.
    pub sources: Vec<SourceReport>,
    /// What was not seen until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sight: Option<Sight>,
}

/// How a stream ends; without this line it was cut short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The sources of audit records at the end.
    pub sources: Vec<SourceReport>,
    /// The command, once it ended.
    pub command: Option<Command>,
    /// What `--fail-on` matched.
    pub failed_on: Vec<String>,
    /// What was not seen in all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sight: Option<Sight>,
    /// What the report says of its scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Box<Scoped>>,
}
