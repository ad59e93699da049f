//! An episode: all drops of one process until it execs or ends.

use crate::{ANCESTORS, Ancestor, COMM_LEN, NAME_LEN, Owner};

/// Value of the map `EPISODES`, keyed by process id.
///
/// Threads of one process add to it at the same time: counters are added to
/// atomically, everything else is written once, at the opening, or holds the
/// last writer's word.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Start time of the process.
    pub start: u64,
    /// Time of the first drop.
    pub first: u64,
    /// Time of the last drop.
    pub last: u64,
    /// The supervisor, and the role of the process.
    pub owner: Owner,
    /// Id of the cgroup on the default hierarchy.
    pub cgroup: u64,
    /// Bounding set before the first drop.
    pub before: u64,
    /// Bounding set after the last drop of the thread that dropped last.
    pub after: u64,
    /// Effective set at the last drop.
    pub effective: u64,
    /// Hash of the profile that refused, key of the map `PROFILES`; 0 for none.
    pub profile: u64,
    /// Process id.
    pub tgid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// User id.
    pub uid: u32,
    /// Inode number of its user namespace.
    pub namespace: u32,
    /// Level of that namespace: 0 is the initial one.
    pub level: u32,
    /// Drops.
    pub drops: u32,
    /// Drops refused while the bit was raised.
    pub refused_raised: u32,
    /// Drops refused while the bit was lowered already.
    pub refused_lowered: u32,
    /// Drops of a number that the kernel knows no capability of.
    pub unknown: u32,
    /// First capability refused while raised, plus one; 0 for none.
    pub first_refused: u32,
    /// [`Layer`](crate::Layer) that refused last: a raised bit's before a lowered one's.
    pub layer: u32,
    /// [`Reason`](crate::Reason) of a commoncap refusal.
    pub reason: u32,
    /// Name of the thread at the first drop.
    pub comm: [u8; COMM_LEN],
    /// Basename of the executable.
    pub exe: [u8; NAME_LEN],
    /// 1 for each capability that was refused while raised.
    pub refused: [u8; 64],
    /// The processes above it at the first drop, its parent first.
    pub ancestors: [Ancestor; ANCESTORS],
}

const _: () =
    assert!(size_of::<Episode>() == 3 * 8 + 16 + 5 * 8 + 12 * 4 + 16 + 64 + 64 + 20 * ANCESTORS);

/// What ended an episode.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The process executed another program.
    Exec,
    /// Its last thread ended.
    Exit,
}

/// The end of an episode.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeEnd {
    /// Time of the end.
    pub time: u64,
    /// Bounding set at the end, of the thread that execs or ends last.
    pub after: u64,
    /// [`Fate`]
    pub fate: u32,
    /// Exit status as wait(2) tells it: code << 8, or the signal.
    pub status: u32,
}

const _: () = assert!(size_of::<EpisodeEnd>() == 24);
