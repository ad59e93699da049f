//! What the programs send to user space.

use crate::{Episode, EpisodeEnd, NAME_LEN, Owner, RowKey};

/// First word of every event.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// [`DenialEvent`], in the ring `DENIALS`.
    Denial = 1,
    /// [`EpisodeEvent`], in the ring `STATES`.
    Episode,
    /// [`ProcessEvent`], in the ring `STATES`.
    Process,
}

/// The detail of one denial. Rows are told at their first denial and then at
/// most once a second on each CPU; an LSM's denials are told one by one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenialEvent {
    /// [`EventKind::Denial`]
    pub kind: u32,
    /// Process id.
    pub tgid: u32,
    /// Time of the answer.
    pub time: u64,
    /// The row that counts it.
    pub row: RowKey,
    /// Start time of the process.
    pub start: u64,
    /// Effective set of the credential that was asked.
    pub effective: u64,
    /// Bounding set of that credential.
    pub bounding: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id of the parent.
    pub ppid: u32,
    /// User id of the credential.
    pub uid: u32,
    /// Inode number of the credential's user namespace.
    pub namespace: u32,
    /// Inode number of the namespace that the capability was asked for.
    pub target: u32,
    /// Level of the credential's user namespace: 0 is the initial one.
    pub level: u32,
    /// Basename of the executable.
    pub exe: [u8; NAME_LEN],
}

const _: () = assert!(size_of::<DenialEvent>() == 16 + 64 + 24 + 24 + 64);

/// A closed episode.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeEvent {
    /// [`EventKind::Episode`]
    pub kind: u32,
    /// Keeps the alignment.
    pub reserved: u32,
    /// The episode.
    pub episode: Episode,
    /// Its end.
    pub end: EpisodeEnd,
}

/// What happened to a supervisor's process.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessChange {
    /// It executed a program that a rule names.
    Started,
    /// It executed a program that no rule names: it is now its own workload.
    Replaced,
    /// It ended.
    Ended,
}

/// A change of a supervisor's process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// [`EventKind::Process`]
    pub kind: u32,
    /// [`ProcessChange`]
    pub change: u32,
    /// Time of the change.
    pub time: u64,
    /// The supervisor.
    pub owner: Owner,
    /// Id of its cgroup on the default hierarchy.
    pub cgroup: u64,
    /// Process id of its parent.
    pub ppid: u32,
    /// User id.
    pub uid: u32,
    /// Basename of the executable.
    pub exe: [u8; NAME_LEN],
}

const _: () = assert!(size_of::<ProcessEvent>() == 16 + 16 + 16 + 64);
