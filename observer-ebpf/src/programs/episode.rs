//! Episodes: opened at a process's first drop, added to by its threads,
//! closed by exec or by the end of its last thread, and by nothing else.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns},
    },
};
use observer_ebpf::{
    CAP_SETPCAP, Episode, EpisodeEnd, EpisodeEvent, EventKind, Fate, Layer, Loss, Reason,
};

use super::{
    denial::owner,
    host::{config, off},
    maps::{BLANK, EPISODES, Refusal, SETPCAP, STATES, bump, lose},
    mem::{Mem, Ptr},
    task,
};

/// What came of one drop.
pub struct Drop {
    /// The argument, all 64 bits of it.
    pub capability: u64,
    /// 0 where it was granted, else negative.
    pub result: i64,
    /// Effective set at the drop.
    pub effective: u64,
    /// Bounding set after the drop.
    pub bounding: u64,
}

/// Opens the episode of the current process if it has none; `before` is its bounding set.
#[inline(always)]
pub fn open<M: Mem>(task: Ptr, before: u64) -> Option<*mut Episode> {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    if let Some(episode) = EPISODES.get_ptr_mut(tgid) {
        return Some(episode);
    }
    let blank = BLANK.get(0)?;
    if EPISODES.insert(tgid, blank, BPF_NOEXIST as u64).is_err() {
        // Another thread of this process may have been faster.
        let episode = EPISODES.get_ptr_mut(tgid);
        if episode.is_none() {
            lose(Loss::EpisodesFull);
        }
        return episode;
    }
    let episode = EPISODES.get_ptr_mut(tgid)?;
    let cred = M::ptr(task, off!(task_cred));
    let namespace = M::ptr(cred, off!(cred_user_ns));
    // SAFETY: a live map value; every word has one writer, this opening.
    unsafe {
        (*episode).start = task::start::<M>(task);
        (*episode).first = bpf_ktime_get_ns();
        (*episode).last = (*episode).first;
        (*episode).owner = owner(tgid);
        (*episode).cgroup = bpf_get_current_cgroup_id();
        (*episode).before = before;
        (*episode).after = before;
        (*episode).tgid = tgid;
        (*episode).ppid = task::ppid::<M>(task);
        (*episode).uid = M::u32(cred, off!(cred_uid));
        (*episode).namespace = M::u32(namespace, off!(ns_inum));
        (*episode).level = M::u32(namespace, off!(ns_level));
        (*episode).comm = bpf_get_current_comm().unwrap_or_default();
        task::basename::<M>(task::exe_file::<M>(task), &mut (*episode).exe);
        task::ancestors::<M>(task, &raw mut (*episode).ancestors);
    }
    Some(episode)
}

/// Adds a drop to its episode. Who refused follows from the effective set: a
/// thread that lacks SETPCAP was refused by commoncap, and no LSM was asked
/// (`cap_prctl_drop`, `security/commoncap.c`); a thread that has it, by an LSM.
#[inline(always)]
pub fn add(episode: *mut Episode, drop: &Drop) {
    // SAFETY: a live map value; threads of one process share it, so counters
    // are atomic and the rest is any writer's word.
    unsafe {
        bump(&raw mut (*episode).drops);
        (*episode).last = bpf_ktime_get_ns();
        (*episode).after = drop.bounding;
        (*episode).effective = drop.effective;
    }
    let refusal = refusal(drop);
    // The comparison comes first: BPF masks shifts to six bits.
    if drop.capability > config!(last_cap) {
        // SAFETY: as above.
        unsafe { bump(&raw mut (*episode).unknown) };
        return;
    }
    if drop.result >= 0 {
        return;
    }
    let bit = (drop.capability & 63) as usize;
    // SAFETY: as above; the index is masked.
    unsafe {
        if drop.bounding >> bit & 1 == 0 {
            bump(&raw mut (*episode).refused_lowered);
            if (*episode).refused_raised == 0 {
                blame(episode, drop, refusal);
            }
            return;
        }
        (*episode).refused[bit] = 1;
        if (*episode).first_refused == 0 {
            (*episode).first_refused = bit as u32 + 1;
        }
        bump(&raw mut (*episode).refused_raised);
        blame(episode, drop, refusal);
    }
}

#[inline(always)]
fn refusal(drop: &Drop) -> Option<Refusal> {
    if drop.effective >> CAP_SETPCAP & 1 == 0 || drop.result >= 0 {
        return None;
    }
    let id = bpf_get_current_pid_tgid();
    // SAFETY: this thread alone writes its entry.
    let refusal = unsafe { SETPCAP.get(id) }.copied();
    let _ = SETPCAP.remove(id);
    refusal
}

/// # Safety
/// `episode` must be a live map value.
#[inline(always)]
unsafe fn blame(episode: *mut Episode, drop: &Drop, refusal: Option<Refusal>) {
    let (layer, reason, profile) = if drop.effective >> CAP_SETPCAP & 1 == 0 {
        (Layer::Commoncap as u32, Reason::NotEffective as u32, 0)
    } else if let Some(refusal) = refusal {
        (refusal.layer as u32, Reason::None as u32, refusal.profile)
    } else {
        (Layer::Lsm as u32, Reason::None as u32, 0)
    };
    // SAFETY: the caller's.
    unsafe {
        (*episode).layer = layer;
        (*episode).reason = reason;
        (*episode).profile = profile;
    }
}

/// Adds a refusal of a raised bit that was first taken for granted.
///
/// # Safety
/// `episode` must be a live map value, `bit` below 64.
#[inline(always)]
pub unsafe fn refuse(episode: *mut Episode, bit: usize, layer: Layer) {
    // SAFETY: the caller's; the index is masked for the verifier.
    unsafe {
        (*episode).refused[bit & 63] = 1;
        if (*episode).first_refused == 0 {
            (*episode).first_refused = bit as u32 + 1;
        }
        bump(&raw mut (*episode).refused_raised);
        (*episode).layer = layer as u32;
        (*episode).after |= 1 << bit;
    }
}

/// Closes the episode of a process, if it has one, and sends it.
#[inline(always)]
pub fn close(tgid: u32, fate: Fate, status: u32, after: u64) {
    let Some(episode) = EPISODES.get_ptr_mut(tgid) else {
        return;
    };
    match STATES.reserve::<EpisodeEvent>(0) {
        Some(mut entry) => {
            let event = entry.as_mut_ptr();
            // SAFETY: the reserved room is as large as the event, and the
            // episode is a live map value that no thread adds to any more.
            unsafe {
                (*event).kind = EventKind::Episode as u32;
                (*event).reserved = 0;
                (*event).episode = *episode;
                (*event).end = EpisodeEnd {
                    time: bpf_ktime_get_ns(),
                    after,
                    fate: fate as u32,
                    status,
                };
            }
            entry.submit(0);
        }
        None => lose(Loss::StateRingFull),
    }
    let _ = EPISODES.remove(tgid);
}
