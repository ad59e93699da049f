//! Counting a refused check, and sending its detail now and then.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns},
    },
};
use observer_ebpf::{
    Audited, Count, DenialEvent, EventKind, Layer, Loss, Owner, Reason, RowKey, TotalKey, Via,
};

use super::{
    host::off,
    maps::{DENIALS, OVERFLOW, ROWS, TASKS, TOTALS, add, lose},
    mem::{Mem, Ptr},
    task::{self, with_current},
};

/// A row's detail is told again after this time, so that a heartbeat goes on.
const TELL_AGAIN_NS: u64 = 1_000_000_000;

/// `CAP_OPT_NOAUDIT` (`include/linux/security.h`).
const CAP_OPT_NOAUDIT: u32 = 2;

/// What `opts` says of auditing.
#[inline(always)]
pub fn audited(opts: u32) -> Audited {
    if opts & CAP_OPT_NOAUDIT == 0 {
        Audited::Yes
    } else {
        Audited::No
    }
}

/// A refused check.
pub struct Denial {
    /// Capability.
    pub capability: u32,
    /// Layer that refused.
    pub layer: Layer,
    /// Why commoncap refused.
    pub reason: Reason,
    /// Whether an audit record was asked for.
    pub audited: Audited,
    /// The way to commoncap.
    pub via: Via,
    /// Hash of the profile that refused.
    pub profile: u64,
}

/// The owner of a process; zero where none of the followed trees holds it.
#[inline(always)]
pub fn owner(tgid: u32) -> Owner {
    // SAFETY: an entry is replaced as a whole; a torn read would need the
    // process to exec while it is in this program.
    match unsafe { TASKS.get(tgid) } {
        Some(task) => task.owner,
        None => Owner::default(),
    }
}

/// Counts a denial of the current task: in its row, or where rows are full by
/// its total, or in the overflow slot; in one of the three, whatever happens.
#[inline(always)]
pub fn count<M: Mem>(cred: Ptr, target: Ptr, denial: &Denial) {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    let current = task::current();
    let key = RowKey {
        owner: owner(tgid),
        // SAFETY: the helper has no precondition.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        exe_inode: current.exe_inode,
        profile: denial.profile,
        comm: bpf_get_current_comm().unwrap_or_default(),
        capability: denial.capability as u8,
        layer: denial.layer as u8,
        reason: denial.reason as u8,
        audited: denial.audited as u8,
        via: denial.via as u8,
        own_credentials: u8::from(cred as u64 == current.real_cred),
        reserved: [0; 2],
    };
    // SAFETY: the helper has no precondition.
    let now = unsafe { bpf_ktime_get_ns() };
    let Some(row) = row(&key) else {
        return count_total(&key);
    };
    // SAFETY: a live map value of this CPU; the words below are only hints
    // but for the count, which is added to atomically.
    unsafe {
        if (*row).first == 0 {
            (*row).first = now;
        }
        (*row).last = now;
    }
    add(row.cast(), 1);
    // SAFETY: as above.
    let told = unsafe { (*row).told };
    if told != 0 && now - told < TELL_AGAIN_NS && key.profile == 0 {
        return;
    }
    if tell::<M>(&key, cred, target, &current, id, now) {
        // SAFETY: as above. Only now, so that a lost first sighting is told again.
        unsafe { (*row).told = now };
    }
}

#[inline(always)]
fn row(key: &RowKey) -> Option<*mut Count> {
    if let Some(row) = ROWS.get_ptr_mut(key) {
        return Some(row);
    }
    // Another CPU may have been faster: then its entry is as good.
    let _ = ROWS.insert(key, &Count::default(), BPF_NOEXIST as u64);
    ROWS.get_ptr_mut(key)
}

#[inline(always)]
fn count_total(row: &RowKey) {
    lose(Loss::RowsFull);
    let key = TotalKey {
        owner: row.owner,
        capability: row.capability,
        layer: row.layer,
        audited: row.audited,
        reserved: [0; 5],
    };
    let mut total = TOTALS.get_ptr_mut(&key);
    if total.is_none() {
        let _ = TOTALS.insert(&key, &0, BPF_NOEXIST as u64);
        total = TOTALS.get_ptr_mut(&key);
    }
    if let Some(total) = total {
        return add(total, 1);
    }
    lose(Loss::TotalsFull);
    if let Some(overflow) = OVERFLOW.get_ptr_mut(key.overflow_index()) {
        add(overflow, 1);
    }
}

#[inline(always)]
fn tell<M: Mem>(
    key: &RowKey,
    cred: Ptr,
    target: Ptr,
    current: &task::Current,
    id: u64,
    now: u64,
) -> bool {
    let Some(mut entry) = DENIALS.reserve::<DenialEvent>(0) else {
        lose(Loss::DenialRingFull);
        return false;
    };
    let event = entry.as_mut_ptr();
    let own = M::ptr(cred, off!(cred_user_ns));
    // SAFETY: the reserved room is as large as the event.
    unsafe {
        (*event).kind = EventKind::Denial as u32;
        (*event).tgid = (id >> 32) as u32;
        (*event).time = now;
        (*event).row = *key;
        (*event).start = current.start;
        (*event).effective = M::u64(cred, off!(cred_effective));
        (*event).bounding = M::u64(cred, off!(cred_bset));
        (*event).tid = id as u32;
        (*event).ppid = current.ppid;
        (*event).uid = M::u32(cred, off!(cred_uid));
        (*event).namespace = M::u32(own, off!(ns_inum));
        (*event).target = M::u32(target, off!(ns_inum));
        (*event).level = M::u32(own, off!(ns_level));
        (*event).exe[0] = 0;
        with_current!(C, task => task::basename::<C>(task::exe_file::<C>(task), &mut (*event).exe));
    }
    entry.submit(0);
    true
}
