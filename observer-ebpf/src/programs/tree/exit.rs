//! A process's end: of its last thread, after what each left behind.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, kprobe},
    programs::{BtfTracePointContext, ProbeContext},
};
use observer_ebpf::{
    Hook, NAME_LEN, Owner, ProcessChange, TASK_IN_TREE, Task,
    decide::{self, Tables as _},
};

use super::{
    super::{
        drops,
        episode::{self, Maps},
        host::off,
        maps::{TASKS, hooked},
        marks,
        mem::{Mem, Probed, Ptr, Typed},
        shares,
        task::{self, bounding, effective},
        verdict::flush_direct,
    },
    report::report_change,
    share,
};

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
        report_change::<M>(
            ProcessChange::Ended,
            &entry.owner,
            &above,
            task,
            &[0; NAME_LEN],
        );
    }
}
