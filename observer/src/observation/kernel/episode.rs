//! Episodes of drops, as the kernel side keeps them.

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::{
    caps::CapSet,
    finding::Link,
    observation::forms::{sets, words},
    words::{Layer, Reason},
};

/// All drops of one process, and what became of it and of what was forked from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Its number in the kernel.
    pub id: u64,
    /// Time of the first drop.
    pub first: u64,
    /// Time of the last one.
    pub last: u64,
    /// Time of the last refused one; 0 where none was.
    pub last_refused: u64,
    /// When the process itself ended, where others of it go on; 0 before.
    pub ended: u64,
    /// Its wait status then.
    pub status: u32,
    /// Whose it is.
    pub owner: Owner,
    /// Id of its cgroup.
    pub cgroup: u64,
    /// The bounding set before the first drop.
    #[serde(with = "sets")]
    pub before: CapSet,
    /// The same after the last one.
    #[serde(with = "sets")]
    pub after: CapSet,
    /// The effective set.
    #[serde(with = "sets")]
    pub effective: CapSet,
    /// Hash of the name of the profile that refused; 0 where none did.
    pub profile: u64,
    /// The first program that was executed with something that it tried to drop.
    pub workload: Executed,
    /// Process id.
    pub tgid: u32,
    /// Thread that dropped last.
    pub tid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// Its real user.
    pub uid: u32,
    /// Inode number of its user namespace.
    pub namespace: u32,
    /// That one's level.
    pub level: u32,
    /// Drops.
    pub drops: u32,
    /// Those refused on capabilities in the set.
    pub refused_raised: u32,
    /// Those refused on others.
    pub refused_lowered: u32,
    /// Those of capabilities that the kernel does not know.
    pub unknown: u32,
    /// The first capability that was refused while in the set.
    pub first_refused: Option<u32>,
    /// Who refused it.
    #[serde(with = "words")]
    pub layer: Layer,
    /// Why commoncap did.
    #[serde(with = "words")]
    pub reason: Reason,
    /// Programs executed with something that it tried to drop.
    pub raised: u32,
    /// Programs executed without.
    pub clean: u32,
    /// How often its set was filled again.
    pub refilled: u32,
    /// Capabilities that were refused while in the set.
    #[serde(with = "sets")]
    pub refused: CapSet,
    /// Capabilities of which a drop was granted.
    #[serde(with = "sets")]
    pub granted: CapSet,
    /// Name of the thread at the first drop.
    pub comm: String,
    /// Basename of the executable.
    pub exe: Option<String>,
    /// The processes above, the nearest first.
    pub ancestors: Vec<Link>,
}

/// A program that was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// The bounding set of the thread that did.
    #[serde(with = "sets")]
    pub bounding: CapSet,
    /// Its process.
    pub tgid: u32,
    /// The thread.
    pub tid: u32,
    /// Basename of the program.
    pub exe: Option<String>,
}

/// How a process left its episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Left {
    /// By executing a program.
    Exec,
    /// By ending.
    Exit,
}

/// An episode that is reported by the kernel side itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// When.
    pub time: u64,
    /// The bounding set then.
    #[serde(with = "sets")]
    pub after: CapSet,
    /// How the last of it left.
    pub left: Left,
    /// Its wait status, where it ended.
    pub status: u32,
    /// Inode number of the user namespace of that set.
    pub namespace: u32,
    /// Whether the episode is open still: it is reported since a program runs with what
    /// was refused.
    pub open: bool,
}

impl EpisodeEnd {
    /// Whether the episode closed by an exec.
    pub const fn is_exec(&self) -> bool {
        !self.open && matches!(self.left, Left::Exec)
    }
}

/// An episode, reported by the kernel side itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodeEvent {
    /// As it is now.
    pub episode: Episode,
    /// Why it is reported.
    pub end: EpisodeEnd,
}

/// What may become of an episode that is open, at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its number in the kernel.
    pub id: u64,
    /// Time of the last drop.
    pub last: u64,
    /// Time of the last refused one; 0 where none was.
    pub last_refused: u64,
    /// Programs executed with something that it tried to drop.
    pub raised: u32,
}
