//! What user space is sent of the tree.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid,
    generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns, bpf_probe_read_user},
};
use observer_ebpf::{
    ARGV_LEN, ArgvEvent, EventKind, Loss, NAME_LEN, NONE, Owner, ProcessChange, ProcessEvent, Role,
    Task, UNKNOWN_UID, WorkloadEvent,
};

use super::super::{
    host::{config, off},
    maps::{STATES, lose},
    mem::{Mem, Ptr},
    ring,
    task::{self, bounding, effective},
};

/// Reports that a supervisor's process became its workload: user space knows which set it should have.
#[inline(always)]
pub fn report_workload<M: Mem>(entry: &Task, task: Ptr, name: &[u8; NAME_LEN], episode: u64) {
    if !ring::room_for::<WorkloadEvent>() {
        return;
    }
    let Some(mut reserved) = STATES.reserve::<WorkloadEvent>(0) else {
        return lose(Loss::StateRingFull);
    };
    let event = reserved.as_mut_ptr();
    let (namespace, level) = task::namespace::<M>(task);
    // SAFETY: the reserved room is as large as the event.
    unsafe {
        (*event).kind = EventKind::Workload as u32;
        (*event).tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*event).time = bpf_ktime_get_ns();
        (*event).start = entry.start;
        (*event).owner = entry.owner;
        (*event).owner.role = Role::Workload as u8;
        (*event).cgroup = bpf_get_current_cgroup_id();
        (*event).bounding = bounding::<M>(task);
        (*event).effective = effective::<M>(task);
        (*event).episode = episode;
        (*event).ppid = task::ppid::<M>(task);
        (*event).uid = task::uid::<M>(task);
        (*event).namespace = namespace;
        (*event).level = level;
        (*event).above = entry.namespace;
        (*event).inner_pid = task::inner_pid::<M>(task);
        (*event).comm = bpf_get_current_comm().unwrap_or_default();
        (*event).exe = *name;
        task::ancestors::<M>(task, &raw mut (*event).ancestors);
    }
    reserved.submit(0);
}

/// Reports the arguments of the program that has just been executed; they lie in
/// the new stack's first pages, which exec has just written. What follows them
/// is the environment, which is not read.
///
/// Where lockdown forbids `bpf_probe_read_kernel`, aya puts the older
/// `bpf_probe_read` in place of this helper too, which is forbidden as well: user
/// space then reads the words itself.
#[inline(always)]
pub fn report_argv<M: Mem>(tgid: u32, start: u64, task: Ptr) {
    if config!(probe_read) == 0 {
        return;
    }
    if !ring::room_for::<ArgvEvent>() {
        return;
    }
    let Some(mut entry) = STATES.reserve::<ArgvEvent>(0) else {
        return lose(Loss::StateRingFull);
    };
    let event = entry.as_mut_ptr();
    let mm = M::ptr(task, off!(task_mm));
    let from = M::u64(mm, off!(mm_arg_start));
    let room = M::u64(mm, off!(mm_arg_end)).saturating_sub(from);
    let length = room.min(ARGV_LEN as u64 - 1);
    // Masked where the compiler can't see that it need not be: the verifier
    // takes its bound from the mask.
    let length = core::hint::black_box(length) & (ARGV_LEN as u64 - 1);
    // SAFETY: the reserved room is as large as the event, and longer than what is read.
    unsafe {
        (*event).kind = EventKind::Argv as u32;
        (*event).tgid = tgid;
        (*event).start = start;
        (*event).reserved = 0;
        let bytes = (&raw mut (*event).bytes).cast();
        let read = bpf_probe_read_user(bytes, length as u32, from as *const _);
        (*event).length = if read == 0 { length as u32 } else { 0 };
    }
    entry.submit(0);
}

/// Reports that a supervisor began, ended, or executed another program.
#[inline(always)]
pub fn report_change<M: Mem>(
    change: ProcessChange,
    owner: &Owner,
    above: &Owner,
    task: Ptr,
    name: &[u8; NAME_LEN],
) {
    if !ring::room_for::<ProcessEvent>() {
        return;
    }
    let Some(mut entry) = STATES.reserve::<ProcessEvent>(0) else {
        return lose(Loss::StateRingFull);
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the reserved room is as large as the event.
    unsafe {
        (*event).kind = EventKind::Process as u32;
        (*event).change = change as u32;
        (*event).time = bpf_ktime_get_ns();
        (*event).owner = *owner;
        (*event).cgroup = bpf_get_current_cgroup_id();
        (*event).ppid = task::ppid::<M>(task);
        (*event).uid = M::u32(M::ptr(task, off!(task_cred)), off!(cred_uid));
        (*event).above = *above;
        (*event).exe = *name;
        let inode = M::ptr(task::exe_file::<M>(task), off!(file_inode));
        (*event).exe_uid = if inode.is_null() || off!(inode_uid) == NONE {
            UNKNOWN_UID
        } else {
            M::u32(inode, off!(inode_uid))
        };
        (*event).reserved = 0;
    }
    entry.submit(0);
}
