//! The ABI between the BPF programs and user space: plain `repr(C)` types
//! without implicit padding, written once and used by both.
//!
//! All times are nanoseconds of `CLOCK_MONOTONIC` as `bpf_ktime_get_ns` gives
//! them, but for process start times, which are nanoseconds since boot
//! (`task_struct.start_boottime`).
#![no_std]

mod breach;
mod cgroup;
mod config;
pub mod decide;
mod episode;
mod event;
#[cfg(feature = "user")]
mod pod;
mod process;
mod row;
mod share;
mod word;

pub use breach::{Breach, BreachEvent, BreachKey, Broken, Call, PATH_LEN};
pub use cgroup::{CGROUP_PATH_LEN, MadeCgroup};
pub use config::{Config, Hook, NONE, Offsets};
pub use episode::{Episode, EpisodeEnd, Executed, Fate, NameBytes};
pub use event::{
    Ancestor, ArgvEvent, DenialEvent, EpisodeEvent, EventKind, ProcessChange, ProcessEvent,
    UNKNOWN_UID, WorkloadEvent,
};
pub use process::{Member, Owner, Role, Rule, TASK_IN_TREE, Task};
pub use row::{Agent, Count, ROW_SLOTS, RowKey, TotalKey};
pub use share::{Holder, Share, Table};
pub use word::{Audited, Layer, Reason, Via};

/// How maps are to be understood, beside their sizes: to be raised where a field
/// changes its meaning, so that no agent goes on with what another one pinned.
pub const ABI: u32 = 2;
/// Bytes of a program's short name, `TASK_COMM_LEN`.
pub const COMM_LEN: usize = 16;
/// Bytes of an executable's basename that are compared and reported; longer names are cut.
pub const NAME_LEN: usize = 64;
/// Bytes of an LSM profile's name that are kept; longer names are cut.
pub const PROFILE_LEN: usize = 256;
/// Processes above another one that are reported.
pub const ANCESTORS: usize = 8;
/// Bytes of a program's arguments that are reported; a power of two, as the verifier's bound is a mask.
pub const ARGV_LEN: usize = 1_024;

/// Number of `PR_CAPBSET_DROP` (`include/uapi/linux/prctl.h`).
pub const PR_CAPBSET_DROP: u32 = 24;
/// `CAP_SETPCAP` (`include/uapi/linux/capability.h`).
pub const CAP_SETPCAP: u32 = 8;
/// `CAP_SYS_ADMIN` (`include/uapi/linux/capability.h`).
pub const CAP_SYS_ADMIN: u32 = 21;
/// `CAP_BPF` (`include/uapi/linux/capability.h`).
pub const CAP_BPF: u32 = 39;

/// What the kernel side notes of itself without losing anything, as indices of
/// the map `NOTES`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A drop whose return was not seen: its answer follows from the sets.
    DropSettled,
    /// An answer of `cap_capable` was compared with the one that the walk gives.
    WalkCompared,
    /// The two differed.
    WalkDisagreed,
}

impl Note {
    /// How many there are.
    pub const COUNT: u32 = 3;
}

/// How many entries of each table one holder may have, and how many all those
/// that no supervisor owns: the rest is for supervisors' trees.
pub mod shares {
    /// Open episodes: entries of the map.
    pub const EPISODES: u32 = 8_192;
    /// Open episodes of one user but root.
    pub const EPISODES_OF_USER: u64 = 512;
    /// Open episodes of one cgroup.
    pub const EPISODES_OF_CGROUP: u64 = 4_096;
    /// Open episodes of processes that no supervisor owns.
    pub const EPISODES_OF_NOBODY: u64 = 4_096;
    /// Processes that episodes cover: entries of the map.
    pub const MEMBERS: u32 = 32_768;
    /// Children that one episode covers at a time.
    pub const MEMBERS_OF_EPISODE: u32 = 1_024;
    /// Processes that episodes of one user but root cover.
    pub const MEMBERS_OF_USER: u64 = 4_096;
    /// Processes of supervisors' trees: entries of the map.
    pub const TASKS: u32 = 65_536;
    /// Those of one user but root.
    pub const TASKS_OF_USER: u64 = 16_384;
    /// Rows of one user but root.
    pub const ROWS_OF_USER: u64 = 4_096;
    /// Rows of one cgroup.
    pub const ROWS_OF_CGROUP: u64 = 12_288;
    /// Rows of processes that no supervisor owns.
    pub const ROWS_OF_NOBODY: u64 = 12_288;
    /// Refusals by a rule: entries of the map.
    pub const BREACHES: u32 = 4_096;
    /// Those of one user but root.
    pub const BREACHES_OF_USER: u64 = 512;
    /// Those of one cgroup.
    pub const BREACHES_OF_CGROUP: u64 = 1_024;
    /// Those of processes that no supervisor owns.
    pub const BREACHES_OF_NOBODY: u64 = 2_048;
}

/// What the kernel side loses or cuts short, as indices of the map `LOSSES`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A denial's detail found no room in the ring buffer; its count is right.
    DenialRingFull,
    /// An episode or a process change found no room in its ring buffer.
    StateRingFull,
    /// A denial's row had no room; it is counted without comm and executable.
    RowsFull,
    /// A denial's slot had no room; it is counted in the overflow slot.
    TotalsFull,
    /// A process of a supervisor's tree could not be followed.
    TasksFull,
    /// An episode could not be opened.
    EpisodesFull,
    /// A layer's answer could not be kept for its check.
    InflightFull,
    /// A profile's name could not be kept.
    ProfilesFull,
    /// A granted drop could not be kept for its confirmation.
    ProvisionalFull,
    /// A refusal came back whose check was not seen to begin (kprobes only).
    Unpaired,
    /// A check or a drop whose return was not seen: the kernel had no room for
    /// one more return probe under way (kprobes only).
    ReturnMissed,
    /// A child that an episode should cover could not be followed.
    FollowersFull,
    /// An episode could not be opened: its user or cgroup has its share of them.
    EpisodesShare,
    /// A row was counted without comm and executable: its user or cgroup has
    /// its share of rows.
    RowsShare,
    /// A process of a supervisor's tree could not be followed: its user has
    /// its share of them.
    TasksShare,
    /// A refusal by a rule had no room, and is not counted.
    BreachesFull,
    /// A refusal by a rule was counted without comm, executable and capabilities:
    /// its user or cgroup has its share.
    BreachesShare,
}

impl Loss {
    /// Every loss, in the order of its index.
    pub const ALL: [Self; 17] = [
        Self::DenialRingFull,
        Self::StateRingFull,
        Self::RowsFull,
        Self::TotalsFull,
        Self::TasksFull,
        Self::EpisodesFull,
        Self::InflightFull,
        Self::ProfilesFull,
        Self::ProvisionalFull,
        Self::Unpaired,
        Self::ReturnMissed,
        Self::FollowersFull,
        Self::EpisodesShare,
        Self::RowsShare,
        Self::TasksShare,
        Self::BreachesFull,
        Self::BreachesShare,
    ];

    /// The word for it in the label `reason` of `capwatch_events_lost_total`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DenialRingFull => "denial_ring_full",
            Self::StateRingFull => "state_ring_full",
            Self::RowsFull => "rows_full",
            Self::TotalsFull => "totals_full",
            Self::TasksFull => "tasks_full",
            Self::EpisodesFull => "episodes_full",
            Self::InflightFull => "inflight_full",
            Self::ProfilesFull => "profiles_full",
            Self::ProvisionalFull => "provisional_full",
            Self::Unpaired => "unpaired",
            Self::ReturnMissed => "return_missed",
            Self::FollowersFull => "followers_full",
            Self::EpisodesShare => "episodes_share",
            Self::RowsShare => "rows_share",
            Self::TasksShare => "tasks_share",
            Self::BreachesFull => "breaches_full",
            Self::BreachesShare => "breaches_share",
        }
    }
}
