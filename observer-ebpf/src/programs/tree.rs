//! The process tree: fork, exec and exit keep the map from process to
//! supervisor, close episodes, and forget what a thread left behind.
//!
//! BTF tracepoints: the arguments at the front are the same from 5.5 to 7.3.

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns, bpf_probe_read_user},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use observer_ebpf::{
    ARGV_LEN, ArgvEvent, EventKind, Fate, Loss, NAME_LEN, Owner, ProcessChange, ProcessEvent, Role,
    Rule, Task,
};

use super::{
    drops::bounding,
    episode,
    host::{config, off},
    maps::{CHECKS, PENDING, RULES, SETPCAP, STATES, TASKS, lose},
    mem::{Mem, Ptr, Typed},
    task, tracepoint,
    verdict::flush_direct,
};

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
pub fn tree_fork(ctx: BtfTracePointContext) -> i32 {
    let (parent, child): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(1));
    let parent_tgid = Typed::u32(parent, off!(task_tgid));
    let child_tgid = Typed::u32(child, off!(task_tgid));
    if parent_tgid == child_tgid {
        return 0;
    }
    // SAFETY: an entry is replaced as a whole.
    let Some(entry) = (unsafe { TASKS.get(parent_tgid) }) else {
        return 0;
    };
    let child_entry = Task {
        start: task::start::<Typed>(child),
        ppid: parent_tgid,
        ..*entry
    };
    if TASKS.insert(child_tgid, child_entry, 0).is_err() {
        lose(Loss::TasksFull);
    }
    0
}

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub fn tree_exec(ctx: BtfTracePointContext) -> i32 {
    let (task, bprm): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(2));
    let tgid = Typed::u32(task, off!(task_tgid));
    let after = bounding::<Typed>(task);
    tracepoint::confirm(bpf_get_current_pid_tgid(), after);
    episode::close(tgid, Fate::Exec, 0, after);

    let mut name = [0u8; NAME_LEN];
    task::basename::<Typed>(Typed::ptr(bprm, off!(bprm_file)), &mut name);
    let start = task::start::<Typed>(task);
    // SAFETY: an entry is replaced as a whole, and user space alone writes rules.
    let (before, rule) = unsafe { (TASKS.get(tgid).copied(), RULES.get(&name).copied()) };
    let Some(entry) = executed(before, rule, tgid, start, task) else {
        return 0;
    };
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(
        &ctx,
        "process {} executed: supervisor rule {}, role {}",
        tgid,
        entry.owner.rule,
        entry.owner.role
    );
    if TASKS.insert(tgid, entry, 0).is_err() {
        lose(Loss::TasksFull);
    }
    let above = before.map_or(Owner::default(), |before| before.owner);
    if let Some(rule) = rule {
        if rule.argv == 1 {
            tell_argv(tgid, start, task);
        }
        tell(ProcessChange::Started, &entry.owner, &above, task, &name);
    } else if let Some(before) = before
        && before.owner.tgid == tgid
        && before.owner.role != Role::Workload as u8
    {
        tell(ProcessChange::Replaced, &entry.owner, &above, task, &name);
    }
    0
}

/// The entry of a process after an exec; `None` where nothing changes.
#[inline(always)]
fn executed(
    before: Option<Task>,
    rule: Option<Rule>,
    tgid: u32,
    start: u64,
    task: Ptr,
) -> Option<Task> {
    let Some(rule) = rule else {
        let mut entry = before?;
        if entry.owner.rule != 0 {
            entry.owner.role = Role::Workload as u8;
        }
        return Some(entry);
    };
    let mut entry = before.unwrap_or(Task {
        start,
        ppid: task::ppid::<Typed>(task),
        ..Task::default()
    });
    // A supervisor that a sandbox's workload runs is that workload's business;
    // in a container that a runtime started, it is one in its own right.
    let nested = entry.owner.role == Role::Workload as u8 && entry.runtime == 0;
    entry.owner = Owner {
        start,
        tgid,
        rule: rule.id,
        role: if nested {
            Role::Workload as u8
        } else {
            Role::Supervisor as u8
        },
        in_tree: entry.owner.in_tree,
    };
    entry.runtime = if nested { 0 } else { rule.runtime };
    Some(entry)
}

/// `sched_process_exit(struct task_struct *p[, bool group_dead])`
#[btf_tracepoint(function = "sched_process_exit")]
pub fn tree_exit(ctx: BtfTracePointContext) -> i32 {
    let task: Ptr = ctx.arg(0);
    let id = bpf_get_current_pid_tgid();
    let after = bounding::<Typed>(task);
    flush_direct(id);
    tracepoint::confirm(id, after);
    let _ = (CHECKS.remove(id), PENDING.remove(id), SETPCAP.remove(id));

    // `live` is counted down before the tracepoint (`do_exit`): zero for the
    // last thread. Two that end at once may both see it; closing twice is harmless.
    let signal = Typed::ptr(task, off!(task_signal));
    if Typed::u32(signal, off!(signal_live)) != 0 {
        return 0;
    }
    let tgid = (id >> 32) as u32;
    let group = Typed::u32(signal, off!(signal_group_exit_code));
    let status = if group == 0 {
        Typed::u32(task, off!(task_exit_code))
    } else {
        group
    };
    episode::close(tgid, Fate::Exit, status, after);
    // SAFETY: an entry is replaced as a whole.
    let Some(entry) = (unsafe { TASKS.get(tgid) }).copied() else {
        return 0;
    };
    let _ = TASKS.remove(tgid);
    if entry.owner.tgid == tgid {
        let above = Owner::default();
        tell(
            ProcessChange::Ended,
            &entry.owner,
            &above,
            task,
            &[0; NAME_LEN],
        );
    }
    0
}

/// Tells the words of the program that has just been executed; they lie in
/// the new stack's first pages, which exec has just written. What follows them
/// is the environment, which is not read.
///
/// Where lockdown forbids `bpf_probe_read_kernel`, aya puts the older
/// `bpf_probe_read` in place of this helper too, which is forbidden as well: user
/// space then reads the words itself.
#[inline(always)]
fn tell_argv(tgid: u32, start: u64, task: Ptr) {
    if config!(probe_read) == 0 {
        return;
    }
    let Some(mut entry) = STATES.reserve::<ArgvEvent>(0) else {
        return lose(Loss::StateRingFull);
    };
    let event = entry.as_mut_ptr();
    let mm = Typed::ptr(task, off!(task_mm));
    let from = Typed::u64(mm, off!(mm_arg_start));
    let room = Typed::u64(mm, off!(mm_arg_end)).saturating_sub(from);
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

#[inline(always)]
fn tell(change: ProcessChange, owner: &Owner, above: &Owner, task: Ptr, name: &[u8; NAME_LEN]) {
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
        (*event).ppid = task::ppid::<Typed>(task);
        (*event).uid = Typed::u32(Typed::ptr(task, off!(task_cred)), off!(cred_uid));
        (*event).above = *above;
        (*event).exe = *name;
    }
    entry.submit(0);
}
