//! Drops, at `cap_task_prctl`: the set before at its entry, the answer and the
//! set after at its exit.
//!
//! `int cap_task_prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)`

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use observer_ebpf::{Loss, PR_CAPBSET_DROP};

use super::{
    episode::{self, Drop},
    host::off,
    maps::{PENDING, lose},
    mem::{Mem, Ptr},
    task::with_current,
};

/// Opens the episode with the set before its first drop.
#[fentry]
pub fn drop_entry(ctx: FEntryContext) -> i32 {
    if ctx.arg::<u32>(0) == PR_CAPBSET_DROP {
        with_current!(M, task => {
            episode::open::<M>(task, bounding::<M>(task));
        });
    }
    0
}

/// Adds the drop with its answer.
#[fexit]
pub fn drop_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<u32>(0) == PR_CAPBSET_DROP {
        finish(ctx.arg(1), ctx.arg::<i32>(5));
    }
    0
}

/// As [`drop_entry`], and keeps the argument for the return.
#[kprobe]
pub fn drop_entry_kprobe(ctx: ProbeContext) -> u32 {
    if ctx.arg::<u32>(0) != Some(PR_CAPBSET_DROP) {
        return 0;
    }
    let Some(capability) = ctx.arg::<u64>(1) else {
        return 0;
    };
    with_current!(M, task => {
        episode::open::<M>(task, bounding::<M>(task));
    });
    let id = bpf_get_current_pid_tgid();
    if PENDING.insert(id, capability, BPF_NOEXIST as u64).is_ok() {
        return 0;
    }
    match PENDING.get_ptr_mut(id) {
        Some(kept) => {
            // SAFETY: a live map value that this thread alone writes.
            unsafe { *kept = capability };
            lose(Loss::ReturnMissed);
        }
        None => lose(Loss::ProvisionalFull),
    }
    0
}

/// As [`drop_exit`].
#[kretprobe]
pub fn drop_exit_kprobe(ctx: RetProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    // SAFETY: this thread alone writes its entry.
    let Some(capability) = unsafe { PENDING.get(id) }.copied() else {
        return 0;
    };
    let _ = PENDING.remove(id);
    finish(capability, ctx.ret::<i32>());
    0
}

#[inline(always)]
fn finish(capability: u64, result: i32) {
    with_current!(M, task => {
        let drop = Drop {
            capability,
            result: i64::from(result),
            effective: effective::<M>(task),
            bounding: bounding::<M>(task),
        };
        // Should the entry have been missed, the set before is the one after,
        // with the bit that was granted.
        let granted = if result >= 0 { 1 << (capability & 63) } else { 0 };
        if let Some(episode) = episode::open::<M>(task, drop.bounding | granted) {
            episode::add(episode, &drop);
        }
    });
}

/// A task's effective set.
#[inline(always)]
pub fn effective<M: Mem>(task: Ptr) -> u64 {
    M::u64(M::ptr(task, off!(task_cred)), off!(cred_effective))
}

/// A task's bounding set.
#[inline(always)]
pub fn bounding<M: Mem>(task: Ptr) -> u64 {
    M::u64(M::ptr(task, off!(task_cred)), off!(cred_bset))
}
