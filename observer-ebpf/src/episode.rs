//! An episode: all drops of one process, and what became of it and of whatever
//! was forked from it with a capability that it tried to drop.

use crate::{ANCESTORS, Ancestor, COMM_LEN, NAME_LEN, Owner};

/// What the kernel side keeps of it.
///
/// Threads of one process add to it at the same time: counters are added to
/// atomically, everything else is written once, at the opening, or holds the
/// last writer's word.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Its id: one process has one episode from an exec to the next.
    pub id: u64,
    /// The episode that the process was forked into; 0 for none.
    pub outer: u64,
    /// Start time of the process.
    pub start: u64,
    /// Time of the first drop.
    pub first: u64,
    /// Time of the last drop.
    pub last: u64,
    /// Time of the last drop that was refused on a raised bit; 0 for none.
    pub last_refused: u64,
    /// Time at which the process itself ended; 0 while it runs, or where it executed.
    pub ended: u64,
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
    /// The first program that was executed with something that was tried to drop.
    pub workload: Executed,
    /// Process id.
    pub tgid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// User id.
    pub uid: u32,
    /// Inode number of the user namespace of the last drop.
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
    /// Thread that dropped last.
    pub tid: u32,
    /// Exit status of the process itself, as wait(2) reports it, once it has ended.
    pub status: u32,
    /// Processes that it covers now, the one that dropped among them.
    pub alive: u32,
    /// Programs that were executed with something that was tried to drop.
    pub raised: u32,
    /// Programs that were executed with none of it.
    pub clean: u32,
    /// Programs that were executed, or drops made, in a user namespace that came after.
    pub refilled: u32,
    /// Children that should be covered and found no room.
    pub left_out: u32,
    /// User id by whose share it is counted.
    pub holder: u32,
    /// Name of the thread at the first drop.
    pub comm: [u8; COMM_LEN],
    /// Basename of the executable.
    pub exe: [u8; NAME_LEN],
    /// 1 for each capability that was refused while raised.
    pub refused: [u8; 64],
    /// 1 for each capability whose drop was granted.
    pub granted: [u8; 64],
    /// The processes above it at the first drop, its parent first.
    pub ancestors: [Ancestor; ANCESTORS],
}

impl Episode {
    /// An episode of nothing.
    pub const BLANK: Self = Self {
        id: 0,
        outer: 0,
        start: 0,
        first: 0,
        last: 0,
        last_refused: 0,
        ended: 0,
        owner: Owner {
            start: 0,
            tgid: 0,
            rule: 0,
            role: 0,
            in_tree: 0,
        },
        cgroup: 0,
        before: 0,
        after: 0,
        effective: 0,
        profile: 0,
        workload: Executed {
            time: 0,
            start: 0,
            bounding: 0,
            tgid: 0,
            tid: 0,
            exe: NameBytes([0; NAME_LEN]),
        },
        tgid: 0,
        ppid: 0,
        uid: 0,
        namespace: 0,
        level: 0,
        drops: 0,
        refused_raised: 0,
        refused_lowered: 0,
        unknown: 0,
        first_refused: 0,
        layer: 0,
        reason: 0,
        tid: 0,
        status: 0,
        alive: 0,
        raised: 0,
        clean: 0,
        refilled: 0,
        left_out: 0,
        holder: 0,
        comm: [0; COMM_LEN],
        exe: [0; NAME_LEN],
        refused: [0; 64],
        granted: [0; 64],
        ancestors: [Ancestor {
            pid: 0,
            comm: [0; COMM_LEN],
        }; ANCESTORS],
    };
}

/// A program that was executed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// When; 0 for never.
    pub time: u64,
    /// Start time of its process.
    pub start: u64,
    /// The bounding set that it starts with.
    pub bounding: u64,
    /// Process id.
    pub tgid: u32,
    /// Thread that executed it.
    pub tid: u32,
    /// Its basename.
    pub exe: NameBytes,
}

/// A basename, closed with a zero.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameBytes(pub [u8; NAME_LEN]);

impl Default for NameBytes {
    fn default() -> Self {
        Self([0; NAME_LEN])
    }
}

const _: () = assert!(size_of::<Executed>() == 32 + NAME_LEN);
const _: () = assert!(
    size_of::<Episode>()
        == 7 * 8 + 16 + 5 * 8 + size_of::<Executed>() + 20 * 4 + 16 + 64 + 64 + 64 + 20 * ANCESTORS
);

/// What an episode's event reports.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A process that it covers executed a program: the last one, or the first
    /// one that runs with something that was tried to drop.
    Exec,
    /// The last process that it covers ended.
    Exit,
}

/// The end of an episode, or the first exec that matters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeEnd {
    /// Time of the end.
    pub time: u64,
    /// Bounding set of the thread that execs or ends last.
    pub after: u64,
    /// [`Fate`]
    pub fate: u32,
    /// Exit status as wait(2) reports it: code << 8, or the signal.
    pub status: u32,
    /// Inode number of the user namespace that `after` is of.
    pub namespace: u32,
    /// 1 where the episode goes on: others that it covers still run.
    pub open: u32,
}

const _: () = assert!(size_of::<EpisodeEnd>() == 32);
