//! The mechanism of last resort: the BTF tracepoint `cap_capable` (6.14).
//!
//! It tells commoncap's answer alone, without `opts` and without any LSM's
//! word. Drops are told from the SETPCAP check: the task's registers hold the
//! system call, its option and its argument at that moment.

use aya_ebpf::{
    bindings::pt_regs,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_task_pt_regs},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use observer_ebpf::{Audited, CAP_SETPCAP, Hook, Layer, Loss, PR_CAPBSET_DROP, Via};

use super::{
    denial::{self, Denial},
    drops::{bounding, effective},
    episode::{self, Drop},
    host::{config, off},
    maps::{EPISODES, PENDING, Place, hooked, lose},
    mem::{Mem, Ptr, Typed},
    task,
};

/// `cap_capable(const struct cred *cred, struct user_namespace *target_ns,
/// const struct user_namespace *capable_ns, int cap, int ret)`
#[btf_tracepoint(function = "cap_capable")]
pub fn cap_capable_tracepoint(ctx: BtfTracePointContext) -> i32 {
    let (capability, result): (u32, i32) = (ctx.arg(3), ctx.arg(4));
    if capability == CAP_SETPCAP && !hooked(Hook::Drops) {
        setpcap(result);
    }
    if result >= 0 || hooked(Hook::Verdict) {
        return 0;
    }
    let (cred, target): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(1));
    let denial = Denial {
        capability,
        layer: Layer::Commoncap,
        reason: task::commoncap::<Typed>(cred, target, capability),
        audited: Audited::Unknown,
        via: Via::Unknown,
        profile: 0,
    };
    denial::count::<Typed>(cred, target, &denial, Place::Tracepoint);
    0
}

/// A check for SETPCAP: first it confirms the thread's last granted drop, then
/// it may be a drop itself.
#[inline(always)]
fn setpcap(result: i32) {
    let task = task::typed();
    let id = bpf_get_current_pid_tgid();
    let before = bounding::<Typed>(task);
    confirm(id, before);
    let Some(capability) = drop_argument(task) else {
        return;
    };
    let Some(episode) = episode::open::<Typed>(task, before) else {
        return;
    };
    let granted = result >= 0 && capability <= config!(last_cap);
    let bit = 1u64 << (capability & 63);
    let drop = Drop {
        capability,
        result: i64::from(result),
        effective: effective::<Typed>(task),
        bounding: if granted { before & !bit } else { before },
    };
    episode::add(episode, &drop);
    if granted && before & bit != 0 && PENDING.insert(id, capability, 0).is_err() {
        lose(Loss::ProvisionalFull);
    }
}

/// Confirms a drop that the check granted: where its bit is still raised, it
/// was refused after all, and by an LSM.
#[inline(always)]
pub fn confirm(id: u64, bounding: u64) {
    // SAFETY: this thread alone writes its entry.
    let Some(capability) = (unsafe { PENDING.get(id) }).copied() else {
        return;
    };
    let _ = PENDING.remove(id);
    let bit = (capability & 63) as usize;
    if hooked(Hook::Drops) || bounding >> bit & 1 == 0 {
        return;
    }
    let Some(episode) = EPISODES.get_ptr_mut((id >> 32) as u32) else {
        return;
    };
    // SAFETY: a live map value; the index is masked.
    unsafe { episode::refuse(episode, bit, Layer::Lsm) };
}

/// The argument of the drop that the task is in; `None` where it is in
/// another system call.
#[inline(always)]
fn drop_argument(task: Ptr) -> Option<u64> {
    // SAFETY: the helper gives the registers of a task that the verifier knows.
    let regs = unsafe { bpf_task_pt_regs(task.cast_mut().cast()) } as *const pt_regs;
    let (number, option, argument) = registers(task, regs.cast());
    (number && option as u32 == PR_CAPBSET_DROP).then_some(argument)
}

/// Whether the system call is prctl, its first and its second argument.
///
/// 64-bit: `arch/x86/entry/syscalls/syscall_64.tbl`, 157; a task that called
/// through the 32-bit gate has `TS_COMPAT` set and other numbers and registers.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn registers(task: Ptr, regs: Ptr) -> (bool, u64, u64) {
    const TS_COMPAT: u32 = 2;
    let number = Typed::u64(regs, 120);
    if Typed::u32(task, off!(task_compat)) & TS_COMPAT != 0 {
        let (ebx, ecx) = (Typed::u64(regs, 40), Typed::u64(regs, 88));
        return (number as u32 == 172, ebx & 0xffff_ffff, ecx & 0xffff_ffff);
    }
    // x32 sets bit 30 of the number.
    let prctl = number & !(1 << 30) == 157;
    (prctl, Typed::u64(regs, 112), Typed::u64(regs, 104))
}

/// `struct pt_regs` of arm64: `orig_x0` at 272, `syscallno` at 280; a 32-bit
/// task (`TIF_32BIT`, bit 22) has the numbers of 32-bit Arm.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn registers(task: Ptr, regs: Ptr) -> (bool, u64, u64) {
    const TIF_32BIT: u64 = 1 << 22;
    let number = Typed::u32(regs, 280);
    let (first, second) = (Typed::u64(regs, 272), Typed::u64(regs, 8));
    if Typed::u64(task, off!(task_compat)) & TIF_32BIT != 0 {
        return (number == 172, first & 0xffff_ffff, second & 0xffff_ffff);
    }
    (number == 167, first, second)
}
