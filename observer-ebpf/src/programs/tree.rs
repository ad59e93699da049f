//! The process tree: fork, exec and exit keep the map from process to
//! supervisor, close episodes, and forget what a thread left behind.
//!
//! Most processes are nobody's: what is done for those is a few loads, and what is
//! done for others is a function of its own, so that the short way's code is short.
//!
//! BTF tracepoints: the arguments at the front are the same from 5.5 to 7.3.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns, bpf_probe_read_user},
    },
    macros::{btf_tracepoint, kprobe},
    programs::{BtfTracePointContext, ProbeContext},
};
use observer_ebpf::{
    ARGV_LEN, ArgvEvent, EventKind, Hook, Loss, NAME_LEN, NONE, Owner, ProcessChange, ProcessEvent,
    Role, Rule, TASK_IN_TREE, Table, Task, UNKNOWN_UID, WorkloadEvent,
    decide::{self, Tables as _},
    shares as most,
};

use super::{
    drops,
    episode::{self, Maps},
    host::{config, off},
    maps::{CHECKS, RULES, STATES, TASKS, hooked, lose},
    marks,
    mem::{Mem, Probed, Ptr, Typed},
    ring, shares,
    task::{self, bounding, effective, with_current},
    verdict::flush_direct,
};

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
pub fn tree_fork(ctx: BtfTracePointContext) -> i32 {
    // The parent is the current task.
    fork::<Typed>((bpf_get_current_pid_tgid() >> 32) as u32, ctx.arg(1));
    0
}

/// `void wake_up_new_task(struct task_struct *p)`, which the parent calls right
/// after the tracepoint: where tracepoints may be skipped (7.0), this one reports too.
#[kprobe]
pub fn tree_fork_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(child) = ctx.arg::<Ptr>(0) {
        fork::<Probed>((bpf_get_current_pid_tgid() >> 32) as u32, child);
    }
    0
}

#[inline(always)]
fn fork<M: Mem>(parent_tgid: u32, child: Ptr) {
    if marks::watched(parent_tgid) {
        follow_fork::<M>(parent_tgid, child);
    }
}

#[inline(never)]
fn follow_fork<M: Mem>(parent_tgid: u32, child: Ptr) {
    let child_tgid = M::u32(child, off!(task_tgid));
    if parent_tgid == child_tgid {
        return;
    }
    // An end may have been skipped, and the number be another process's by now.
    let parent_start = with_current!(C, task => task::start::<C>(task));
    if Maps.any() {
        decide::forks(
            &Maps,
            (parent_tgid, parent_start),
            &episode::process::<M>(child_tgid, child),
        );
    }
    // SAFETY: an entry is replaced as a whole.
    let Some(entry) = (unsafe { TASKS.get(parent_tgid) }) else {
        return;
    };
    // The recorder itself, the root of a recorded tree, is entered without one.
    if entry.start != 0 && !entry.is_of(parent_start) {
        return;
    }
    let start = task::start::<M>(child);
    let entry = decide::forked(entry, start, parent_tgid);
    // SAFETY: as above.
    if unsafe { TASKS.get(child_tgid) }.is_some_and(|known| known.is_of(start)) {
        return;
    }
    let counted = entry.owner.in_tree != TASK_IN_TREE;
    if counted && !shares::take(share(&entry)) {
        lose(Loss::TasksShare);
    } else if !marks::follow(child_tgid, &entry, true) && counted {
        shares::give(share(&entry));
    }
}

#[inline(always)]
fn share(entry: &Task) -> shares::Limit {
    shares::user(Table::Tasks, entry.uid, most::TASKS_OF_USER)
}

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub fn tree_exec(ctx: BtfTracePointContext) -> i32 {
    let (task, bprm): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(2));
    exec::<Typed>(task, Typed::ptr(bprm, off!(bprm_file)), ctx.arg(1));
    0
}

/// `void proc_exec_connector(struct task_struct *task)`, called right after the
/// tracepoint (`CONFIG_PROC_EVENTS`): where tracepoints may be skipped (7.0), this one reports too.
#[kprobe]
pub fn tree_exec_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(task) = ctx.arg::<Ptr>(0) {
        exec::<Probed>(
            task,
            task::exe_file::<Probed>(task),
            bpf_get_current_pid_tgid() as u32,
        );
    }
    0
}

#[inline(always)]
fn exec<M: Mem>(task: Ptr, file: Ptr, old_pid: u32) {
    let tgid = M::u32(task, off!(task_tgid));
    // A thread that is not the leader may leave something behind.
    if old_pid != tgid || marks::watched(tgid) || marks::may_be_named::<M>(file) {
        follow_exec::<M>(task, file, tgid, old_pid);
    }
}

#[inline(never)]
fn follow_exec<M: Mem>(task: Ptr, file: Ptr, tgid: u32, old_pid: u32) {
    let start = task::start::<M>(task);
    let after = bounding::<M>(task);
    let (namespace, level) = task::namespace::<M>(task);
    // What a thread left behind has the id that it had before: exec makes it the leader.
    let thread = u64::from(tgid) << 32 | u64::from(old_pid);
    drops::confirm(thread, after, (namespace, level), effective::<M>(task));
    if thread != bpf_get_current_pid_tgid() {
        forget_thread(thread);
    }

    let mut name = [0u8; NAME_LEN];
    task::basename::<M>(file, &mut name);
    // Values in place of options, whose other half the compiler would leave
    // uninitialised: the verifier takes a spill of it for a read.
    let (mut before, mut rule) = (Task::default(), Rule::default());
    // SAFETY: an entry is replaced as a whole, and user space alone writes rules.
    unsafe {
        if let Some(entry) = TASKS.get(tgid) {
            before = *entry;
        }
        if let Some(named) = RULES.get(&name) {
            rule = *named;
        }
    }
    // Every process has a start, and rules are numbered from 1.
    let (known, named) = (before.is_of(start), rule.id != 0);
    let exec = M::u32(task, off!(task_exec_id)) as u16;
    // Two hooks may report one exec.
    if known && before.exec == exec {
        return;
    }
    // Before the episode closes: the two are judged together.
    if known
        && !named
        && before.judged == 1
        && before.owner.role == Role::Supervisor as u8
        && after != 0
    {
        tell_workload::<M>(&before, task, &name, episode::own_id(tgid, start));
    }
    decide::executes(&Maps, &episode::process::<M>(tgid, task), old_pid, &name);
    let parent = task::ppid::<M>(task);
    if !known && !named {
        return;
    }
    let Some(mut entry) = decide::executed(
        known.then_some(before),
        named.then_some(rule),
        tgid,
        start,
        parent,
        namespace,
    ) else {
        return;
    };
    if !known {
        entry.uid = task::answerable();
        if !shares::take(share(&entry)) {
            lose(Loss::TasksShare);
            return;
        }
    }
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(
        (),
        "process {} executed: supervisor rule {}, role {}",
        tgid,
        entry.owner.rule,
        entry.owner.role
    );
    entry.exec = exec;
    if !marks::follow(tgid, &entry, !known) && !known {
        shares::give(share(&entry));
        return;
    }
    if named {
        if rule.argv == 1 {
            tell_argv::<M>(tgid, start, task);
        }
        tell::<M>(
            ProcessChange::Started,
            &entry.owner,
            &before.owner,
            task,
            &name,
        );
    } else if before.owner.tgid == tgid && before.owner.role != Role::Workload as u8 {
        tell::<M>(
            ProcessChange::Replaced,
            &entry.owner,
            &before.owner,
            task,
            &name,
        );
    }
}

/// Forgets what a thread left behind.
#[inline(always)]
fn forget_thread(id: u64) {
    // Looking is cheaper than removing what is not there.
    // SAFETY: nothing is read but that there is an entry.
    unsafe {
        if CHECKS.get(id).is_some() {
            let _ = CHECKS.remove(id);
        }
    }
    let _ = marks::take_pending(id);
    marks::forget_refusal(id);
}

/// `sched_process_exit(struct task_struct *p[, bool group_dead])`
#[btf_tracepoint(function = "sched_process_exit")]
pub fn tree_exit(ctx: BtfTracePointContext) -> i32 {
    exit::<Typed>(ctx.arg(0));
    0
}

/// `void proc_exit_connector(struct task_struct *task)`, called after the
/// tracepoint (`CONFIG_PROC_EVENTS`): where tracepoints may be skipped (7.0), this one reports too.
#[kprobe]
pub fn tree_exit_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(task) = ctx.arg::<Ptr>(0) {
        exit::<Probed>(task);
    }
    0
}

/// The end of a thread. A second report finds it forgotten.
#[inline(always)]
fn exit<M: Mem>(task: Ptr) {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    if hooked(Hook::Checks) {
        end_check(id);
    }
    if marks::watched(tgid) {
        follow_exit::<M>(task, id);
    }
}

#[inline(never)]
fn end_check(id: u64) {
    flush_direct(id);
}

#[inline(never)]
fn follow_exit<M: Mem>(task: Ptr, id: u64) {
    let tgid = (id >> 32) as u32;
    let namespace = task::namespace::<M>(task);
    drops::confirm(id, bounding::<M>(task), namespace, effective::<M>(task));
    marks::forget_refusal(id);

    // `live` is counted down before the tracepoint (`do_exit`): zero for the
    // last thread. Two that end at once may both see it; closing twice is harmless.
    let signal = M::ptr(task, off!(task_signal));
    if M::u32(signal, off!(signal_live)) != 0 {
        return;
    }
    let group = M::u32(signal, off!(signal_group_exit_code));
    let status = if group == 0 {
        M::u32(task, off!(task_exit_code))
    } else {
        group
    };
    if Maps.any() {
        decide::ends(&Maps, &episode::process::<M>(tgid, task), status);
    }
    let mut entry = Task::default();
    // SAFETY: an entry is replaced as a whole.
    let Some(known) = (unsafe { TASKS.get(tgid) }) else {
        return;
    };
    entry.clone_from(known);
    if marks::unfollow(tgid) && entry.owner.in_tree != TASK_IN_TREE {
        shares::give(share(&entry));
    }
    if entry.owner.tgid == tgid {
        let above = Owner::default();
        tell::<M>(
            ProcessChange::Ended,
            &entry.owner,
            &above,
            task,
            &[0; NAME_LEN],
        );
    }
}

/// Reports that a supervisor's process became its workload: user space knows which set it should have.
#[inline(always)]
fn tell_workload<M: Mem>(entry: &Task, task: Ptr, name: &[u8; NAME_LEN], episode: u64) {
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
fn tell_argv<M: Mem>(tgid: u32, start: u64, task: Ptr) {
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

#[inline(always)]
fn tell<M: Mem>(
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
