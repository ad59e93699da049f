//! A process that executes may become a supervisor or a workload, and ends what an
//! episode covers it by.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, kprobe},
    programs::{BtfTracePointContext, ProbeContext},
};
use observer_ebpf::{Loss, NAME_LEN, ProcessChange, Role, Rule, Task, decide};

use super::{
    super::{
        drops,
        episode::{self, Maps},
        host::off,
        maps::{CHECKS, RULES, TASKS, lose},
        marks,
        mem::{Mem, Probed, Ptr, Typed},
        shares,
        task::{self, bounding, effective},
    },
    report::{report_argv, report_change, report_workload},
    share,
};

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
        report_workload::<M>(&before, task, &name, episode::own_id(tgid, start));
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
            report_argv::<M>(tgid, start, task);
        }
        report_change::<M>(
            ProcessChange::Started,
            &entry.owner,
            &before.owner,
            task,
            &name,
        );
    } else if before.owner.tgid == tgid && before.owner.role != Role::Workload as u8 {
        report_change::<M>(
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
