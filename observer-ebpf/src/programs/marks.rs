//! Who need not be looked up: a process that no table has an entry of is known by
//! one load.

use observer_ebpf::{
    Loss, Task,
    decide::{beginning, mark},
};

use super::{
    maps::{BEGINNINGS, MARKS, PENDING, Pending, Refusal, SETPCAP, TASKS, add, lose},
    mem::{Mem, Ptr},
    task,
};

/// Whether a table may have an entry of a process, or of a thread of it. What
/// checks leave behind (`CHECKS`) is not marked.
#[inline(always)]
pub fn watched(tgid: u32) -> bool {
    MARKS.get(mark(tgid)).is_none_or(|marks| *marks != 0)
}

/// Marks a process, before it is entered: its entry is never without its mark.
#[inline(always)]
pub fn set(tgid: u32) {
    if let Some(marks) = MARKS.get_ptr_mut(mark(tgid)) {
        add(marks, 1);
    }
}

/// Takes a mark back.
#[inline(always)]
pub fn clear(tgid: u32) {
    if let Some(marks) = MARKS.get_ptr_mut(mark(tgid)) {
        add(marks, u64::MAX);
    }
}

/// Whether a file's name may be a rule's.
#[inline(always)]
pub fn may_be_named<M: Mem>(file: Ptr) -> bool {
    let (word, bit) = beginning(task::beginning::<M>(file));
    BEGINNINGS.get(word).is_none_or(|bits| bits & bit != 0)
}

/// Enters a process that was not in its tree, or replaces its entry.
#[inline(always)]
pub fn follow(tgid: u32, entry: &Task, new: bool) -> bool {
    if new {
        set(tgid);
    }
    let entered = TASKS.insert(tgid, entry, 0).is_ok();
    if !entered {
        if new {
            clear(tgid);
        }
        lose(Loss::TasksFull);
    }
    entered
}

/// Takes a process out of its tree; `false` where somebody else was faster.
#[inline(always)]
pub fn unfollow(tgid: u32) -> bool {
    let taken = TASKS.remove(tgid).is_ok();
    if taken {
        clear(tgid);
    }
    taken
}

/// A drop that is not settled is kept; `false` where there is no room.
#[inline(always)]
pub fn keep_pending(id: u64, pending: &Pending) -> bool {
    let tgid = (id >> 32) as u32;
    // SAFETY: nothing is read but that there is an entry.
    let new = unsafe { PENDING.get(id) }.is_none();
    if new {
        set(tgid);
    }
    let kept = PENDING.insert(id, pending, 0).is_ok();
    if new && !kept {
        clear(tgid);
    }
    kept
}

/// Takes a thread's drop that is not settled; [`Pending::NONE`] where there is none. A
/// value in place of an option, whose other half the compiler would leave
/// uninitialised: verifiers before 5.18 take a spill of it for a read.
#[inline(always)]
pub fn take_pending(id: u64) -> Pending {
    let mut pending = Pending::NONE;
    // SAFETY: this thread alone writes its entry.
    if let Some(kept) = unsafe { PENDING.get(id) } {
        pending = *kept;
        if PENDING.remove(id).is_ok() {
            clear((id >> 32) as u32);
        }
    }
    pending
}

/// Who refused SETPCAP is kept until the thread's drop returns.
#[inline(always)]
pub fn keep_refusal(id: u64, refusal: &Refusal) {
    let tgid = (id >> 32) as u32;
    // SAFETY: nothing is read but that there is an entry.
    let new = unsafe { SETPCAP.get(id) }.is_none();
    if new {
        set(tgid);
    }
    if SETPCAP.insert(id, refusal, 0).is_err() {
        if new {
            clear(tgid);
        }
        lose(Loss::InflightFull);
    }
}

/// Forgets who refused SETPCAP to a thread.
#[inline(always)]
pub fn forget_refusal(id: u64) {
    // SAFETY: nothing is read but that there is an entry.
    let known = unsafe { SETPCAP.get(id) }.is_some();
    if known && SETPCAP.remove(id).is_ok() {
        clear((id >> 32) as u32);
    }
}

/// Takes who refused SETPCAP to a thread; [`Refusal::UNKNOWN`] where nobody said. No
/// option, as for [`take_pending`].
#[inline(always)]
pub fn take_refusal(id: u64) -> Refusal {
    let mut refusal = Refusal::UNKNOWN;
    // SAFETY: this thread alone writes its entry.
    if let Some(kept) = unsafe { SETPCAP.get(id) } {
        refusal = *kept;
        if SETPCAP.remove(id).is_ok() {
            clear((id >> 32) as u32);
        }
    }
    refusal
}
