//! What the programs send to user space.

use crate::{ANCESTORS, ARGV_LEN, COMM_LEN, Episode, EpisodeEnd, NAME_LEN, Owner, RowKey};

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
    /// [`ArgvEvent`], in the ring `STATES`, before its process's event.
    Argv,
    /// [`WorkloadEvent`], in the ring `STATES`.
    Workload,
    /// [`BreachEvent`](crate::BreachEvent), in the ring `STATES`.
    Breach,
}

/// A process above another one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    /// Process id; 0 where the list ends.
    pub pid: u32,
    /// Name of its main thread.
    pub comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<Ancestor>() == 20);

/// The detail of one denial. Rows are reported at their first denial and then at
/// most once a second on each CPU; an LSM's denials are reported one by one.
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
    /// The processes above it, its parent first.
    pub ancestors: [Ancestor; ANCESTORS],
}

const _: () = assert!(size_of::<DenialEvent>() == 16 + 64 + 24 + 24 + 64 + 20 * ANCESTORS);

/// An episode and its end: the value of the map `EPISODES`, keyed by the
/// episode's id, and sent as it stands, since copying it would be more than the
/// verifier follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeEvent {
    /// [`EventKind::Episode`]
    pub kind: u32,
    /// Keeps the alignment.
    pub reserved: u32,
    /// The episode.
    pub episode: Episode,
    /// Its end, or the first exec that matters; zeros while there was none.
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
    /// The supervisor that owned the process until now: the one above it.
    pub above: Owner,
    /// Basename of the executable.
    pub exe: [u8; NAME_LEN],
    /// User id of the executable's owner, of the initial namespace; [`UNKNOWN_UID`] where
    /// it is not known.
    pub exe_uid: u32,
    /// Keeps the size a multiple of the alignment.
    pub reserved: u32,
}

/// No user id: `(uid_t) -1` (`include/linux/uidgid.h`).
pub const UNKNOWN_UID: u32 = u32::MAX;

const _: () = assert!(size_of::<ProcessEvent>() == 16 + 16 + 16 + 16 + 64 + 8);

/// The words of a program that names its container by them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgvEvent {
    /// [`EventKind::Argv`]
    pub kind: u32,
    /// Process id.
    pub tgid: u32,
    /// Start time of the process.
    pub start: u64,
    /// How many bytes were read; 0 where they could not be.
    pub length: u32,
    /// Keeps the size a multiple of the alignment.
    pub reserved: u32,
    /// The words, each closed by a zero; cut to the room.
    pub bytes: [u8; ARGV_LEN],
}

const _: () = assert!(size_of::<ArgvEvent>() == 24 + ARGV_LEN);

/// A supervisor's process became its workload, with something in its bounding
/// set, where it is known which set it should have.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadEvent {
    /// [`EventKind::Workload`]
    pub kind: u32,
    /// Process id.
    pub tgid: u32,
    /// Time of the exec.
    pub time: u64,
    /// Start time of the process.
    pub start: u64,
    /// The supervisor.
    pub owner: Owner,
    /// Id of its cgroup on the default hierarchy.
    pub cgroup: u64,
    /// The bounding set that the program starts with.
    pub bounding: u64,
    /// The effective set that it starts with.
    pub effective: u64,
    /// The episode of its drops, which this exec closed; 0 for none.
    pub episode: u64,
    /// Process id of its parent.
    pub ppid: u32,
    /// User id.
    pub uid: u32,
    /// Inode number of its user namespace.
    pub namespace: u32,
    /// Level of that namespace.
    pub level: u32,
    /// Inode number of the user namespace that its supervisor runs in.
    pub above: u32,
    /// Its process id in its own pid namespace; 0 in the initial one.
    pub inner_pid: u32,
    /// Name of the thread before the exec.
    pub comm: [u8; COMM_LEN],
    /// Basename of the program.
    pub exe: [u8; NAME_LEN],
    /// The processes above it, its parent first.
    pub ancestors: [Ancestor; ANCESTORS],
}

const _: () =
    assert!(size_of::<WorkloadEvent>() == 24 + 16 + 4 * 8 + 24 + 16 + 64 + 20 * ANCESTORS);
