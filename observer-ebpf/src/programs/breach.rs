//! Counting a refusal by a rule, and reporting it now and then.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_kernel_str_bytes, generated::bpf_ktime_get_ns,
    },
};
use observer_ebpf::{
    Breach, BreachEvent, BreachKey, Broken, COMM_LEN, Call, EventKind, Loss, Table,
    decide::rules::Refused, shares as most,
};

use super::{
    denial::owner,
    host::{config, off},
    maps::{BREACH_KEYS, BREACHES, Reporter, STATES, add, lose},
    mem::{Mem, Ptr},
    ring, shares,
    task::{self, with_current},
    turn::{Gate, is_idle},
};

/// A key is reported again after this time.
const REPORT_AGAIN_NS: u64 = 1_000_000_000;

/// A call that a rule refused.
#[derive(Clone, Copy)]
pub struct Broke {
    /// The call.
    pub call: Call,
    /// The rule; none where no rule refused.
    pub rule: Broken,
    /// The capabilities that it lacked.
    pub missing: u64,
    /// What it answered.
    pub errno: u32,
}

impl Broke {
    /// What a call was refused for.
    #[inline(always)]
    pub fn new(call: Call, refused: Refused) -> Self {
        Self {
            call,
            rule: refused.rule,
            missing: refused.missing,
            errno: 1,
        }
    }
}

/// Counts the refusal of a call of the current task. Of an exec `dentry` is the
/// file, and `path` its name as the caller gave it, if it is known.
#[inline(always)]
pub fn report<F: Mem>(reporter: Reporter, broke: &Broke, dentry: Ptr, path: Ptr) {
    if broke.rule as u8 == Broken::None as u8 || is_idle(Gate::Rule(reporter)) {
        return;
    }
    let Some(key) = BREACH_KEYS.get_ptr_mut(reporter as u32) else {
        return;
    };
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: this program's own room on this CPU.
    unsafe {
        with_current!(C, task => {
            (*key).cgroup = task::cgroup::<C>(task);
            (*key).comm = task::comm::<C>(task);
            (*key).exe_inode = task::inode::<C>(task::exe_file::<C>(task));
        });
        if !dentry.is_null() {
            let inode = F::ptr(dentry, off!(dentry_inode));
            (*key).exe_inode = F::u64(inode, off!(inode_number));
        }
        (*key).owner = owner(tgid);
        (*key).missing = broke.missing;
        (*key).call = broke.call as u8;
        (*key).rule = broke.rule as u8;
        (*key).errno = broke.errno as u16;
        (*key).reserved = 0;
    }
    let Some(row) = row(key) else {
        return lose(Loss::BreachesFull);
    };
    // SAFETY: a live map value; the count is added to atomically, the rest are hints.
    let due = unsafe {
        add(&raw mut (*row).count, 1);
        let now = bpf_ktime_get_ns();
        (*row).last = now;
        let due = (*row).reported == 0 || now.wrapping_sub((*row).reported) >= REPORT_AGAIN_NS;
        if due {
            (*row).reported = now;
        }
        due
    };
    if !due {
        return;
    }
    if !ring::room_for::<BreachEvent>() {
        return;
    }
    let Some(mut entry) = STATES.reserve::<BreachEvent>(0) else {
        lose(Loss::StateRingFull);
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the reserved room is as large as the event.
    unsafe {
        (*event).kind = EventKind::Breach as u32;
        (*event).tgid = tgid;
        (*event).time = (*row).last;
        (*event).key = *key;
        (*event).exe[0] = 0;
        (*event).path[0] = 0;
        with_current!(C, task => {
            (*event).start = task::start::<C>(task);
            (*event).ppid = task::ppid::<C>(task);
            (*event).uid = task::uid::<C>(task);
            if dentry.is_null() {
                task::basename::<C>(task::exe_file::<C>(task), &mut (*event).exe);
            }
        });
        if !dentry.is_null() {
            task::dentry_name::<F>(dentry, &mut (*event).exe);
        }
        if !path.is_null() && config!(probe_read) == 1 {
            let _ = bpf_probe_read_kernel_str_bytes(path, &mut (*event).path);
        }
    }
    entry.submit(0);
}

/// The row of a key: above a share, one that lacks what a process can choose without
/// bound.
#[inline(always)]
fn row(key: *mut BreachKey) -> Option<*mut Breach> {
    // SAFETY: the caller's room, which nobody else writes.
    unsafe {
        if let Some(row) = BREACHES.get_ptr_mut(&*key) {
            return Some(row);
        }
        let uid = task::answerable();
        let mut breach = Breach {
            count: 0,
            last: 0,
            reported: 0,
            uid: 0,
        };
        if (*key).owner.in_tree == 0 {
            if take(uid, &*key) {
                breach.uid = 1 << 32 | u64::from(uid);
            } else {
                lose(Loss::BreachesShare);
                fold(key);
            }
        }
        // Another CPU may have been faster: its entry is as good.
        let _ = BREACHES.insert(&*key, &breach, BPF_NOEXIST as u64);
        BREACHES.get_ptr_mut(&*key)
    }
}

/// # Safety
/// `key` must be the caller's room.
#[inline(always)]
unsafe fn fold(key: *mut BreachKey) {
    // SAFETY: the caller's.
    unsafe {
        (*key).owner.start = 0;
        (*key).owner.tgid = 0;
        if (*key).owner.rule == 0 {
            (*key).cgroup = 0;
        }
        (*key).exe_inode = 0;
        (*key).missing = 0;
        (*key).comm = [0; COMM_LEN];
    }
}

/// Takes a row of its user's, its cgroup's and, where no supervisor owns it, of
/// nobody's share. User space gives back what it forgets.
#[inline(always)]
fn take(uid: u32, key: &BreachKey) -> bool {
    let user = shares::user(Table::Breaches, uid, most::BREACHES_OF_USER);
    if !shares::take(user) {
        return false;
    }
    let group = shares::cgroup(Table::Breaches, key.cgroup, most::BREACHES_OF_CGROUP);
    if !shares::take(group) {
        shares::give(user);
        return false;
    }
    let nobody = shares::nobody(Table::Breaches, most::BREACHES_OF_NOBODY);
    if key.owner.rule == 0 && !shares::take(nobody) {
        shares::give(user);
        shares::give(group);
        return false;
    }
    true
}
