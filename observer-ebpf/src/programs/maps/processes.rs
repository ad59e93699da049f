//! Processes: supervisors' trees, those that episodes cover, the cgroups that they are
//! in, and who holds how many entries.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    macros::map,
    maps::{Array, HashMap},
};
use observer_ebpf::{
    EpisodeEvent, MadeCgroup, Member, NAME_LEN, Rule, Share, Task, decide, shares,
};

/// Names of executables that rules name, filled by user space.
#[map]
pub static RULES: HashMap<[u8; NAME_LEN], Rule> = HashMap::with_max_entries(1_024, 0);

/// Processes of followed trees, by process id.
#[map]
pub static TASKS: HashMap<u32, Task> = HashMap::with_max_entries(shares::TASKS, BPF_F_NO_PREALLOC);

/// Open episodes, by their id.
#[map]
pub static EPISODES: HashMap<u64, EpisodeEvent> =
    HashMap::with_max_entries(shares::EPISODES, BPF_F_NO_PREALLOC);

/// Processes that episodes cover, by process id.
#[map]
pub static MEMBERS: HashMap<u32, Member> =
    HashMap::with_max_entries(shares::MEMBERS, BPF_F_NO_PREALLOC);

/// How many entries `TASKS`, `MEMBERS`, `PENDING` and `SETPCAP` have of a process
/// and its threads, by [`decide::mark`]: who has none is not looked up. User space
/// counts too, through a mapping.
#[map]
pub static MARKS: Array<u64> = Array::with_max_entries(decide::MARKS, BPF_F_MMAPABLE);

/// Beginnings of the names in `RULES`, a bit for each: what begins otherwise is not
/// looked up.
#[map]
pub static BEGINNINGS: Array<u64> = Array::with_max_entries(decide::BEGINNINGS, 0);

/// How many entries `MEMBERS` has: where it is empty, nobody needs to look.
#[map]
pub static COVERED: Array<u64> = Array::with_max_entries(1, 0);

/// How many entries of a table somebody holds. An entry lives as long as what it counts.
#[map]
pub static SHARES: HashMap<Share, u64> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// An episode of zeros, since one does not fit on the stack.
#[map]
pub static BLANK: Array<EpisodeEvent> = Array::with_max_entries(1, 0);

/// Cgroups that were made lately, by [`decide::cgroup_place`]; user space reads them
/// through a mapping.
#[map]
pub static CGROUPS: Array<MadeCgroup> = Array::with_max_entries(decide::CGROUPS, BPF_F_MMAPABLE);

/// How many were made in each ring.
#[map]
pub static CGROUPS_MADE: Array<u64> = Array::with_max_entries(decide::CGROUP_RINGS, 0);
