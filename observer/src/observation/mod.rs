//! What the sources tell, with times already turned into stamps.

mod kernel;

pub use kernel::{
    ArgvEvent, BreachEvent, BreachKey, Comm, DenialEvent, Episode, EpisodeEnd, EpisodeEvent,
    Executed, Left, Open, Owner, ProcessChange, ProcessEvent, Row, Task, Total, WorkloadEvent,
};

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    audit::Record,
    finding::{Container, Scope},
    time::Stamp,
};

/// One thing that a source tells.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct DenialSeen {
    /// When it was refused.
    pub time: Stamp,
    /// What the kernel side told.
    pub event: DenialEvent,
    /// Name of the profile.
    pub profile: Option<String>,
    /// The container it happened in.
    pub container: Option<Container>,
    /// How often the row had counted by now.
    pub count: u64,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

impl DenialSeen {
    /// The row that counts it.
    pub const fn row(&self) -> &Row {
        &self.event.row
    }
}

/// An episode.
#[derive(Clone, Debug)]
pub struct EpisodeSeen {
    /// When it began.
    pub first: Stamp,
    /// When it ended, or was copied.
    pub until: Stamp,
    /// What the kernel side told.
    pub episode: Episode,
    /// Its end; none where it is open.
    pub end: Option<EpisodeEnd>,
    /// Name of the profile that refused.
    pub profile: Option<String>,
    /// The container it happened in.
    pub container: Option<Container>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// User id of the owner of its supervisor's executable.
    pub exe_uid: Option<u32>,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

/// A supervisor came or went.
#[derive(Clone, Debug)]
pub struct ProcessSeen {
    /// When.
    pub time: Stamp,
    /// What the kernel side told.
    pub event: ProcessEvent,
    /// Its container.
    pub container: Option<Container>,
    /// Its version.
    pub version: Option<String>,
    /// How far from the recorded command it is.
    pub scope: Scope,
}

/// A supervisor's process became its workload, with something in its bounding set.
#[derive(Clone, Debug)]
pub struct WorkloadSeen {
    /// When.
    pub time: Stamp,
    /// What the kernel side told.
    pub event: WorkloadEvent,
    /// The container it runs in.
    pub container: Option<Container>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// User id of the owner of its supervisor's executable.
    pub exe_uid: Option<u32>,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

/// A rule refused calls.
#[derive(Clone, Debug)]
pub struct BreachSeen {
    /// When it refused the last.
    pub time: Stamp,
    /// What the kernel side told.
    pub event: BreachEvent,
    /// The container it happened in.
    pub container: Option<Container>,
    /// Version of its supervisor.
    pub version: Option<String>,
    /// How many calls.
    pub count: u64,
    /// How far from the recorded command it happened.
    pub scope: Scope,
}

/// An audit record about a capability.
#[derive(Clone, Debug)]
pub struct AuditSeen {
    /// When it was received.
    pub received: Stamp,
    /// The source that told it first.
    pub source: String,
    /// What it says.
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
