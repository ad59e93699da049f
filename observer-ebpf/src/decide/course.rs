//! The course of episodes: whom each covers, and what fork, exec and the end of
//! a process mean to it. The same steps run in the kernel, on BPF maps, and in
//! tests, on plain ones.

use super::{Ran, follows, mask, ran};
use crate::{Episode, EpisodeEnd, Fate, Member, NAME_LEN, shares};

/// Episodes that one process may be covered by, each within the other.
pub const DEPTH: usize = 4;

/// The tables that hold episodes and those whom they cover.
pub trait Tables {
    /// Whether anybody is covered at all.
    fn any(&self) -> bool;
    /// The entry of a process.
    fn member(&self, tgid: u32) -> Option<Member>;
    /// Enters a process that was not covered; `false` where there is no room.
    fn cover(&self, tgid: u32, member: &Member) -> bool;
    /// Counts a child that an episode has no room for.
    fn leave_out(&self);
    /// Takes the entry of a process out; `false` where somebody else was faster.
    fn uncover(&self, tgid: u32, member: &Member) -> bool;
    /// An episode by its id, which stays valid while this step runs.
    fn episode(&self, id: u64) -> Option<*mut Episode>;
    /// Adds one to a counter that others may add to at the same time.
    ///
    /// # Safety
    /// The counter must belong to an episode of [`Self::episode`].
    unsafe fn add(&self, counter: *mut u32);
    /// Takes one off, likewise.
    ///
    /// # Safety
    /// As [`Self::add`].
    unsafe fn take(&self, counter: *mut u32);
    /// Sends an episode that goes on.
    fn send(&self, id: u64, end: &EpisodeEnd);
    /// Sends an episode for the last time, and forgets it.
    fn close(&self, id: u64, end: &EpisodeEnd);
    /// The time.
    fn now(&self) -> u64;
}

/// A process whose thread forks, executes or ends.
#[derive(Clone, Copy)]
pub struct Process {
    /// Process id.
    pub tgid: u32,
    /// Its start time.
    pub start: u64,
    /// User id by whose share it is counted.
    pub uid: u32,
    /// The thread's bounding set.
    pub bounding: u64,
    /// Inode number of the thread's user namespace.
    pub namespace: u32,
}

/// What was tried to drop, in the namespace of the last drop.
///
/// # Safety
/// `episode` must be one of [`Tables::episode`].
#[inline(always)]
unsafe fn tried(episode: *mut Episode) -> u64 {
    // SAFETY: the caller's; a byte that is being marked is read as it was or is.
    unsafe { mask(&(*episode).refused) | mask(&(*episode).granted) }
}

/// The entry of a process, unless it is that of an earlier one with the same id.
#[inline(always)]
pub fn current<T: Tables>(tables: &T, tgid: u32, start: u64) -> Option<Member> {
    let member = tables.member(tgid)?;
    (member.start == start).then_some(member)
}

/// A child of a process, which is known by its id and its start: it is covered too,
/// where it has what was tried to drop.
#[inline(always)]
pub fn forks<T: Tables>(tables: &T, parent: (u32, u64), child: &Process) {
    if !tables.any() {
        return;
    }
    let Some(member) = current(tables, parent.0, parent.1) else {
        return;
    };
    let covers = |id: u64| {
        if id == 0 {
            return None;
        }
        let episode = tables.episode(id)?;
        // SAFETY: an episode of the tables.
        let covers = unsafe {
            follows(
                tried(episode),
                (*episode).namespace,
                child.bounding,
                child.namespace,
            )
        };
        covers.then_some((id, episode))
    };
    let Some((family, episode)) = covers(member.own).or_else(|| covers(member.family)) else {
        return;
    };
    // Two hooks may report one fork.
    if current(tables, child.tgid, child.start).is_some() {
        return;
    }
    let entry = Member {
        start: child.start,
        own: 0,
        family,
        uid: child.uid,
        reserved: 0,
    };
    // SAFETY: an episode of the tables. Counted before it can be seen to end.
    unsafe {
        let full = (*episode).alive > shares::MEMBERS_OF_EPISODE;
        tables.add(&raw mut (*episode).alive);
        if full || !tables.cover(child.tgid, &entry) {
            tables.take(&raw mut (*episode).alive);
            tables.add(&raw mut (*episode).left_out);
            tables.leave_out();
        }
    }
}

/// Takes a process that has executed a program out of every episode that
/// covers it. `tid` is the thread that did, by the id that it had before, `exe`
/// the basename of the program.
#[inline(always)]
pub fn executes<T: Tables>(tables: &T, process: &Process, tid: u32, exe: &[u8; NAME_LEN]) {
    let Some(member) = leave(tables, process.tgid, process.start) else {
        return;
    };
    let end = EpisodeEnd {
        time: tables.now(),
        after: process.bounding,
        fate: Fate::Exec as u32,
        status: 0,
        namespace: process.namespace,
        open: 0,
    };
    let mut id = member.nearest();
    // Whether a process leaves the episode, or only something within it does.
    let mut leaves = true;
    for _ in 0..DEPTH {
        if id == 0 {
            break;
        }
        let Some(episode) = tables.episode(id) else {
            break;
        };
        // SAFETY: an episode of the tables.
        let outer = unsafe { (*episode).outer };
        let first = judge(tables, episode, process, tid, exe, end.time);
        leaves = leaves && left(tables, episode);
        if leaves {
            tables.close(id, &end);
        } else if first {
            tables.send(id, &EpisodeEnd { open: 1, ..end });
        }
        id = outer;
    }
}

/// What an exec means to an episode; whether it is the first one that matters.
#[inline(always)]
fn judge<T: Tables>(
    tables: &T,
    episode: *mut Episode,
    process: &Process,
    tid: u32,
    exe: &[u8; NAME_LEN],
    time: u64,
) -> bool {
    // SAFETY: an episode of the tables; the workload has one writer, whoever is first.
    unsafe {
        match ran(
            tried(episode),
            (*episode).namespace,
            process.bounding,
            process.namespace,
        ) {
            Ran::Clean => tables.add(&raw mut (*episode).clean),
            Ran::Refilled => {
                tables.add(&raw mut (*episode).refilled);
                tables.add(&raw mut (*episode).clean);
            }
            Ran::Raised(_) => {
                tables.add(&raw mut (*episode).raised);
                if (*episode).workload.time == 0 {
                    (*episode).workload.time = time;
                    (*episode).workload.start = process.start;
                    (*episode).workload.bounding = process.bounding;
                    (*episode).workload.tgid = process.tgid;
                    (*episode).workload.tid = tid;
                    (*episode).workload.exe.0 = *exe;
                    return true;
                }
            }
        }
    }
    false
}

/// Takes a process that has ended out of every episode that covers it.
#[inline(always)]
pub fn ends<T: Tables>(tables: &T, process: &Process, status: u32) {
    let Some(member) = leave(tables, process.tgid, process.start) else {
        return;
    };
    let end = EpisodeEnd {
        time: tables.now(),
        after: process.bounding,
        fate: Fate::Exit as u32,
        status,
        namespace: process.namespace,
        open: 0,
    };
    let mut id = member.nearest();
    for _ in 0..DEPTH {
        if id == 0 {
            return;
        }
        let Some(episode) = tables.episode(id) else {
            return;
        };
        // SAFETY: an episode of the tables.
        let outer = unsafe {
            if (*episode).tgid == process.tgid && (*episode).start == process.start {
                (*episode).ended = end.time;
                (*episode).status = status;
            }
            (*episode).outer
        };
        if !left(tables, episode) {
            return;
        }
        tables.close(id, &end);
        id = outer;
    }
}

/// Forgets that a process is covered; `None` where it was not.
#[inline(always)]
fn leave<T: Tables>(tables: &T, tgid: u32, start: u64) -> Option<Member> {
    if !tables.any() {
        return None;
    }
    let member = tables.member(tgid)?;
    // Two threads that end at once may both come here: one of them goes on.
    if !tables.uncover(tgid, &member) {
        return None;
    }
    (member.start == start).then_some(member)
}

/// Takes one process off an episode; whether it was the last.
#[inline(always)]
fn left<T: Tables>(tables: &T, episode: *mut Episode) -> bool {
    // SAFETY: an episode of the tables. Two that leave at once may both see
    // that they were the last: user space knows the second report by its id.
    unsafe {
        tables.take(&raw mut (*episode).alive);
        (*episode).alive == 0
    }
}
