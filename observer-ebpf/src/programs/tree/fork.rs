//! A child is of its parent's tree, and of its episode.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, kprobe},
    programs::{BtfTracePointContext, ProbeContext},
};
use observer_ebpf::{
    Loss, TASK_IN_TREE,
    decide::{self, Tables as _},
};

use super::{
    super::{
        episode::{self, Maps},
        host::off,
        maps::{TASKS, lose},
        marks,
        mem::{Mem, Probed, Ptr, Typed},
        shares,
        task::{self, with_current},
    },
    share,
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
