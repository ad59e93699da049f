//! Counting a refused check, and sending its detail now and then.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_jiffies64, bpf_ktime_get_ns},
    },
};
use observer_ebpf::{
    Audited, COMM_LEN, Count, DenialEvent, EventKind, Layer, Loss, Owner, Reason, RowKey, Table,
    TotalKey, Via, shares as most,
};

use super::{
    host::{config, off},
    maps::{
        AGENT, DENIALS, FREE, GENERATION, MADE, OVERFLOW, Place, RECENT, ROW_USERS, ROWS, Recent,
        SLOTS, TASKS, TOTALS, add, lose,
    },
    mem::{Mem, Ptr},
    shares,
    task::{self, with_current},
};

/// A row's detail is reported again after this time, so that a heartbeat goes on.
const REPORT_AGAIN_NS: u64 = 1_000_000_000;

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
pub fn count<M: Mem>(cred: Ptr, target: Ptr, denial: &Denial, place: Place) {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    let current = task::current();
    let agent = AGENT.get(0).copied().unwrap_or_default();
    if agent.gave_up(tgid, current.exe_inode, denial.capability, denial.layer) {
        return;
    }
    let key = RowKey {
        owner: owner(tgid),
        cgroup: current.cgroup,
        exe_inode: current.exe_inode,
        profile: denial.profile,
        comm: current.comm,
        capability: denial.capability as u8,
        layer: denial.layer as u8,
        reason: denial.reason as u8,
        audited: denial.audited as u8,
        via: denial.via as u8,
        own_credentials: u8::from(cred as u64 == current.real_cred),
        reserved: [0; 2],
    };
    let Some(row) = row(&key, place) else {
        return count_total(&key);
    };
    // The tick is one load, where the time itself takes 20 ns.
    // SAFETY: the helper has no precondition; a live map value of this CPU, whose words are
    // only hints but for the count, which is added to atomically.
    let tick = unsafe {
        let tick = bpf_jiffies64();
        if (*row).first == 0 {
            (*row).first = bpf_ktime_get_ns();
            (*row).first_tick = tick;
        }
        (*row).last_tick = tick;
        tick
    };
    add(row.cast(), 1);
    // SAFETY: as above.
    let reported = unsafe { (*row).reported_tick };
    let since = tick.wrapping_sub(reported) * u64::from(config!(tick_ns));
    if reported != 0 && since < REPORT_AGAIN_NS && key.profile == 0 {
        return;
    }
    if report::<M>(&key, cred, target, id) {
        // SAFETY: as above. Only now, so that a lost first sighting is reported again.
        unsafe { (*row).reported_tick = tick };
    }
}

/// The counter of a row on this CPU.
#[inline(always)]
fn row(key: &RowKey, place: Place) -> Option<*mut Count> {
    let first = match place {
        Place::Verdict => 0,
        Place::Tracepoint => Place::EACH,
        Place::Nowhere => return ROWS.get_ptr_mut(slot(key)?),
    };
    let generation = *GENERATION.get(0)?;
    let recent = RECENT.get_ptr_mut(first + u32::from(key.capability & 63))?;
    let words = words(key);
    // SAFETY: this CPU's entry, of this program alone.
    unsafe {
        if (*recent).generation == generation && same(&(*recent).key, &words) {
            return ROWS.get_ptr_mut((*recent).slot);
        }
    }
    let slot = slot(key)?;
    // SAFETY: as above.
    unsafe {
        *recent = Recent {
            key: words,
            generation,
            slot,
        };
    }
    ROWS.get_ptr_mut(slot)
}

/// A key as words, to be compared and copied by them.
#[inline(always)]
fn words(key: &RowKey) -> [u64; 8] {
    // SAFETY: both are 64 bytes without padding, and any words are a value.
    unsafe { core::mem::transmute(*key) }
}

#[inline(always)]
fn same(one: &[u64; 8], other: &[u64; 8]) -> bool {
    let mut difference = 0;
    for index in 0..8 {
        difference |= one[index] ^ other[index];
    }
    difference == 0
}

/// The slot of a row, which gets one if it has none. Above a share, a row loses
/// what a process can choose without bound.
#[inline(always)]
fn slot(key: &RowKey) -> Option<u32> {
    // SAFETY: a slot is written once, before its key can be found.
    if let Some(slot) = unsafe { SLOTS.get(key) } {
        return Some(*slot);
    }
    let uid = task::answerable();
    if key.owner.in_tree == 1 || take(uid, key) {
        return make(key, uid);
    }
    lose(Loss::RowsShare);
    let nobody = key.owner.rule == 0;
    let folded = RowKey {
        owner: Owner {
            start: 0,
            tgid: 0,
            ..key.owner
        },
        cgroup: if nobody { 0 } else { key.cgroup },
        exe_inode: 0,
        comm: [0; COMM_LEN],
        ..*key
    };
    // SAFETY: as above.
    if let Some(slot) = unsafe { SLOTS.get(&folded) } {
        return Some(*slot);
    }
    make(&folded, 0)
}

#[inline(always)]
fn make(key: &RowKey, uid: u32) -> Option<u32> {
    let slot = FREE.pop().ok().flatten()?;
    if let Some(user) = ROW_USERS.get_ptr_mut(slot) {
        // SAFETY: a live map value; the slot is ours alone until its key is found.
        unsafe { *user = uid };
    }
    if SLOTS.insert(key, slot, BPF_NOEXIST as u64).is_ok() {
        if let Some(made) = MADE.get_ptr_mut(0) {
            add(made, 1);
        }
        return Some(slot);
    }
    // Another CPU was faster: its entry is as good. Where the slot can't be
    // given back, there is room for one row less, and no count is lost.
    let _ = FREE.push(slot, 0);
    // SAFETY: as above.
    unsafe { SLOTS.get(key) }.copied()
}

/// Takes a row of its user's, its cgroup's and, where no supervisor owns it, of
/// nobody's share. User space gives back what it forgets.
#[inline(always)]
fn take(uid: u32, key: &RowKey) -> bool {
    let user = shares::user(Table::Rows, uid, most::ROWS_OF_USER);
    if !shares::take(user) {
        return false;
    }
    let group = shares::cgroup(Table::Rows, key.cgroup, most::ROWS_OF_CGROUP);
    if !shares::take(group) {
        shares::give(user);
        return false;
    }
    if key.owner.rule == 0 && !shares::take(shares::nobody(Table::Rows, most::ROWS_OF_NOBODY)) {
        shares::give(user);
        shares::give(group);
        return false;
    }
    true
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
fn report<M: Mem>(key: &RowKey, cred: Ptr, target: Ptr, id: u64) -> bool {
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
        (*event).time = bpf_ktime_get_ns();
        (*event).row = *key;
        (*event).effective = M::u64(cred, off!(cred_effective));
        (*event).bounding = M::u64(cred, off!(cred_bset));
        (*event).tid = id as u32;
        (*event).uid = M::u32(cred, off!(cred_uid));
        (*event).namespace = M::u32(own, off!(ns_inum));
        (*event).target = M::u32(target, off!(ns_inum));
        (*event).level = M::u32(own, off!(ns_level));
        (*event).exe[0] = 0;
        with_current!(C, task => {
            (*event).start = task::start::<C>(task);
            (*event).ppid = task::ppid::<C>(task);
            task::basename::<C>(task::exe_file::<C>(task), &mut (*event).exe);
            task::ancestors::<C>(task, &raw mut (*event).ancestors);
        });
    }
    entry.submit(0);
    true
}
