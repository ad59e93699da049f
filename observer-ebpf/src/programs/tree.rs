//! The process tree: fork, exec and exit keep the map from process to
//! supervisor, close episodes, and forget what a thread left behind.
//!
//! BTF tracepoints: the arguments at the front are the same from 5.5 to 7.3.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns, bpf_probe_read_user},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use observer_ebpf::{
    ARGV_LEN, ArgvEvent, EventKind, Loss, NAME_LEN, Owner, ProcessChange, ProcessEvent, Role, Rule,
    TASK_IN_TREE, Table, Task, WorkloadEvent,
    decide::{self, Tables as _},
    shares as most,
};

use super::{
    drops,
    episode::{self, Maps},
    host::{config, off},
    maps::{CHECKS, PENDING, RULES, SETPCAP, STATES, TASKS, lose},
    mem::{Mem, Ptr, Typed},
    shares,
    task::{self, bounding, effective},
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
    if Maps.any() {
        decide::forks(&Maps, parent_tgid, &episode::process(child_tgid, child));
    }
    // SAFETY: an entry is replaced as a whole.
    let Some(entry) = (unsafe { TASKS.get(parent_tgid) }) else {
        return 0;
    };
    let entry = decide::forked(entry, task::start::<Typed>(child), parent_tgid);
    if entry.owner.in_tree != TASK_IN_TREE && !shares::take(share(&entry)) {
        lose(Loss::TasksShare);
    } else if TASKS.insert(child_tgid, entry, 0).is_err() {
        lose(Loss::TasksFull);
    }
    0
}

#[inline(always)]
fn share(entry: &Task) -> shares::Limit {
    shares::user(Table::Tasks, entry.uid, most::TASKS_OF_USER)
}

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub fn tree_exec(ctx: BtfTracePointContext) -> i32 {
    let (task, bprm): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(2));
    let old_pid: u32 = ctx.arg(1);
    let tgid = Typed::u32(task, off!(task_tgid));
    let start = task::start::<Typed>(task);
    let after = bounding::<Typed>(task);
    let (namespace, level) = task::namespace::<Typed>(task);
    // What a thread left behind has the id that it had before: exec makes it the leader.
    let thread = u64::from(tgid) << 32 | u64::from(old_pid);
    drops::confirm(thread, after, (namespace, level), effective::<Typed>(task));
    if thread != bpf_get_current_pid_tgid() {
        forget_thread(thread);
    }

    let mut name = [0u8; NAME_LEN];
    task::basename::<Typed>(Typed::ptr(bprm, off!(bprm_file)), &mut name);
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
    let (known, named) = (before.start != 0, rule.id != 0);
    // Before the episode closes: the two are judged together.
    if known
        && !named
        && before.judged == 1
        && before.owner.role == Role::Supervisor as u8
        && after != 0
    {
        tell_workload(&before, task, &name, episode::own_id(tgid, start));
    }
    decide::executes(&Maps, &episode::process(tgid, task), old_pid, &name);
    let parent = task::ppid::<Typed>(task);
    if !known && !named {
        return 0;
    }
    let Some(mut entry) = decide::executed(
        known.then_some(before),
        named.then_some(rule),
        tgid,
        start,
        parent,
        namespace,
    ) else {
        return 0;
    };
    if !known {
        entry.uid = task::uid::<Typed>(task);
        if !shares::take(share(&entry)) {
            lose(Loss::TasksShare);
            return 0;
        }
    }
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
    if named {
        if rule.argv == 1 {
            tell_argv(tgid, start, task);
        }
        tell(
            ProcessChange::Started,
            &entry.owner,
            &before.owner,
            task,
            &name,
        );
    } else if before.owner.tgid == tgid && before.owner.role != Role::Workload as u8 {
        tell(
            ProcessChange::Replaced,
            &entry.owner,
            &before.owner,
            task,
            &name,
        );
    }
    0
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
        if PENDING.get(id).is_some() {
            let _ = PENDING.remove(id);
        }
        if SETPCAP.get(id).is_some() {
            let _ = SETPCAP.remove(id);
        }
    }
}

/// `sched_process_exit(struct task_struct *p[, bool group_dead])`
#[btf_tracepoint(function = "sched_process_exit")]
pub fn tree_exit(ctx: BtfTracePointContext) -> i32 {
    let task: Ptr = ctx.arg(0);
    let id = bpf_get_current_pid_tgid();
    flush_direct(id);
    // SAFETY: nothing is read but that there is an entry.
    if unsafe { PENDING.get(id) }.is_some() {
        let namespace = task::namespace::<Typed>(task);
        drops::confirm(
            id,
            bounding::<Typed>(task),
            namespace,
            effective::<Typed>(task),
        );
    }
    forget_thread(id);

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
    decide::ends(&Maps, &episode::process(tgid, task), status);
    // SAFETY: an entry is replaced as a whole.
    let Some(entry) = (unsafe { TASKS.get(tgid) }).copied() else {
        return 0;
    };
    if TASKS.remove(tgid).is_ok() && entry.owner.in_tree != TASK_IN_TREE {
        shares::give(share(&entry));
    }
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

/// Tells that a supervisor's process became its workload: user space knows which set it should have.
#[inline(always)]
fn tell_workload(entry: &Task, task: Ptr, name: &[u8; NAME_LEN], episode: u64) {
    let Some(mut reserved) = STATES.reserve::<WorkloadEvent>(0) else {
        return lose(Loss::StateRingFull);
    };
    let event = reserved.as_mut_ptr();
    let (namespace, level) = task::namespace::<Typed>(task);
    // SAFETY: the reserved room is as large as the event.
    unsafe {
        (*event).kind = EventKind::Workload as u32;
        (*event).tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*event).time = bpf_ktime_get_ns();
        (*event).start = entry.start;
        (*event).owner = entry.owner;
        (*event).owner.role = Role::Workload as u8;
        (*event).cgroup = bpf_get_current_cgroup_id();
        (*event).bounding = bounding::<Typed>(task);
        (*event).effective = effective::<Typed>(task);
        (*event).episode = episode;
        (*event).ppid = task::ppid::<Typed>(task);
        (*event).uid = task::uid::<Typed>(task);
        (*event).namespace = namespace;
        (*event).level = level;
        (*event).above = entry.namespace;
        (*event).inner_pid = task::inner_pid::<Typed>(task);
        (*event).comm = bpf_get_current_comm().unwrap_or_default();
        (*event).exe = *name;
        task::ancestors::<Typed>(task, &raw mut (*event).ancestors);
    }
    reserved.submit(0);
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
