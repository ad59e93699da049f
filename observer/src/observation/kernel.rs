//! What the kernel side reports, by name: texts are texts and sets are sets, whatever
//! the layout is in which the programs wrote them.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC`, but for start times, which are
//! nanoseconds since boot.

mod episode;

pub use episode::{Episode, EpisodeEnd, EpisodeEvent, Executed, Left, Open};

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forms::{names, sets, words};
use crate::{
    caps::CapSet,
    finding::Link,
    words::{Audited, Broken, Call, Layer, Reason, Role, Via},
};

/// Whose a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// When the supervisor started; 0 where there is none.
    pub start: u64,
    /// Its process id.
    pub tgid: u32,
    /// Number of its rule; 0 where there is none.
    pub rule: u16,
    /// What the process is to it.
    #[serde(with = "words")]
    pub role: Role,
    /// Whether the process is of the recorded tree.
    pub in_tree: bool,
}

/// A process of a followed tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// When it started.
    pub start: u64,
    /// Whose it is.
    pub owner: Owner,
    /// Process id of its parent.
    pub ppid: u32,
}

/// A thread's name as it is a part of keys: no separate text to keep.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// The bytes of the name.
    pub fn bytes(&self) -> &[u8] {
        let end = memchr::memchr(0, &self.0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl Serialize for Comm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        names::serialize(self.bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for Comm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = names::deserialize(deserializer)?;
        let mut comm = Self::default();
        let length = name.len().min(comm.0.len());
        comm.0[..length].copy_from_slice(&name[..length]);
        Ok(comm)
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes()))
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.bytes()), f)
    }
}

/// What denials are counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Whose process was refused.
    pub owner: Owner,
    /// Id of its cgroup.
    pub cgroup: u64,
    /// Inode number of its executable.
    pub exe_inode: u64,
    /// Hash of the profile's name; 0 where there is none.
    pub profile: u64,
    /// Name of the thread.
    pub comm: Comm,
    /// Number of the capability.
    pub capability: u8,
    /// Who refused.
    #[serde(with = "words")]
    pub layer: Layer,
    /// Why commoncap did.
    #[serde(with = "words")]
    pub reason: Reason,
    /// Whether an audit record was asked for.
    #[serde(with = "words")]
    pub audited: Audited,
    /// By which way the check came.
    #[serde(with = "words")]
    pub via: Via,
    /// Whether it was made with the task's own credentials.
    pub own_credentials: bool,
}

/// What denials are counted by that found no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Total {
    /// Whose process was refused.
    pub owner: Owner,
    /// Number of the capability.
    pub capability: u8,
    /// Who refused.
    #[serde(with = "words")]
    pub layer: Layer,
    /// Whether an audit record was asked for.
    #[serde(with = "words")]
    pub audited: Audited,
}

/// The detail of a denial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialEvent {
    /// When it was refused.
    pub time: u64,
    /// The row that counts it.
    pub row: Row,
    /// Process id.
    pub tgid: u32,
    /// Basename of the executable.
    pub exe: Option<String>,
    /// Inode number of the user namespace that the capability was asked for; 0
    /// where it is not known.
    pub target: u32,
    /// The processes above, the nearest first.
    pub ancestors: Vec<Link>,
}

/// How a supervisor came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessChange {
    /// It was executed.
    Started,
    /// It executed another program.
    Replaced,
    /// It ended.
    Ended,
}

impl ProcessChange {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Replaced => "replaced",
            Self::Ended => "ended",
        }
    }
}

/// A supervisor came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEvent {
    /// What happened.
    pub change: ProcessChange,
    /// When.
    pub time: u64,
    /// Itself.
    pub owner: Owner,
    /// Id of its cgroup.
    pub cgroup: u64,
    /// Process id of its parent.
    pub ppid: u32,
    /// Its real user.
    pub uid: u32,
    /// The supervisor that its parent belongs to.
    pub above: Owner,
    /// Basename of its executable.
    pub exe: Option<String>,
    /// Owner of that file.
    pub exe_uid: Option<u32>,
}

/// The words of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgvEvent {
    /// Process id.
    pub tgid: u32,
    /// When it started.
    pub start: u64,
    /// Words, each with a zero at its end.
    pub bytes: Vec<u8>,
}

/// A supervisor's process became its workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadEvent {
    /// When.
    pub time: u64,
    /// Whose it is.
    pub owner: Owner,
    /// Id of its cgroup.
    pub cgroup: u64,
    /// Its bounding set.
    #[serde(with = "sets")]
    pub bounding: CapSet,
    /// Its effective set.
    #[serde(with = "sets")]
    pub effective: CapSet,
    /// Number of the episode that this closes; 0 where there is none.
    pub episode: u64,
    /// Process id.
    pub tgid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// Inode number of its user namespace.
    pub namespace: u32,
    /// That one's level.
    pub level: u32,
    /// Inode number of the user namespace of the process before.
    pub above: u32,
    /// Its id in its own pid namespace.
    pub inner_pid: u32,
    /// Name of the thread before.
    pub comm: String,
    /// Basename of the program.
    pub exe: Option<String>,
    /// The processes above, the nearest first.
    pub ancestors: Vec<Link>,
}

/// What refusals by a rule are counted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BreachKey {
    /// Whose process was refused.
    pub owner: Owner,
    /// Id of its cgroup.
    pub cgroup: u64,
    /// Inode number of its executable.
    pub exe_inode: u64,
    /// Capabilities that were missing.
    #[serde(with = "sets")]
    pub missing: CapSet,
    /// Name of the thread.
    pub comm: Comm,
    /// What was called.
    #[serde(with = "words")]
    pub call: Call,
    /// The rule.
    #[serde(with = "words")]
    pub rule: Broken,
    /// What the call returned.
    pub errno: u16,
}

/// A rule refused a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreachEvent {
    /// When.
    pub time: u64,
    /// What counts it.
    pub key: BreachKey,
    /// Whose call it was: process and user; none where only the count is known.
    pub caller: Option<(u32, u32)>,
    /// Basename of the executable.
    pub exe: Option<String>,
    /// What it was about.
    pub path: Option<String>,
}
