//! Opening the episode of a process at its first drop.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns},
    },
};
use observer_ebpf::{Episode, Loss, Member, NONE, decide};

use super::{
    super::{
        denial::owner,
        host::off,
        maps::{BLANK, EPISODES, lose},
        mem::{Mem, Ptr},
        task,
    },
    Maps, at,
    limits::{give, take},
    tables::enter,
};

/// Opens the episode of the current process if it has none; `before` is its bounding set.
#[inline(always)]
pub fn open<M: Mem>(task: Ptr, before: u64) -> Option<*mut Episode> {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    let start = task::start::<M>(task);
    // What stays the same from an exec to the next, for every thread.
    let exec = if off!(task_exec_id) == NONE {
        0
    } else {
        M::u32(task, off!(task_exec_id)) & 0xffff
    };
    let key = u64::from(tgid) << 32 | u64::from(exec) << 16 | (start >> 20 & 0xffff);
    if let Some(episode) = at(key) {
        return Some(episode);
    }
    let holder = task::answerable();
    let owner = owner(tgid);
    // SAFETY: the helper has no precondition.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    let free = owner.in_tree == 1;
    if !free && !take(holder, cgroup, owner.rule) {
        lose(Loss::EpisodesShare);
        return None;
    }
    let blank = BLANK.get(0)?;
    if EPISODES.insert(key, blank, BPF_NOEXIST as u64).is_err() {
        // Another thread of this process may have been faster.
        if !free {
            give(holder, cgroup, owner.rule);
        }
        let episode = at(key);
        if episode.is_none() {
            lose(Loss::EpisodesFull);
        }
        return episode;
    }
    let episode = at(key)?;
    let (namespace, level) = task::namespace::<M>(task);
    let family = decide::current(&Maps, tgid, start).map_or(0, |member| member.family);
    // SAFETY: a live map value; every word has one writer, this opening.
    unsafe {
        (*episode).id = key;
        (*episode).outer = family;
        (*episode).start = start;
        (*episode).first = bpf_ktime_get_ns();
        (*episode).last = (*episode).first;
        (*episode).owner = owner;
        (*episode).cgroup = cgroup;
        (*episode).before = before;
        (*episode).after = before;
        (*episode).tgid = tgid;
        (*episode).tid = id as u32;
        (*episode).ppid = task::ppid::<M>(task);
        (*episode).uid = task::uid::<M>(task);
        (*episode).holder = holder;
        (*episode).namespace = namespace;
        (*episode).level = level;
        (*episode).alive = 1;
        (*episode).comm = bpf_get_current_comm().unwrap_or_default();
        task::basename::<M>(task::exe_file::<M>(task), &mut (*episode).exe);
        task::ancestors::<M>(task, &raw mut (*episode).ancestors);
    }
    let entry = Member {
        start,
        own: key,
        family,
        uid: holder,
        reserved: 0,
    };
    // Who cannot be entered is never seen to end, so its fate stays open.
    if !enter(tgid, &entry, family == 0) {
        lose(Loss::FollowersFull);
    }
    Some(episode)
}
