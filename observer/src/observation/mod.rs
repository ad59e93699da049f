//! What the sources report, with times already turned into stamps.

mod forms;
mod kernel;
mod record;
pub mod stream;

pub use kernel::{
    ArgvEvent, BreachEvent, BreachKey, Comm, DenialEvent, Episode, EpisodeEnd, EpisodeEvent,
    Executed, Left, Open, Owner, ProcessChange, ProcessEvent, Row, Task, Total, WorkloadEvent,
};

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use forms::nanos;

use crate::{
    audit::Record,
    finding::{Container, Scope},
    time::Stamp,
};

/// One report of a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observation {
    /// The detail of a denial.
    Denial(Box<DenialSeen>),
    /// An episode that closed, or a copy of one that is open.
    Episode(Box<EpisodeSeen>),
    /// A supervisor came or went.
    Process(Box<ProcessSeen>),
    /// A supervisor's process became its workload.
    Workload(Box<WorkloadSeen>),
    /// A rule refused calls.
    Breach(Box<BreachSeen>),
    /// An audit record about a capability.
    Audit(Box<AuditSeen>),
}

/// The detail of a denial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DenialSeen {
    /// When it was refused.
    #[serde(with = "nanos")]
    pub time: Stamp,
    /// A report of the kernel side.
    pub event: DenialEvent,
    /// Name of the profile.
    pub profile: Option<String>,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// How often the row had counted by now.
    pub count: u64,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

impl Observation {
    /// How far from the recorded command it is, as far as that is known yet.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::Denial(seen) => seen.scope,
            Self::Episode(seen) => seen.scope,
            Self::Process(seen) => seen.scope,
            Self::Workload(seen) => seen.scope,
            Self::Breach(seen) => seen.scope,
            Self::Audit(seen) => seen.scope,
        }
    }

    /// The process that it is about, where it is about one.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Denial(seen) => Some(seen.event.tgid),
            Self::Episode(seen) => Some(seen.episode.tgid),
            Self::Process(seen) => Some(seen.event.owner.tgid),
            Self::Workload(seen) => Some(seen.event.tgid),
            Self::Breach(seen) => seen.event.caller.map(|(pid, _)| pid),
            Self::Audit(seen) => seen.record.pid,
        }
    }
}

impl DenialSeen {
    /// The row that counts it.
    pub const fn row(&self) -> &Row {
        &self.event.row
    }
}

/// An episode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpisodeSeen {
    /// When it began.
    #[serde(with = "nanos")]
    pub first: Stamp,
    /// When it ended, or was copied.
    #[serde(with = "nanos")]
    pub until: Stamp,
    /// A report of the kernel side.
    pub episode: Episode,
    /// Its end; none where it is open.
    pub end: Option<EpisodeEnd>,
    /// Name of the profile that refused.
    pub profile: Option<String>,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// User id of the owner of its supervisor's executable.
    pub exe_uid: Option<u32>,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

/// A supervisor came or went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessSeen {
    /// When.
    #[serde(with = "nanos")]
    pub time: Stamp,
    /// A report of the kernel side.
    pub event: ProcessEvent,
    /// Its container.
    pub container: Option<Arc<Container>>,
    /// Its version.
    pub version: Option<String>,
    /// How far from the recorded command it is.
    pub scope: Scope,
}

/// A supervisor's process became its workload, with something in its bounding set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkloadSeen {
    /// When.
    #[serde(with = "nanos")]
    pub time: Stamp,
    /// A report of the kernel side.
    pub event: WorkloadEvent,
    /// The container it runs in.
    pub container: Option<Arc<Container>>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// User id of the owner of its supervisor's executable.
    pub exe_uid: Option<u32>,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

/// A rule refused calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BreachSeen {
    /// When it refused the last.
    #[serde(with = "nanos")]
    pub time: Stamp,
    /// A report of the kernel side.
    pub event: BreachEvent,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// How many calls.
    pub count: u64,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

/// An audit record about a capability.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditSeen {
    /// When it was received.
    #[serde(with = "nanos")]
    pub received: Stamp,
    /// The source that reported it first.
    pub source: String,
    /// What it says.
    #[serde(with = "record")]
    pub record: Record<'static>,
    /// Name of the rule that the process belongs to, where it is known.
    pub supervisor: Option<String>,
    /// How far from the recorded command the process is.
    pub scope: Scope,
}

/// A number for a key: the same for the same key.
pub fn identity(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
