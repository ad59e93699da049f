//! Supervisors, the processes of their trees, and those that episodes cover.
#![expect(
    clippy::inline_always,
    reason = "a program is one function: a call costs the verifier what it knows of the arguments"
)]

use crate::word::word;

word!(
    /// What a process is to its supervisor.
    Role {
        /// No supervisor owns it.
        #[default] None = "none",
        /// The supervisor itself, or a child that has not yet executed another program.
        Supervisor = "supervisor",
        /// What runs below it after its exec.
        Workload = "workload",
    }
);

/// A supervisor's instance: a process while it runs one program, and what it
/// is to those that it owns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Start time of the supervisor's process; 0 where there is none.
    pub start: u64,
    /// Its process id.
    pub tgid: u32,
    /// Number of the rule that its executable matched; 0 for none.
    pub rule: u16,
    /// [`Role`] of the process that this owner is reported of.
    pub role: u8,
    /// 1 for a process of the tree that `capwatch record` follows.
    pub in_tree: u8,
}

/// A process of a followed tree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Start time of the process.
    pub start: u64,
    /// Its supervisor, and its role.
    pub owner: Owner,
    /// Process id of its parent at the fork.
    pub ppid: u32,
    /// Inode number of the user namespace that its supervisor runs in.
    pub namespace: u32,
    /// User id by whose share it is counted.
    pub uid: u32,
    /// 1 if the owner's workload is a container: a supervisor in it is one again.
    pub runtime: u8,
    /// 1 where it is known which bounding set the owner's workload should have.
    pub judged: u8,
    /// Low bits of `task_struct.self_exec_id` at the exec that made the entry what
    /// it is: two hooks report each.
    pub exec: u16,
}

impl Task {
    /// `/proc` shows start times in ticks of this many nanoseconds (`USER_HZ`).
    const TICK_NS: u64 = 10_000_000;

    /// Whether this is the entry of the process that started then, and not of an
    /// earlier one with the same id. What was read of `/proc` is cut to a tick.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(&self, start: u64) -> bool {
        self.start == start || self.start / Self::TICK_NS == start / Self::TICK_NS
    }
}

/// What an episode covers a process by: the value of the map `MEMBERS`, keyed by process id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Start time of the process.
    pub start: u64,
    /// The episode of its own drops; 0 for none.
    pub own: u64,
    /// The episode that it was forked into; 0 for none.
    pub family: u64,
    /// User id by whose share it is counted.
    pub uid: u32,
    /// Keeps the size a multiple of the alignment.
    pub reserved: u32,
}

impl Member {
    /// The nearest episode that covers it; 0 for none.
    #[must_use]
    pub const fn nearest(&self) -> u64 {
        if self.own == 0 { self.family } else { self.own }
    }
}

/// Marks an [`Owner`] as part of the recorded tree.
pub const TASK_IN_TREE: u8 = 1;

/// What the name of an executable means: the value of the map `RULES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Number of the rule, from 1.
    pub id: u16,
    /// 1 for a container runtime: its workload is a container, in which a
    /// supervisor is again a supervisor.
    pub runtime: u8,
    /// 1 for conmon, whose arguments name its container: they are reported at its exec.
    pub argv: u8,
    /// 1 where it is known which bounding set its workload should have.
    pub judged: u8,
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<Owner>() == 16);
const _: () = assert!(size_of::<Task>() == 40);
const _: () = assert!(size_of::<Rule>() == 8);
const _: () = assert!(size_of::<Member>() == 32);
